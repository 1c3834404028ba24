//! How much memory a convolution works in beside its arguments and result.

use super::method::{Method, Pass, choose};
use super::spec::Conv2d;
use super::winograd;
use crate::error::{Result, Shape};

/// About how many numbers a pass holds for a while, in the calling thread's scratch: transformed pictures and weights,
/// packed weights. What the other threads hold is smaller than their caches and not counted.
///
/// # Errors
/// As [`Conv2d::output_shape`].
pub fn working(pass: Pass, spec: &Conv2d, shape: Shape) -> Result<usize> {
    let [_, _, oh, ow] = spec.output_shape(shape)?;
    let [n, c, h, w] = shape;
    let weights = spec.weight_shape().iter().product();
    let (from, side) = match pass {
        Pass::GradInput => (spec.out_channels, [h, w]),
        Pass::Forward | Pass::GradWeight => (c, [oh, ow]),
    };
    Ok(match (choose(pass, spec, shape)?, pass) {
        (Method::WinogradPanels, Pass::GradWeight) => {
            winograd::grad_weight_working([c, spec.out_channels], [n, oh, ow])
        }
        (Method::WinogradPanels, _) => winograd::panels_working(from, [n, side[0], side[1]]),
        (Method::WinogradBlocks, _) => winograd::transformed_len(spec),
        (Method::Depthwise | Method::Pairs, _) => 0,
        (Method::InPlace | Method::GradientInPlace | Method::Padded | Method::Packed, _) => weights,
    })
}
