//! The 3x3 kernel with a stride and a padding of 1, which nearly all depthwise layers have, straight from the plane.
//!
//! A strip of columns as wide as a vector goes down the plane. Of each row it reads three vectors: the row itself, and
//! the row shifted by one to either side; lanes that lie outside the plane are masked out. The three rows of outputs (or
//! of their gradient) that this row has to do with are in registers, so that nine multiply-adds need three loads.

#![expect(unsafe_code, reason = "vector loops down a plane through pointers")]

use std::array::from_fn;
use std::ops::Range;

use super::super::spec::Conv2d;
use super::{for_planes, is_three};
use crate::element::Element;
use crate::epilogue::{Epilogue, Line};
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::Shared;
use crate::simd::Lanes;

/// Whether it is that kernel, on an instruction set that can mask lanes out.
pub(super) fn suits(isa: Isa, spec: &Conv2d) -> bool {
    is_three(isa, spec) && spec.stride == [1, 1]
}

/// Every plane of the shape `(n, c, h, w)` with its channel's weights; with the last of them first if `turned`.
pub(super) fn run<T: Element>(
    isa: Isa,
    [n, c, h, w]: Shape,
    turned: bool,
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) {
    let out = Shared::new(out);
    for_planes(n * c, h * w, |planes| {
        dispatch(isa, Forward { size: [c, h, w], turned, planes, input, weight, epilogue, out });
    });
}

/// The gradient of the weights: sums over the pictures of the shape `(n, c, h, w)`.
pub(super) fn grad_weight<T: Element>(
    isa: Isa,
    [n, c, h, w]: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let out = Shared::new(grad_weight);
    for_planes(c, n * h * w, |channels| {
        dispatch(isa, GradWeight { shape: [n, c, h, w], channels, input, grad_out, out });
    });
}

/// Columns of a plane, as many as a vector has lanes or fewer.
struct Strip<S: Lanes> {
    x: usize,
    count: usize,
    /// The lanes that lie in the plane, of the columns to the left, of these, and of those to the right, where not all do.
    inside: Option<[S::Mask; 3]>,
}

impl<S: Lanes> Strip<S> {
    /// The columns from `x` on in a plane that is `width` wide.
    #[inline(always)]
    fn new(x: usize, width: usize) -> Self {
        let count = S::N.min(width - x);
        let whole = x > 0 && x + S::N < width;
        let inside = [usize::from(x == 0)..count, 0..count, 0..count.min(width - x - 1)];
        Self { x, count, inside: (!whole).then(|| inside.map(|lanes| S::mask(lanes))) }
    }

    /// The columns left of these, these, and those right of them, in the row at `row`.
    ///
    /// # Safety
    /// The row is one of the plane's.
    #[inline(always)]
    unsafe fn load<const WHOLE: bool>(&self, row: *const S::Elem) -> [S; 3] {
        let from = row.wrapping_add(self.x);
        let from = [from.wrapping_sub(1), from, from.wrapping_add(1)];
        match self.inside {
            // SAFETY: lanes outside the plane aren't read.
            Some(inside) if !WHOLE => from_fn(|i| unsafe { S::load_lanes(from[i], inside[i]) }),
            // SAFETY: a whole strip has a column on both sides.
            _ => from.map(|from| unsafe { S::load(from) }),
        }
    }

    /// These columns alone.
    ///
    /// # Safety
    /// As [`Strip::load`].
    #[inline(always)]
    unsafe fn load_here<const WHOLE: bool>(&self, row: *const S::Elem) -> S {
        let from = row.wrapping_add(self.x);
        match self.inside {
            // SAFETY: lanes outside the plane aren't read.
            Some([_, here, _]) if !WHOLE => unsafe { S::load_lanes(from, here) },
            // SAFETY: all lanes of a whole strip lie in the plane.
            _ => unsafe { S::load(from) },
        }
    }
}

struct Forward<'a, T> {
    size: [usize; 3],
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
        let [c, h, w] = self.size;
        // The last strip ends with the row, whatever it has in common with the one before it.
        let last = w.saturating_sub(S::N);
        let strips: Vec<_> =
            (0..w.div_ceil(S::N)).map(|i| Strip::<S>::new((i * S::N).min(last), w)).collect();
        for plane in self.planes {
            let (channel, at) = (plane % c, plane * h * w);
            let weights = &self.weight[channel * 9..][..9];
            let weights = from_fn(|i| S::splat(weights[if self.turned { 8 - i } else { i }]));
            let from = self.input[at..at + h * w].as_ptr();
            // SAFETY: the plane of `out` is this task's.
            let to = unsafe { self.out.get().add(at) };
            let down =
                Down { from, to, height: h, width: w, weights, follows: self.epilogue.of(channel, at) };
            for strip in &strips {
                // SAFETY: both planes have so many rows of so many columns, and the residual has them too.
                unsafe {
                    match strip.inside {
                        None => down.run::<true>(strip),
                        Some(_) => down.run::<false>(strip),
                    }
                }
            }
        }
    }
}

