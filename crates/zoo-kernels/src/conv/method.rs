//! How a convolution is computed: a value, decided in one place, which the kernels do.

use std::fmt;

use super::flat::gap;
use super::forward::view;
use super::spec::{Conv2d, Padding};
use super::{depthwise, pairs, winograd};
use crate::error::{Result, Shape};
use crate::isa::Isa;

/// A pass of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pass {
    /// The output.
    Forward,
    /// The gradient of the input.
    GradInput,
    /// The gradient of the weight.
    GradWeight,
}

/// A way to compute a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Plane by plane: one channel to a group on both sides.
    Depthwise,
    /// Pair by pair of an input and an output channel, each as if depthwise.
    Pairs,
    /// Winograd's F(4x4, 3x3), all weights transformed first.
    WinogradBlocks,
    /// Winograd's F(4x4, 3x3), weights transformed on the way, some channels at a time.
    WinogradPanels,
    /// A product with the unfolded picture, read in place: from a padded copy, or the picture itself.
    InPlace,
    /// A product with the unfolded output's gradient, which is read in place, and the input turned.
    GradientInPlace,
    /// A product with the unfolded picture, packed from a padded copy.
    Padded,
    /// A product with the unfolded picture, packed from the picture.
    Packed,
}

impl Method {
    /// Whether it is one of Winograd's.
    pub(crate) fn is_winograd(self) -> bool {
        matches!(self, Self::WinogradBlocks | Self::WinogradPanels)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Depthwise => "depthwise",
            Self::Pairs => "pairs of channels",
            Self::WinogradBlocks => "winograd, weights first",
            Self::WinogradPanels => "winograd, by panels",
            Self::InPlace => "product, in place",
            Self::GradientInPlace => "product, gradient in place",
            Self::Padded => "product, padded copy",
            Self::Packed => "product, packed",
        })
    }
}

/// How a pass of a convolution of an input of the shape `shape` is computed with the instruction set in use.
///
/// The forward pass of a picture sums up in the same way, to the last bit, however many others are in the batch;
/// gradients may not.
///
/// # Errors
/// As [`Conv2d::output_shape`].
pub fn choose(pass: Pass, spec: &Conv2d, shape: Shape) -> Result<Method> {
    Ok(pick(pass, spec, shape, spec.output_shape(shape)?))
}

/// The same with everything checked.
pub(super) fn pick(pass: Pass, spec: &Conv2d, shape: Shape, output: Shape) -> Method {
    let ([n, c, h, w], [_, _, oh, ow]) = (shape, output);
    let pairs = c.saturating_mul(spec.out_channels);
    if depthwise::suits(spec, shape, output) {
        return Method::Depthwise;
    }
    match pass {
        // Asked for one picture: its answer must not depend, to the last bit, on how many others are in the batch.
        Pass::Forward if winograd::suits(spec, [1, c, h, w], [oh, ow]) => {
            winograd::method([n, oh, ow], pairs)
        }
        Pass::GradInput if winograd::suits(spec, shape, [h, w]) => winograd::method([n, h, w], pairs),
        Pass::Forward => forward_product(spec, shape, output),
        Pass::GradInput => backward_product(spec, shape, output),
        Pass::GradWeight if pairs::suits(spec, shape, output) => Method::Pairs,
        Pass::GradWeight if winograd::suits_grad_weight(spec, shape, [oh, ow]) => Method::WinogradPanels,
        Pass::GradWeight => weight_product(spec, shape, output),
    }
}

/// The product of a forward pass.
pub(super) fn forward_product(spec: &Conv2d, shape: Shape, output: Shape) -> Method {
    let bounded = spec.bounded(shape, output);
    let view = view(&bounded, shape, [output[2], output[3]]);
    let rows = spec.out_channels / spec.groups;
    let depth = spec.in_channels / spec.groups * view.taps.len();
    let plain = view.taps.len() == 1 && view.step == [1, 1];
    product(spec, shape, output, plain, [rows, depth], [gap(&view), output[3]])
}

/// The products of an input gradient: one for each of the stride's phases, of which the first has the most taps.
pub(super) fn backward_product(spec: &Conv2d, shape: Shape, output: Shape) -> Method {
    let bounded = spec.bounded(shape, output);
    let side = |i: usize| spec.kernel_size[i].div_ceil(bounded.stride[i]);
    let (rows, taps) = (spec.in_channels / spec.groups, side(0) * side(1));
    let depth = (spec.out_channels / spec.groups).saturating_mul(taps);
    let gap = ((spec.kernel_size[1] - 1) * spec.dilation[1]) / bounded.stride[1];
    product(spec, shape, output, taps == 1, [rows, depth], [gap, shape[3].div_ceil(bounded.stride[1])])
}

/// A padded copy's rows have gaps, for which the product is computed too; that is compared with packing, both
/// counted in vector instructions for one number of each sum and two vectors of pixels.
fn product(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    plain: bool,
    [rows, depth]: [usize; 2],
    [gap, width]: [usize; 2],
) -> Method {
    let wasted = rows.saturating_mul(gap) / width;
    if plain || wasted > 18 || !depthwise::fits(spec, shape, output) {
        Method::Packed
    } else if rows <= 32 || depth <= 288 {
        // What a tile reads stays in the first-level cache, or few tiles read it.
        Method::InPlace
    } else if wasted <= 12 {
        Method::Padded
    } else {
        Method::Packed
    }
}

/// The product of a weight's gradient.
fn weight_product(spec: &Conv2d, shape: Shape, [_, o, oh, ow]: Shape) -> Method {
    let (channels, outs) = (spec.in_channels / spec.groups, o / spec.groups);
    let dense = spec.kernel_size == [1, 1] && spec.stride == [1, 1] && spec.padding == Padding::all(0);
    let lanes = Isa::current().lanes::<f32>();
    // Multiply-adds of whole vectors, the turning of the right side, and that of the result.
    let cost = |rows: usize, columns: usize, turned: usize| {
        let vectors = columns.div_ceil(lanes);
        (shape[0] * oh * ow * vectors).saturating_mul(rows + 8).saturating_add(turned)
    };
    if dense && cost(channels, outs, 16 * channels * outs) >= cost(outs, channels, 0) {
        Method::GradientInPlace
    } else if super::unfolded::fits(&view(&spec.bounded(shape, [1, o, oh, ow]), shape, [oh, ow]), shape) {
        Method::InPlace
    } else {
        Method::Packed
    }
}
