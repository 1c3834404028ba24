//! The radial basis output of LeNet-5.

use std::sync::Arc;

use candle_core::Tensor;

use super::{Call, Operation, ParamSpec, Result, first, param, single};
use crate::{Init, Shape};

/// One unit for each class, which measures how far the input is from the class's code:
/// `y_i = Σ_j (x_j − code_ij)²` (LeCun et al. 1998, equation 7). The codes are a buffer `weight`
/// `(classes, features)`; the output is minus the distance, so that the largest is the answer, as with logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Rbf {
    /// Number of classes.
    pub classes: usize,
    /// The codes, class by class.
    pub codes: Arc<[f32]>,
}

impl Operation for Rbf {
    fn kind(&self) -> &'static str {
        "RBF"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let features = match single(inputs)? {
            Shape::Vector { features } => features,
            map @ Shape::Map { .. } => return Err(format!("it takes a vector, got a map of {map}")),
        };
        match self.classes > 0 && self.codes.len() == self.classes * features {
            true => Ok(Shape::vector(self.classes)),
            false => Err(format!(
                "its {} code values are not {features} for each of {} classes",
                self.codes.len(),
                self.classes
            )),
        }
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let features = inputs.first().map_or(0, Shape::channels);
        vec![ParamSpec::buffer("weight", [self.classes, features], Init::Values(Arc::clone(&self.codes)))]
    }

    fn macs(&self, inputs: &[Shape], output: &Shape) -> u64 {
        (inputs.first().map_or(0, Shape::channels) as u64).saturating_mul(output.elements() as u64)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?.unsqueeze(1)?;
        x.broadcast_sub(&param(call.params, 0)?.unsqueeze(0)?)?.sqr()?.sum(2)?.neg()
    }
}
