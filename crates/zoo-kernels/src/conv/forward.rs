//! The forward pass.

use super::depthwise;
use super::gather::{Gather, Target};
use super::runs::{Tap, View};
use super::spec::Conv2d;
use super::winograd;
use crate::element::Element;
use crate::error::{Result, Shape, check_len};
use crate::isa::Isa;

/// `out = conv(input, weight) + bias`.
///
/// `input` has the shape `shape`, `weight` [`Conv2d::weight_shape`], `bias` one number for each output channel,
/// `out` [`Conv2d::output_shape`].
///
/// # Errors
/// As [`Conv2d::output_shape`], or a slice isn't as long as its shape.
pub fn forward<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    out: &mut [T],
) -> Result<()> {
    let op = "conv2d";
    let output = spec.output_shape(shape)?;
    check_len(op, "input", input.len(), &shape)?;
    check_len(op, "weight", weight.len(), &spec.weight_shape())?;
    if let Some(bias) = bias {
        check_len(op, "bias", bias.len(), &[spec.out_channels])?;
    }
    check_len(op, "out", out.len(), &output)?;
    correlate(spec, shape, output, input, weight, bias, out);
    Ok(())
}

/// The forward pass with everything checked.
pub(super) fn correlate<T: Element>(
    spec: &Conv2d,
    [n, c, h, w]: Shape,
    [_, _, oh, ow]: Shape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let (shape, output) = ([n, c, h, w], [n, spec.out_channels, oh, ow]);
    if depthwise::suits(spec, shape, output) {
        return depthwise::forward(spec, shape, output, input, weight, bias, out);
    }
    // Asked for one picture: its answer must not depend, to the last bit, on how many others are in the batch.
    if winograd::suits(spec, [1, c, h, w], [oh, ow]) {
        return winograd::forward(spec, shape, [oh, ow], input, weight, bias, out);
    }
    let spec = &spec.bounded(shape, output);
    let view = view(spec, shape, [oh, ow]);
    let (rows, pixels) = (spec.out_channels / spec.groups, oh * ow);
    let target = Target { picture: spec.out_channels * pixels, channel: pixels, row: ow, column: 1, base: 0 };
    Gather {
        isa: Isa::current(),
        pictures: n,
        groups: spec.groups,
        channels: c / spec.groups,
        source_channel: h * w,
        source: input,
        view: &view,
        weights: weight,
        rows,
        bias,
        width: ow,
        line: ow,
        offsets: None,
        target,
    }
    .run(out);
}

/// How the output pixels see the input.
pub(super) fn view(spec: &Conv2d, [_, c, h, w]: Shape, grid: [usize; 2]) -> View {
    let [kh, kw] = spec.kernel_size;
    let taps = (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx)));
    let taps = taps
        .map(|(ky, kx)| Tap {
            dy: (ky * spec.dilation[0]) as isize - spec.padding.top as isize,
            dx: (kx * spec.dilation[1]) as isize - spec.padding.left as isize,
        })
        .collect();
    View { source: [h, w], source_picture: c * h * w, grid, step: spec.stride, taps }
}