/// A plane with its kernel.
struct Down<S: Lanes> {
    from: *const S::Elem,
    to: *mut S::Elem,
    height: usize,
    width: usize,
    weights: [S; 9],
    follows: Line<S::Elem>,
}

impl<S: Lanes> Down<S> {
    /// Computes a strip.
    ///
    /// # Safety
    /// The planes at `from` and `to`, and the residual's, have `height` rows of `width` numbers.
    #[inline(always)]
    unsafe fn run<const WHOLE: bool>(&self, strip: &Strip<S>) {
        let zero = S::splat(S::Elem::ZERO);
        let (mut from, mut at) = (self.from, strip.x);
        // SAFETY: there are `height` rows, and a strip's columns lie in the plane.
        unsafe {
            let first = strip.load::<WHOLE>(from);
            // The sums of the row above the one that is read, and of that one itself, as far as they have got.
            let (mut above, mut here) = (self.add(zero, 1, first), self.add(zero, 0, first));
            for _ in 1..self.height {
                from = from.add(self.width);
                let seen = strip.load::<WHOLE>(from);
                self.follows.store(self.add(above, 2, seen), self.to, at, strip.count);
                (above, here) = (self.add(here, 1, seen), self.add(zero, 0, seen));
                at += self.width;
            }
            self.follows.store(above, self.to, at, strip.count);
        }
    }

    /// A row of outputs with what row `row` of the kernel makes of what it sees.
    #[inline(always)]
    fn add(&self, sum: S, row: usize, seen: [S; 3]) -> S {
        let weights = &self.weights[3 * row..];
        sum.fma(weights[0], seen[0]).fma(weights[1], seen[1]).fma(weights[2], seen[2])
    }
}

struct GradWeight<'a, T> {
    shape: Shape,
    channels: Range<usize>,
    input: &'a [T],
    grad_out: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for GradWeight<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [n, c, h, w] = self.shape;
        let strips: Vec<_> = (0..w.div_ceil(S::N)).map(|i| Strip::<S>::new(i * S::N, w)).collect();
        for channel in self.channels {
            let mut sums = [S::splat(T::ZERO); 9];
            for picture in 0..n {
                let at = (picture * c + channel) * h * w;
                let (input, grad) = (&self.input[at..at + h * w], &self.grad_out[at..at + h * w]);
                for strip in &strips {
                    // SAFETY: these are planes of so many rows.
                    sums = unsafe {
                        match strip.inside {
                            None => correlate::<S, true>(strip, input.as_ptr(), grad.as_ptr(), [h, w], sums),
                            Some(_) => {
                                correlate::<S, false>(strip, input.as_ptr(), grad.as_ptr(), [h, w], sums)
                            }
                        }
                    };
                }
            }
            // SAFETY: the weights of this channel are this task's.
            let out = unsafe { self.out.slice(channel * 9, 9) };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum.sum();
            }
        }
    }
}

/// Adds to each of the kernel's sums what it sees of `input` times `grad`, down one strip.
///
/// # Safety
/// Both are planes of so many rows and columns.
#[inline(always)]
unsafe fn correlate<S: Lanes, const WHOLE: bool>(
    strip: &Strip<S>,
    input: *const S::Elem,
    grad: *const S::Elem,
    [height, width]: [usize; 2],
    mut sums: [S; 9],
) -> [S; 9] {
    let zero = S::splat(S::Elem::ZERO);
    // SAFETY: `y < height`, and a strip's columns lie in the plane.
    unsafe {
        let (mut above, mut here) = (zero, strip.load_here::<WHOLE>(grad));
        for y in 0..height {
            let next = grad.wrapping_add((y + 1) * width);
            let below = if y + 1 < height { strip.load_here::<WHOLE>(next) } else { zero };
            let seen = strip.load::<WHOLE>(input.add(y * width));
            // The kernel's first row saw this one from the output's row below, its last from the row above.
            for (row, grad) in [below, here, above].into_iter().enumerate() {
                for (i, &seen) in seen.iter().enumerate() {
                    sums[3 * row + i] = sums[3 * row + i].fma(grad, seen);
                }
            }
            (above, here) = (here, below);
        }
    }
    sums
}
