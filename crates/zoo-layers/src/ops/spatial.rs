//! Operations that only move pixels.

use candle_core::Tensor;

use super::{Call, Operation, Result, composed, first, single, single_map};
use crate::Shape;

/// A map `(n, c, h, w)` read as a vector `(n, c·h·w)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten;

impl Operation for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::vector(single(inputs)?.elements()))
    }

    fn is_view(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        first(call.inputs)?.flatten_from(1)
    }
}

/// Every `stride`-th pixel along rows and columns, from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Steps, rows then columns.
    pub stride: [usize; 2],
}

impl Operation for Subsample {
    fn kind(&self) -> &'static str {
        "Subsample"
    }

    fn detail(&self) -> String {
        format!("stride {}", self.stride[0])
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, [height, width]) = single_map(inputs)?;
        let [rows, columns] = self.stride;
        match rows == 0 || columns == 0 {
            true => Err(format!("its stride is {rows}x{columns}; both must be at least 1")),
            false => Ok(Shape::map(channels, height.div_ceil(rows), width.div_ceil(columns))),
        }
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        composed::subsample(first(call.inputs)?, self.stride)
    }
}
