//! Batch normalisation (Ioffe and Szegedy 2015, algorithm 1).

use std::sync::Arc;

use candle_core::{D, Tensor};
use zoo_kernels::{Element, KernelError, norm};

use super::{Call, Mode, Operation, ParamSpec, Result, activation::known, first, param, single_map};
use crate::{
    Init, Shape,
    kernel::{Arg, Backward, CpuKernel, Following, Forward, Kernel, Needs, over, shared},
};

/// Each channel shifted and scaled to mean 0 and variance 1, then by a learned `weight` and `bias`.
///
/// In training mean and variance are the batch's, and the running ones move towards them; else they are the
/// running ones. Parameters: `weight`, `bias`, and the buffers `running_mean`, `running_var`, all `(channels)`.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNorm2d {
    /// Added to the variance.
    pub eps: f64,
    /// How far the running statistics move towards the batch's at each step (PyTorch's sense; TensorFlow's is
    /// one minus this).
    pub momentum: f64,
    /// How a fresh scale is drawn.
    pub weight_init: Init,
}

/// What a batch taught about its channels.
#[derive(Clone, Debug)]
pub(crate) struct BatchStatistics {
    /// Mean of each channel.
    pub(crate) mean: Tensor,
    /// Variance of each channel, divided by count − 1.
    pub(crate) variance: Tensor,
}

impl BatchNorm2d {
    /// PyTorch's defaults: eps 1e-5, momentum 0.1, scales of one.
    pub const fn new() -> Self {
        Self { eps: 1e-5, momentum: 0.1, weight_init: Init::ONES }
    }

    /// Another eps.
    pub const fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Another momentum.
    pub const fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Scales that start at zero: a residual branch that starts as nothing.
    pub fn zero_init(mut self) -> Self {
        self.weight_init = Init::ZEROS;
        self
    }

    /// Normalises by the batch's own statistics, and returns these for the running ones.
    pub(crate) fn train(&self, x: &Tensor, params: &[Tensor]) -> Result<(Tensor, BatchStatistics)> {
        let (n, c, h, w) = x.dims4()?;
        let count = n * h * w;
        if count < 2 {
            candle_core::bail!(
                "batch norm was given {n} picture(s) of {h}x{w} in training, one value for each channel; \
                 give a larger batch or picture"
            );
        }
        let rows = x.transpose(0, 1)?.contiguous()?.reshape((c, count))?;
        let mean = rows.mean_keepdim(D::Minus1)?;
        let centred = rows.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scale =
            (variance.affine(1.0, self.eps)?.sqrt()?.recip()? * param(params, 0)?.reshape((c, 1))?)?;
        let y = centred.broadcast_mul(&scale)?.broadcast_add(&param(params, 1)?.reshape((c, 1))?)?;
        let y = y.reshape((c, n, h, w))?.transpose(0, 1)?.contiguous()?;
        let unbiased = count as f64 / (count - 1) as f64;
        let statistics = BatchStatistics {
            mean: mean.detach().reshape(c)?,
            variance: variance.detach().reshape(c)?.affine(unbiased, 0.0)?,
        };
        Ok((y, statistics))
    }

    /// Normalises by the running statistics: one multiplication and one addition for each value.
    fn eval(&self, x: &Tensor, params: &[Tensor]) -> Result<Tensor> {
        let scale = (param(params, 3)?.affine(1.0, self.eps)?.sqrt()?.recip()? * param(params, 0)?)?;
        let shift = (param(params, 1)? - (param(params, 2)? * &scale)?)?;
        affine(x, &scale, &shift)
    }
}

/// `x · scale + shift`, one scale and shift for each channel.
pub(super) fn affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    let channel = |t: &Tensor| t.reshape((1, (), 1, 1));
    x.broadcast_mul(&channel(scale)?)?.broadcast_add(&channel(shift)?)
}

impl Default for BatchNorm2d {
    fn default() -> Self {
        Self::new()
    }
}

impl Operation for BatchNorm2d {
    fn kind(&self) -> &'static str {
        "BatchNorm2d"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single_map(inputs)?;
        super::single(inputs)
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let channels = [inputs.first().map_or(0, Shape::channels)];
        vec![
            ParamSpec::trainable("weight", channels, self.weight_init.clone()),
            ParamSpec::trainable("bias", channels, Init::ZEROS),
            ParamSpec::buffer("running_mean", channels, Init::ZEROS),
            ParamSpec::buffer("running_var", channels, Init::ONES),
        ]
    }

    fn kernel(&self, mode: Mode) -> Option<Arc<dyn Kernel>> {
        self.fused(mode, &Following::default())
    }

    fn fused(&self, mode: Mode, following: &Following<'_>) -> Option<Arc<dyn Kernel>> {
        shared(NormKernel::of(self, mode, following)?)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        match call.mode {
            Mode::Train => Ok(self.train(first(call.inputs)?, call.params)?.0),
            Mode::Eval => self.eval(first(call.inputs)?, call.params),
        }
    }
}

/// Batch norm, the addition of the last argument if there is one, and the activation that follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormKernel {
    eps: f64,
    by: Statistics,
    sum: bool,
    activation: zoo_kernels::Activation,
}

