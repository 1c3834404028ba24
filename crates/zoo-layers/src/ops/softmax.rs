//! Probabilities from logits.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, softmax};

use super::{Call, Mode, Operation, Result, first, single};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

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

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        candle_nn::ops::softmax(first(call.inputs)?, 1)
    }
}

impl CpuKernel for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::OUT
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let [n, c, h, w] = run.args[0].dims;
        softmax::forward([n, c, h * w], run.args[0].data, run.out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let [n, c, h, w] = back.args[0].dims;
        match &mut grads[0] {
            Some(input) => softmax::backward([n, c, h * w], back.out, back.grad, input),
            None => Ok(()),
        }
    }
}
