//! Batch normalisation (Ioffe and Szegedy 2015, algorithm 1).

use std::sync::{Arc, OnceLock};

use candle_core::{D, Device, Tensor};
use zoo_kernels::{Element, KernelError, norm};

use super::{Activation, Call, Operation, ParamSpec, Result, activation::known, first, param, single_map};
use crate::{
    Init, Shape,
    kernel::{self, Arg, CpuKernel},
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
    pub(crate) fn train(
        &self,
        x: &Tensor,
        params: &[Tensor],
        activation: Option<Activation>,
    ) -> Result<(Tensor, BatchStatistics)> {
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
        let y = activation.map_or(Ok(y.clone()), |activation| activation.apply(&y))?;
        let unbiased = count as f64 / (count - 1) as f64;
        let statistics = BatchStatistics {
            mean: mean.detach().reshape(c)?,
            variance: variance.detach().reshape(c)?.affine(unbiased, 0.0)?,
        };
        Ok((y, statistics))
    }

    /// Normalises by the running statistics: one multiplication and one addition for each value.
    pub(crate) fn eval(
        &self,
        x: &Tensor,
        params: &[Tensor],
        activation: Option<Activation>,
    ) -> Result<Tensor> {
        let scale = (param(params, 3)?.affine(1.0, self.eps)?.sqrt()?.recip()? * param(params, 0)?)?;
        let shift = (param(params, 1)? - (param(params, 2)? * &scale)?)?;
        affine(x, &scale, &shift, activation)
    }
}

/// `activation(x · scale + shift)`, one scale and shift for each channel.
pub(super) fn affine(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    activation: Option<Activation>,
) -> Result<Tensor> {
    let args = [x.clone(), scale.clone(), shift.clone()];
    if let Some(kernel) = AffineKernel::new(activation).filter(|_| kernel::takes(&args)) {
        return kernel::taped(Arc::new(kernel), &args);
    }
    let channel = |t: &Tensor| t.reshape((1, (), 1, 1));
    let y = x.broadcast_mul(&channel(scale)?)?.broadcast_add(&channel(shift)?)?;
    activation.map_or(Ok(y.clone()), |activation| activation.apply(&y))
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

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        match call.mode {
            super::Mode::Train => Ok(self.train(first(call.inputs)?, call.params, None)?.0),
            super::Mode::Eval => self.eval(first(call.inputs)?, call.params, None),
        }
    }
}

/// Batch norm by the batch's own statistics, the addition of a fourth argument if there is one, and the activation
/// that follows; keeps the statistics for the running ones and for the way back.
#[derive(Debug)]
pub(crate) struct NormKernel {
    pub(crate) eps: f64,
    pub(crate) activation: zoo_kernels::Activation,
    statistics: OnceLock<(Vec<f64>, Vec<f64>)>,
}

impl NormKernel {
    /// With the activation that only the norm feeds; nothing if the kernels don't know it.
    pub(crate) fn new(norm: &BatchNorm2d, activation: Option<Activation>) -> Option<Self> {
        Some(Self { eps: norm.eps, activation: known(activation)?, statistics: OnceLock::new() })
    }

    /// Mean and unbiased variance of the batch that went forward, `count` values for each channel.
    pub(crate) fn batch(&self, count: usize, like: &Tensor) -> Result<BatchStatistics> {
        let Some((mean, variance)) = self.statistics.get() else {
            candle_core::bail!("a batch norm was asked for its statistics before it ran");
        };
        let unbiased = count as f64 / count.saturating_sub(1).max(1) as f64;
        let tensor =
            |values: &[f64]| Tensor::from_slice(values, values.len(), &Device::Cpu)?.to_dtype(like.dtype());
        Ok(BatchStatistics { mean: tensor(mean)?, variance: tensor(variance)?.affine(unbiased, 0.0)? })
    }

    fn norm<'a, T>(&self, args: &[Arg<'a, T>]) -> norm::Norm<'a, T> {
        norm::Norm { gamma: args[1].data, beta: args[2].data, epsilon: self.eps, activation: self.activation }
    }
}

impl CpuKernel for NormKernel {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn dims(&self, args: &[&[usize]]) -> Result<Vec<usize>, KernelError> {
        Ok(args[0].to_vec())
    }