/// What a norm subtracts and divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistics {
    /// The batch's mean and deviation, which it saves.
    Batch,
    /// What is known before.
    Fixed(Fixed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fixed {
    /// The running ones, the last two parameters.
    Running,
    /// Nothing: a scale and shift alone.
    Nothing,
}

impl Fixed {
    /// The mean and variance.
    fn of<'a, T: Element>(self, args: &[Arg<'a, T>], [zeros, ones]: &'a [Vec<T>; 2]) -> (&'a [T], &'a [T]) {
        match self {
            Self::Running => (args[3].data, args[4].data),
            Self::Nothing => (zeros, ones),
        }
    }
}

impl NormKernel {
    /// With what follows the norm; nothing if the kernels don't know the activation.
    fn of(norm: &BatchNorm2d, mode: Mode, following: &Following<'_>) -> Option<Self> {
        let by = match mode {
            Mode::Train => Statistics::Batch,
            Mode::Eval => Statistics::Fixed(Fixed::Running),
        };
        let activation = known(following.activation)?;
        following.norm.is_none().then_some(Self { eps: norm.eps, by, sum: following.sum, activation })
    }

    /// A scale and shift for each channel, its two parameters.
    pub(super) const AFFINE: Self = Self {
        eps: 0.0,
        by: Statistics::Fixed(Fixed::Nothing),
        sum: false,
        activation: zoo_kernels::Activation::Identity,
    };

    fn norm<'a, T>(&self, args: &[Arg<'a, T>]) -> norm::Norm<'a, T> {
        norm::Norm { gamma: args[1].data, beta: args[2].data, epsilon: self.eps, activation: self.activation }
    }
}

/// Zeros and ones, as many as there are channels.
fn neutral<T: Element>(channels: usize) -> [Vec<T>; 2] {
    [vec![T::ZERO; channels], vec![T::ONE; channels]]
}

impl CpuKernel for NormKernel {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn saved(&self, inputs: &[Shape]) -> usize {
        match self.by {
            Statistics::Batch => 2 * inputs.first().map_or(0, Shape::channels),
            Statistics::Fixed(_) => 0,
        }
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, true).result(self.sum)
    }

    fn works_in_place(&self) -> bool {
        self.by != Statistics::Batch
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, saved, in_place, .. } = run;
        let (norm, shape) = (self.norm(args), args[0].dims);
        let residual = args.last().filter(|_| self.sum).map(|residual| residual.data);
        let fixed = match self.by {
            Statistics::Batch => {
                let (mean, variance) = saved.split_at_mut(shape[1]);
                let mut stats = norm::Stats { mean, variance };
                return norm::train_forward(&norm, shape, args[0].data, residual, out, &mut stats);
            }
            Statistics::Fixed(fixed) => fixed,
        };
        let neutral = neutral(shape[1]);
        let (mean, variance) = fixed.of(args, &neutral);
        if !in_place {
            return norm::eval_forward(&norm, shape, args[0].data, residual, (mean, variance), out);
        }
        let plane = shape[2] * shape[3];
        over(out, plane, shape[1], |first, from, into| {
            let (channel, planes) = (first % shape[1], from.len() / plane.max(1));
            let some = channel..channel + planes;
            let norm =
                norm::Norm { gamma: &norm.gamma[some.clone()], beta: &norm.beta[some.clone()], ..norm };
            let residual = residual.map(|residual| &residual[first * plane..][..from.len()]);
            let (shape, fixed) = ([1, planes, shape[2], shape[3]], (&mean[some.clone()], &variance[some]));
            norm::eval_forward(&norm, shape, from, residual, fixed, into)
        })
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, out, saved, grad, .. } = back;
        let shape = args[0].dims;
        let neutral = neutral(shape[1]);
        let saved = match self.by {
            Statistics::Batch => {
                let (mean, variance) = saved.split_at(shape[1]);
                norm::Saved::Batch { mean, variance }
            }
            Statistics::Fixed(fixed) => {
                let (mean, variance) = fixed.of(args, &neutral);
                norm::Saved::Fixed { mean, variance }
            }
        };
        // The kernel gives all gradients: those that nobody wants are computed into nothing.
        let spare = |place: usize| match grads.get(place) {
            Some(Some(_)) => Vec::new(),
            _ => vec![T::ZERO; args[place].data.len()],
        };
        let mut spares = [spare(0), spare(1), spare(2)];
        let (own, rest) = grads.split_at_mut(3.min(grads.len()));
        let mut places = own.iter_mut().zip(&mut spares).map(|(grad, spare)| match grad {
            Some(grad) => &mut **grad,
            None => &mut spare[..],
        });
        let (Some(input), Some(gamma), Some(beta)) = (places.next(), places.next(), places.next()) else {
            return Err(KernelError::Value {
                op: "batch_norm",
                what: "arguments",
                value: args.len().to_string(),
                must: "at least 3: an input, a scale and a shift",
            });
        };
        let mut spare = Vec::new();
        let residual = self.sum.then(|| match rest.last_mut() {
            Some(Some(residual)) => &mut **residual,
            _ => {
                spare = vec![T::ZERO; grad.len()];
                &mut spare[..]
            }
        });
        let out = self.sum.then_some(out);
        let gradients = norm::Gradients { input, residual, gamma, beta };
        norm::backward(&self.norm(args), saved, shape, args[0].data, out, grad, gradients)
    }
}
