//! Batch normalisation (Ioffe and Szegedy 2015, algorithm 1).

use candle_core::{D, Tensor};

use super::{Activation, Call, Operation, ParamSpec, Result, first, param, single_map};
use crate::{Init, Shape};

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
        let channel = |t: &Tensor| t.reshape((1, (), 1, 1));
        let scale = (param(params, 3)?.affine(1.0, self.eps)?.sqrt()?.recip()? * param(params, 0)?)?;
        let shift = (param(params, 1)? - (param(params, 2)? * &scale)?)?;
        let y = x.broadcast_mul(&channel(&scale)?)?.broadcast_add(&channel(&shift)?)?;
        activation.map_or(Ok(y.clone()), |activation| activation.apply(&y))
    }
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
