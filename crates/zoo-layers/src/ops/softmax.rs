//! Probabilities from logits.

use candle_core::Tensor;

use super::{Call, Operation, Result, first, single};
use crate::Shape;

/// `e^{x_i} / Σ e^{x_j}` over the features of a vector, or over the channels at each pixel of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax;

impl Operation for Softmax {
    fn kind(&self) -> &'static str {
        "Softmax"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single(inputs)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        candle_nn::ops::softmax(first(call.inputs)?, 1)
    }
}
