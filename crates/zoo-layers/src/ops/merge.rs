//! Operations on several inputs.

use candle_core::Tensor;

use super::{Call, Operation, Result, first};
use crate::Shape;

/// The element-wise sum of two or more equal shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add;

impl Operation for Add {
    fn kind(&self) -> &'static str {
        "Add"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [first, rest @ ..] = inputs else {
            return Err("it takes at least one input, got none".into());
        };
        match rest.iter().find(|shape| *shape != first) {
            Some(other) => Err(format!("it adds equal shapes, got {first} and {other}")),
            None => Ok(*first),
        }
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let mut sum = first(call.inputs)?.clone();
        for x in call.inputs.iter().skip(1) {
            sum = (sum + x)?;
        }
        Ok(sum)
    }
}

/// Maps of one size with their channels side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat;

impl Operation for Concat {
    fn kind(&self) -> &'static str {
        "Concat"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [first, rest @ ..] = inputs else {
            return Err("it takes at least one input, got none".into());
        };
        let fits = |shape: &&Shape| {
            shape.size() == first.size() && std::mem::discriminant(*shape) == std::mem::discriminant(first)
        };
        if let Some(other) = rest.iter().find(|shape| !fits(shape)) {
            return Err(format!("it joins the channels of maps of one size, got {first} and {other}"));
        }
        let channels = inputs.iter().map(Shape::channels).sum();
        Ok(match *first {
            Shape::Map { height, width, .. } => Shape::map(channels, height, width),
            Shape::Vector { .. } => Shape::vector(channels),
        })
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        Tensor::cat(call.inputs, 1)
    }
}

/// A map times one number for each channel: the "scale" of squeeze-and-excitation (Hu et al. 2017,
/// equation 4). The second input is `(n, c, 1, 1)` or `(n, c)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleChannels;

impl Operation for ScaleChannels {
    fn kind(&self) -> &'static str {
        "ScaleChannels"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [map @ Shape::Map { channels, .. }, scale]
                if scale.size() == [1, 1] && scale.channels() == *channels =>
            {
                Ok(*map)
            }
            [map, scale] => {
                Err(format!("it scales a map by one number for each channel, got {map} and {scale}"))
            }
            _ => Err(format!("it takes a map and its scales, got {} inputs", inputs.len())),
        }
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let [map, scale] = call.inputs else {
            candle_core::bail!(
                "a channel scale takes a map and its scales, got {} inputs",
                call.inputs.len()
            );
        };
        let (n, c, _, _) = map.dims4()?;
        map.broadcast_mul(&scale.reshape((n, c, 1, 1))?)
    }
}
