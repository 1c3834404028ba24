//! Convolutions with one input and one output channel in each group, directly on planes.
//!
//! Kernels of 3x3 with a stride of 1 or 2 go straight over the plane (`three`). Of all others,
//! a plane is copied with its padding into a scratch of phases: with strides `(sh, sw)`, the pixels whose row is
//! `py` modulo `sh` and whose column is `px` modulo `sw` lie together as a plane of their own. There, every tap
//! of every stride is one fixed offset from the output pixel, so that all passes are loops over rows of whole vectors.
//! A row's last vector ends with the row, whatever it has in common with the one before it.

#![expect(unsafe_code, reason = "vector loops through pointers over scratch with slack for whole vectors")]

mod halving;
mod layout;
mod spread;
mod three;
mod weights;

use std::ops::Range;

use super::forward::Layer;
use super::spec::{Conv2d, Padding};
use crate::element::Element;
use crate::epilogue::{Epilogue, Line};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, ranges};
use crate::scratch;
use crate::simd::Lanes;
use halving::Way;
pub(super) use layout::{Layout, fits, suits};
pub(super) use weights::{correlate_taps, grad_weight};

/// Numbers that a loop over whole vectors may reach past the end.
pub(super) const SLACK: usize = 64;
/// Tasks worth having.
const TASKS: usize = 32;
/// Taps whose weights stay in registers: those of a 3x3 kernel.
const FEW: usize = 9;

/// Whether it is the 3x3 kernel with a padding of 1, which nearly all depthwise layers have, on an instruction set that can
/// mask lanes out.
fn is_three(isa: Isa, spec: &Conv2d) -> bool {
    let (kernel, padding) = (spec.kernel_size == [3, 3], spec.padding == Padding::all(1));
    isa != Isa::Portable && kernel && padding && spec.dilation == [1, 1]
}

/// Runs `plane` for ranges of planes.
fn for_planes(planes: usize, pixels: usize, run: impl Fn(Range<usize>) + Sync + Send) {
    ranges(planes, planes.div_ceil(TASKS), pixels, run);
}

pub(super) fn forward<T: Element>(
    layer: &Layer<'_>,
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    if three::suits(layer.isa, layer.spec) {
        return three::run(layer.isa, layer.shape, false, input, weight, epilogue, out);
    }
    if halving::suits(layer.isa, layer.spec) {
        return halving::run(layer.isa, layer.shape, Way::Forward, input, weight, epilogue, out);
    }
    let layout = &Layout::new(layer.spec, layer.shape, layer.output);
    run(layer, layout, false, input, weight, epilogue, out);
}

pub(super) fn grad_input<T: Element>(
    layer: &Layer<'_>,
    grad_out: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    grad_input: &mut [T],
) {
    if halving::suits(layer.isa, layer.spec) {
        return halving::run(layer.isa, layer.shape, Way::Back, grad_out, weight, epilogue, grad_input);
    }
    let Some(spec) = turned(layer) else {
        return spread::grad_input(layer, grad_out, weight, epilogue, grad_input);
    };
    if three::suits(layer.isa, &spec) {
        return three::run(layer.isa, layer.shape, true, grad_out, weight, epilogue, grad_input);
    }
    let layout = &Layout::new(&spec, layer.output, layer.shape);
    run(layer, layout, true, grad_out, weight, epilogue, grad_input);
}

/// With a stride of 1 the input's gradient is a convolution of the output's, with the kernel turned by half a turn.
fn turned(layer: &Layer<'_>) -> Option<Conv2d> {
    let (spec, p) = (layer.spec, layer.spec.padding);
    let [y, x] = [0, 1].map(|i| (spec.kernel_size[i] - 1) * spec.dilation[i]);
    let padding = Padding {
        top: y.checked_sub(p.top)?,
        bottom: y.checked_sub(p.bottom)?,
        left: x.checked_sub(p.left)?,
        right: x.checked_sub(p.right)?,
    };
    (spec.stride == [1, 1]).then_some(Conv2d { padding, ..*spec })
}

fn run<T: Element>(
    layer: &Layer<'_>,
    layout: &Layout,
    turned: bool,
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let ([n, c, h, w], out) = (layer.shape, Shared::new(out));
    for_planes(n * c, h * w, |planes| {
        dispatch(layer.isa, Forward { layout, turned, planes, input, weight, epilogue, out });
    });
}

