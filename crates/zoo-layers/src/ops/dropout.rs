//! Dropout (Srivastava et al. 2014).

use candle_core::Tensor;

use super::{Call, Mode, Operation, Result, first, single};
use crate::Shape;

/// In training, each value is set to zero with `probability`, and the others are divided by `1 - probability`;
/// else nothing happens. The mask is a function of the network's seed, the step and the node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// How likely a value is dropped.
    pub probability: f64,
}

impl Operation for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }

    fn detail(&self) -> String {
        format!("p {}", self.probability)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match (0.0..1.0).contains(&self.probability) {
            true => single(inputs),
            false => {
                Err(format!("its probability is {}; it must be at least 0 and below 1", self.probability))
            }
        }
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, mut call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        if call.mode == Mode::Eval || self.probability == 0.0 {
            return Ok(x.clone());
        }
        let keep = (1.0 / (1.0 - self.probability)) as f32;
        let mut draw = || match call.random.uniform() < self.probability {
            true => 0.0,
            false => keep,
        };
        let mask: Vec<f32> = (0..x.elem_count()).map(|_| draw()).collect();
        x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?
    }
}
