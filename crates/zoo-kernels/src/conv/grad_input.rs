//! The gradient of the input, which is also the transposed convolution.
//!
//! With a stride, the pixels of the input fall into `stride[0] * stride[1]` phases: those of one phase are
//! reached by the same taps, and reached by no others. Each phase is a product of its own with the weights of
//! its taps, so that nothing is multiplied by the zeros between strided pixels.

#![expect(unsafe_code, reason = "tasks write disjoint planes through one pointer")]

use std::ops::Range;

use super::depthwise;
use super::forward::Layer;
use super::gather::{Gather, Target};
use super::method::{Method, Pass, pick};
use super::runs::{Tap, View};
use super::spec::Conv2d;
use crate::element::{Checked, Element};
use crate::epilogue::Epilogue;
use crate::error::{Result, Shape, check_len};
use crate::gemm::left::{Left, Source};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::scratch;
use crate::simd::Lanes;

/// `grad_input[i]` = the sum of `grad_out[j] * weight` over all outputs `j` that `input[i]` went into.
///
/// `shape` is the input's; `grad_out` has [`Conv2d::output_shape`].
///
/// # Errors
/// As [`super::forward`].
pub fn grad_input<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    grad_out: &[T],
    weight: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "conv2d grad_input";
    let output = spec.output_shape(shape)?;
    check_len(op, "grad_out", grad_out.len(), &output)?;
    check_len(op, "weight", weight.len(), &spec.weight_shape())?;
    check_len(op, "grad_input", grad_input.len(), &shape)?;
    let layer = Layer { isa: Isa::current(), spec, shape, output };
    let method = pick(Pass::GradInput, spec, shape, output);
    if method.is_winograd() {
        T::winograd_grad_input(Checked, &layer, method, grad_out, weight, grad_input);
    } else {
        T::conv_spread(Checked, &layer, method, grad_out, weight, &Epilogue::default(), grad_input);
    }
    Ok(())
}

/// The taps of one phase along one side: `(tap, offset in the output)`.
fn phase_taps(
    phase: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
) -> Vec<(usize, isize)> {
    (0..kernel)
        .filter_map(|tap| {
            let reach = (phase + padding) as isize - (tap * dilation) as isize;
            (reach.rem_euclid(stride as isize) == 0).then(|| (tap, reach.div_euclid(stride as isize)))
        })
        .collect()
}

/// The gradient with everything checked, by `method`, which isn't Winograd's; `epilogue` is the transposed
/// convolution's.
pub(super) fn spread<T: Element>(
    layer: &Layer<'_>,
    method: Method,
    grad_out: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    grad_input: &mut [T],
) {
    if method == Method::Depthwise {
        return depthwise::grad_input(layer, grad_out, weight, epilogue, grad_input);
    }
    let ([n, c, h, w], [_, o, oh, ow]) = (layer.shape, layer.output);
    let spec = &layer.spec.bounded(layer.shape, layer.output);
    let [kh, kw] = spec.kernel_size;
    let [sh, sw] = spec.stride;
    let (group_c, group_o) = (c / spec.groups, o / spec.groups);
    let phases: Vec<_> = (0..sh.min(h)).flat_map(|py| (0..sw.min(w)).map(move |px| (py, px))).collect();
    let taps_of = |(py, px)| {
        let ys: Vec<(usize, isize)> = phase_taps(py, kh, sh, spec.dilation[0], spec.padding.top);
        let xs = phase_taps(px, kw, sw, spec.dilation[1], spec.padding.left);
        (ys, xs)
    };
    if phases.iter().any(|&phase| taps_of(phase).0.is_empty() || taps_of(phase).1.is_empty()) {
        // Pixels that no tap reaches get no product to write them.
        let (pixels, zeros) = (h * w, vec![T::ZERO; h * w]);
        let to = Shared::new(grad_input);
        ranges(n * c, planes_each(pixels), pixels, |planes| {
            dispatch(layer.isa, Unreached { zeros: &zeros, channels: c, planes, epilogue, to });
        });
    }
    for (py, px) in phases {
        let (ys, xs) = taps_of((py, px));
        if ys.is_empty() || xs.is_empty() {
            continue;
        }
        let picks: Vec<usize> = ys.iter().flat_map(|y| xs.iter().map(move |x| y.0 * kw + x.0)).collect();
        let taps = ys.iter().flat_map(|y| xs.iter().map(move |x| Tap { dy: y.1, dx: x.1 })).collect();
        // The weight of input channel, output channel and tap.
        let source = Source {
            data: weight,
            groups: spec.groups,
            group_step: group_o * group_c * kh * kw,
            rows: group_c,
            row_step: kh * kw,
            outer: group_o,
            outer_step: group_c * kh * kw,
            picks: &picks,
        };
        let mut packed = scratch::take_shared(source.packed_len(layer.isa));
        source.pack(layer.isa, &mut packed);
        let grid = [(h - py).div_ceil(sh), (w - px).div_ceil(sw)];
        let view = View { source: [oh, ow], source_picture: o * oh * ow, grid, step: [1, 1], taps };
        Gather {
            isa: layer.isa,
            method,
            pictures: n,
            groups: spec.groups,
            channels: group_o,
            source_channel: oh * ow,
            source: grad_out,
            view: &view,
            weights: Left::Packed(&packed),
            rows: group_c,
            epilogue,
            width: grid[1],
            line: grid[1],
            offsets: None,
            target: Target { picture: c * h * w, channel: h * w, row: sh * w, column: sw, base: py * w + px },
        }
        .run(grad_input);
    }
}

/// Planes of which some pixels are reached by no tap: what follows a sum of nothing.
struct Unreached<'a, T> {
    zeros: &'a [T],
    channels: usize,
    planes: Range<usize>,
    epilogue: &'a Epilogue<'a, T>,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Unreached<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        for plane in self.planes {
            let at = plane * self.zeros.len();
            let line = self.epilogue.of(plane % self.channels, at);
            // SAFETY: the plane is this task's, and the residual has it.
            unsafe { line.copy::<S>(self.zeros.as_ptr(), self.to.get().add(at), self.zeros.len()) };
        }
    }
}