struct Forward<'a, T> {
    layout: &'a Layout,
    /// Whether the last weight belongs to the first tap.
    turned: bool,
    planes: Range<usize>,
    input: &'a [T],
    weight: &'a [T],
    epilogue: &'a Epilogue<'a, T>,
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let layout = self.layout;
        let (count, [h, w], [oh, ow]) = (layout.taps.len(), layout.input, layout.output);
        let mut phases = scratch::take_zeroed::<T>(layout.phases() * layout.phase_len() + SLACK);
        let mut taps: Vec<(usize, T)> = layout.places().map(|place| (place, T::ZERO)).collect();
        for plane in self.planes {
            let channel = plane % layout.spec.in_channels;
            let weights = &self.weight[channel * count..(channel + 1) * count];
            for (i, tap) in taps.iter_mut().enumerate() {
                tap.1 = weights[if self.turned { count - 1 - i } else { i }];
            }
            layout.fill::<S, T>(&self.input[plane * h * w..(plane + 1) * h * w], &mut phases);
            let follows = self.epilogue.of(channel, plane * oh * ow);
            // SAFETY: a tap's offset plus the last pixel's place lies within its phase, and behind the last is slack;
            // the plane of `out` is this task's, and the residual has it too.
            unsafe {
                let to = self.out.get().add(plane * oh * ow);
                let rows = Rows { from: phases.as_ptr(), line: layout.phase[1], to, width: ow, follows };
                match taps.first_chunk::<FEW>() {
                    Some(taps) if count == FEW => {
                        let offsets = taps.map(|tap| tap.0);
                        let weights = taps.map(|tap| S::splat(tap.1));
                        for y in 0..oh {
                            rows.row::<S, _>(y, &Few { offsets, weights });
                        }
                    }
                    _ => {
                        for y in 0..oh {
                            rows.row::<S, _>(y, &Any { taps: &taps });
                        }
                    }
                }
            }
        }
    }
}

/// The sums over taps of some vectors side by side.
trait Taps<S: Lanes> {
    /// Of the pixels from `from` on.
    ///
    /// # Safety
    /// Every tap's vectors can be read.
    unsafe fn sums<const V: usize>(&self, from: *const S::Elem) -> [S; V];
}

/// Few taps, whose weights stay in registers.
struct Few<S> {
    offsets: [usize; FEW],
    weights: [S; FEW],
}

impl<S: Lanes> Taps<S> for Few<S> {
    #[inline(always)]
    unsafe fn sums<const V: usize>(&self, from: *const S::Elem) -> [S; V] {
        let mut sums = [S::splat(S::Elem::ZERO); V];
        for (&offset, &weight) in self.offsets.iter().zip(&self.weights) {
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *sum = sum.fma(weight, unsafe { S::load(from.add(offset + v * S::N)) });
            }
        }
        sums
    }
}

/// As many taps as there are.
struct Any<'a, T> {
    taps: &'a [(usize, T)],
}

impl<S: Lanes> Taps<S> for Any<'_, S::Elem> {
    #[inline(always)]
    unsafe fn sums<const V: usize>(&self, from: *const S::Elem) -> [S; V] {
        let mut sums = [S::splat(S::Elem::ZERO); V];
        for &(offset, weight) in self.taps {
            let weight = S::splat(weight);
            for (v, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *sum = sum.fma(weight, unsafe { S::load(from.add(offset + v * S::N)) });
            }
        }
        sums
    }
}

/// A plane's rows: of the phases, `line` apart, and of the output, `width` apart.
struct Rows<T> {
    from: *const T,
    line: usize,
    to: *mut T,
    width: usize,
    follows: Line<T>,
}

impl<T: Element> Rows<T> {
    /// Computes one.
    ///
    /// # Safety
    /// There is row `y` on both sides, with slack for a vector behind what each tap sees.
    #[inline(always)]
    unsafe fn row<S: Lanes<Elem = T>, X: Taps<S>>(&self, y: usize, taps: &X) {
        let (mut x, at) = (0, y * self.width);
        // SAFETY: whole vectors end with the row; one that is cut reads at most the slack further.
        unsafe {
            let from = self.from.add(y * self.line);
            while x + 2 * S::N <= self.width {
                for (v, sum) in taps.sums::<2>(from.add(x)).into_iter().enumerate() {
                    self.follows.store(sum, self.to, at + x + v * S::N, S::N);
                }
                x += 2 * S::N;
            }
            while x < self.width {
                // The last vector ends with the row if the row has a whole one.
                x = x.min(self.width.saturating_sub(S::N));
                let [sum] = taps.sums::<1>(from.add(x));
                self.follows.store(sum, self.to, at + x, S::N.min(self.width - x));
                x += S::N;
            }
        }
    }
}
