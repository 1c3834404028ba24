//! Element-wise non-linearities.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, activation};

use super::{Call, Mode, Operation, Result, composed, first, single};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, over, shared},
};

/// A non-linearity, applied to each value by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// max(0, x). Its gradient at 0 is 0, as in PyTorch.
    Relu,
    /// min(max(0, x), 6) (Howard et al. 2017). Its gradient is 0 at both ends.
    Relu6,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// tanh x.
    Tanh,
    /// 1.7159 tanh(2x/3), which keeps ±1 at ±1 (LeCun et al. 1998, appendix A).
    ScaledTanh,
}

impl Activation {
    /// Amplitude A and slope S of [`Activation::ScaledTanh`] (LeCun et al. 1998, appendix A).
    pub const SCALED_TANH: (f64, f64) = (1.7159, 2.0 / 3.0);

    /// Applies it to a tensor of any shape, differentiably.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => composed::relu(x),
            Self::Relu6 => {
                let x = composed::relu(x)?;
                let six = (x.zeros_like()? + 6.0)?;
                x.ge(&six)?.where_cond(&six, &x)
            }
            Self::Sigmoid => candle_nn::ops::sigmoid(x),
            Self::Tanh => x.tanh(),
            Self::ScaledTanh => {
                let (amplitude, slope) = Self::SCALED_TANH;
                (x * slope)?.tanh()? * amplitude
            }
        }
    }
}

impl Operation for Activation {
    fn kind(&self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::Relu6 => "ReLU6",
            Self::Sigmoid => "Sigmoid",
            Self::Tanh => "Tanh",
            Self::ScaledTanh => "ScaledTanh",
        }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single(inputs)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        self.apply(first(call.inputs)?)
    }
}

impl Activation {
    /// What the kernels call it; a scaled tanh they don't know.
    pub const fn in_kernels(self) -> Option<zoo_kernels::Activation> {
        match self {
            Self::Relu => Some(zoo_kernels::Activation::Relu),
            Self::Relu6 => Some(zoo_kernels::Activation::Relu6),
            Self::Sigmoid => Some(zoo_kernels::Activation::Sigmoid),
            Self::Tanh => Some(zoo_kernels::Activation::Tanh),
            Self::ScaledTanh => None,
        }
    }

    fn write<T: Element>(self, from: &[T], into: &mut [T]) -> Result<(), KernelError> {
        if let Some(activation) = self.in_kernels() {
            return activation::forward(activation, from, into);
        }
        let (amplitude, slope) = (T::from_f64(Self::SCALED_TANH.0), T::from_f64(Self::SCALED_TANH.1));
        for (into, x) in into.iter_mut().zip(from) {
            *into = amplitude * (*x * slope).tanh();
        }
        Ok(())
    }
}

impl CpuKernel for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::OUT
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, in_place, .. } = run;
        if in_place {
            return over(out, 1, 4096, |_, x, y| self.write(x, y));
        }
        self.write(args[0].data, out)
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { out, grad, .. } = back;
        let Some(into) = &mut grads[0] else { return Ok(()) };
        if let Some(activation) = self.in_kernels() {
            return activation::backward(activation, out, grad, into);
        }
        // With y = A tanh(S x), dy/dx = S (A - y² / A).
        let (amplitude, slope) = (T::from_f64(Self::SCALED_TANH.0), T::from_f64(Self::SCALED_TANH.1));
        for (into, (y, grad)) in into.iter_mut().zip(out.iter().zip(grad)) {
            *into = *grad * slope * (amplitude - *y * *y / amplitude);
        }
        Ok(())
    }
}

/// What the kernels call the activation that follows an operation, if any follows; nothing if they don't know it.
pub(super) fn known(following: Option<Activation>) -> Option<zoo_kernels::Activation> {
    following.map_or(Some(zoo_kernels::Activation::Identity), Activation::in_kernels)
}
