//! The forward pass.

use super::gather::{Gather, Target};
use super::method::{Method, Pass, pick};
use super::runs::{Tap, View};
use super::spec::Conv2d;
use super::winograd;
use crate::element::{Checked, Element};
use crate::epilogue::Epilogue;
use crate::error::{Result, Shape, check_len};
use crate::gemm::left::{Left, Source};
use crate::isa::Isa;
use crate::scratch;

/// Pixels from which on weights are packed: with fewer, packing takes longer than it saves.
pub(super) const PACK: usize = 512;

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
    forward_with(spec, shape, input, weight, &Epilogue::bias(bias), out)
}

/// `out` = what `epilogue` makes of `conv(input, weight)`.
///
/// # Errors
/// As [`forward`].
pub fn forward_with<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) -> Result<()> {
    let op = "conv2d";
    let output = spec.output_shape(shape)?;
    check_len(op, "input", input.len(), &shape)?;
    check_len(op, "weight", weight.len(), &spec.weight_shape())?;
    epilogue.check(op, spec.out_channels, &output)?;
    check_len(op, "out", out.len(), &output)?;
    let layer = Layer { isa: Isa::current(), spec, shape, output };
    let method = pick(Pass::Forward, spec, shape, output);
    epilogue.run(out, |epilogue, out| match method {
        Method::Depthwise => T::depthwise_forward(Checked, &layer, input, weight, epilogue, out),
        Method::WinogradPanels => T::winograd_panels(Checked, &layer, input, weight, epilogue, out),
        Method::WinogradBlocks => {
            let mut transformed = scratch::take_shared(winograd::transformed_len(spec));
            T::winograd_weights(Checked, layer.isa, spec, weight, &mut transformed);
            T::winograd_blocks(Checked, &layer, input, &transformed, epilogue, out);
        }
        method if shape[0] * output[2] * output[3] < PACK => {
            T::conv_product(Checked, &layer, method, input, Left::Rows(weight), epilogue, out);
        }
        method => {
            let source = layer.left(weight);
            let mut packed = scratch::take_shared(source.packed_len(layer.isa));
            source.pack(layer.isa, &mut packed);
            T::conv_product(Checked, &layer, method, input, Left::Packed(&packed), epilogue, out);
        }
    });
    Ok(())
}

/// A convolution of checked shapes.
#[derive(Clone, Copy)]
pub struct Layer<'a> {
    pub(super) isa: Isa,
    pub(super) spec: &'a Conv2d,
    pub(super) shape: Shape,
    pub(super) output: Shape,
}

impl Layer<'_> {
    /// The weight as a product's left side.
    pub(super) fn left<'w, T: Element>(&self, weight: &'w [T]) -> Source<'w, T> {
        let (spec, rows) = (self.spec, self.spec.out_channels / self.spec.groups);
        Source::dense(weight, spec.groups, rows, weight.len() / spec.out_channels)
    }
}

/// The forward pass by one of the methods that make a product of it.
pub(super) fn product<T: Element>(
    layer: &Layer<'_>,
    method: Method,
    input: &[T],
    weights: Left<'_, T>,
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let ([n, c, h, w], [_, o, oh, ow]) = (layer.shape, layer.output);
    let spec = &layer.spec.bounded(layer.shape, layer.output);
    let pixels = oh * ow;
    Gather {
        isa: layer.isa,
        method,
        pictures: n,
        groups: spec.groups,
        channels: c / spec.groups,
        source_channel: h * w,
        source: input,
        view: &view(spec, layer.shape, [oh, ow]),
        weights,
        rows: o / spec.groups,
        epilogue,
        width: ow,
        line: ow,
        offsets: None,
        target: Target { picture: o * pixels, channel: pixels, row: ow, column: 1, base: 0 },
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
