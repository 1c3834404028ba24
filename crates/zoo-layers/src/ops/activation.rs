//! Element-wise non-linearities.

use candle_core::Tensor;

use super::{Call, Operation, Result, composed, first, single};
use crate::Shape;

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

/// LeCun et al. 1998, appendix A: the amplitude A and the slope S.
const SCALED_TANH: (f64, f64) = (1.7159, 2.0 / 3.0);

impl Activation {
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
                let (amplitude, slope) = SCALED_TANH;
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

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        self.apply(first(call.inputs)?)
    }
}