    fn compute<T: Element>(&self, args: &[Arg<'_, T>], out: &mut [T]) -> Result<(), KernelError> {
        let shape = args[0].shape();
        let (mut mean, mut variance) = (vec![T::ZERO; shape[1]], vec![T::ZERO; shape[1]]);
        let mut stats = norm::Stats { mean: &mut mean, variance: &mut variance };
        let residual = args.get(3).map(|residual| residual.data);
        norm::train_forward(&self.norm(args), shape, args[0].data, residual, out, &mut stats)?;
        let wide = |values: &[T]| values.iter().map(|value| value.to_f64()).collect();
        // A kernel runs forward once: its statistics are that run's.
        let _ = self.statistics.set((wide(&mean), wide(&variance)));
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        args: &[Arg<'_, T>],
        out: &[T],
        grad: &[T],
        grads: &mut [Option<Vec<T>>],
    ) -> Result<(), KernelError> {
        let narrow = |values: &Vec<f64>| values.iter().map(|value| T::from_f64(*value)).collect::<Vec<_>>();
        let Some((mean, variance)) = self.statistics.get() else { return Ok(()) };
        let (mean, variance) = (narrow(mean), narrow(variance));
        let saved = norm::Saved::Batch { mean: &mean, variance: &variance };
        backward(&self.norm(args), saved, args, (out, grad), grads)
    }
}

/// A scale and shift for each channel, given as tensors, and the activation that follows: batch norm by running
/// statistics, and the learned affine of LeNet's subsampling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AffineKernel {
    pub(crate) activation: zoo_kernels::Activation,
}

impl AffineKernel {
    /// With the activation that only the affine feeds; nothing if the kernels don't know it.
    pub(crate) fn new(activation: Option<Activation>) -> Option<Self> {
        Some(Self { activation: known(activation)? })
    }

    fn norm<'a, T>(&self, args: &[Arg<'a, T>]) -> norm::Norm<'a, T> {
        norm::Norm { gamma: args[1].data, beta: args[2].data, epsilon: 0.0, activation: self.activation }
    }
}

impl CpuKernel for AffineKernel {
    fn name(&self) -> &'static str {
        "channel_affine"
    }

    fn dims(&self, args: &[&[usize]]) -> Result<Vec<usize>, KernelError> {
        Ok(args[0].to_vec())
    }

    fn compute<T: Element>(&self, args: &[Arg<'_, T>], out: &mut [T]) -> Result<(), KernelError> {
        let (zeros, ones) = (vec![T::ZERO; args[1].data.len()], vec![T::ONE; args[1].data.len()]);
        let (shape, input) = (args[0].shape(), args[0].data);
        norm::eval_forward(&self.norm(args), shape, input, None, (&zeros, &ones), out)
    }

    fn gradients<T: Element>(
        &self,
        args: &[Arg<'_, T>],
        _out: &[T],
        grad: &[T],
        grads: &mut [Option<Vec<T>>],
    ) -> Result<(), KernelError> {
        let (zeros, ones) = (vec![T::ZERO; args[1].data.len()], vec![T::ONE; args[1].data.len()]);
        let saved = norm::Saved::Fixed { mean: &zeros, variance: &ones };
        backward(&self.norm(args), saved, args, (&[], grad), grads)
    }
}

/// The gradients of input, scale, shift and what was added; those that nobody wants are computed into nothing.
fn backward<T: Element>(
    norm: &norm::Norm<'_, T>,
    saved: norm::Saved<'_, T>,
    args: &[Arg<'_, T>],
    (out, grad): (&[T], &[T]),
    grads: &mut [Option<Vec<T>>],
) -> Result<(), KernelError> {
    let mut unwanted: Vec<Vec<T>> = grads
        .iter()
        .zip(args)
        .map(|(grad, arg)| if grad.is_some() { Vec::new() } else { vec![T::ZERO; arg.data.len()] })
        .collect();
    let mut places = grads.iter_mut().zip(&mut unwanted).map(|(grad, spare)| grad.as_mut().unwrap_or(spare));
    let (Some(input), Some(gamma), Some(beta)) = (places.next(), places.next(), places.next()) else {
        return Ok(());
    };
    let residual = places.next().map(|residual| &mut residual[..]);
    let out = residual.is_some().then_some(out);
    let gradients = norm::Gradients { input, residual, gamma, beta };
    norm::backward(norm, saved, args[0].shape(), args[0].data, out, grad, gradients)
}
