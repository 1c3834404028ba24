//! Files written and read back, by a reader that knows ONNX and nothing of the zoo.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod reader;
mod registry;
mod shapes;
mod values;

use zoo_layers::Param;
use zoo_onnx::Weights;

/// For files whose weights lie elsewhere: nobody asks for values.
struct Nothing;

impl Weights for Nothing {
    fn values(
        &self,
        param: &Param,
        _take: &mut dyn FnMut(&[f32]) -> zoo_onnx::Result<()>,
    ) -> zoo_onnx::Result<()> {
        panic!("somebody asks for `{}`", param.name)
    }
}
