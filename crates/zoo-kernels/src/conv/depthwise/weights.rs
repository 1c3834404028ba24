//! The gradient of the weight: sums over all pixels, for each tap.

#![expect(unsafe_code, reason = "vector loops through pointers over scratch with slack")]

use std::ops::Range;

use super::layout::Layout;
use super::{SLACK, for_planes, halving, three};
use crate::conv::spec::Conv2d;
use crate::element::Element;
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::Shared;
use crate::scratch;
use crate::simd::Lanes;

/// Taps whose sums are kept in registers together.
const TAPS: usize = 9;
/// The most lanes of a vector.
const LANES: usize = 16;

pub(in crate::conv) fn grad_weight<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let isa = Isa::current();
    if three::suits(isa, spec) {
        return three::grad_weight(isa, shape, input, grad_out, grad_weight);
    }
    if halving::suits(isa, spec) {
        return halving::grad_weight(isa, shape, input, grad_out, grad_weight);
    }
    let (layout, out) = (Layout::new(spec, shape, output), Shared::new(grad_weight));
    for_planes(shape[1], shape[0] * shape[2] * shape[3], |channels| {
        dispatch(isa, GradWeight { layout: &layout, pictures: shape[0], channels, input, grad_out, out });
    });
}

struct GradWeight<'a, T> {
    layout: &'a Layout,
    pictures: usize,
    channels: Range<usize>,
    input: &'a [T],
    grad_out: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for GradWeight<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let layout = self.layout;
        let (count, [h, w], [oh, ow]) = (layout.taps.len(), layout.input, layout.output);
        let mut phases = scratch::take_zeroed::<T>(layout.phases() * layout.phase_len() + SLACK);
        let mut lanes = scratch::take::<T>(count * S::N);
        for channel in self.channels {
            lanes.fill(T::ZERO);
            for picture in 0..self.pictures {
                let plane = picture * layout.spec.in_channels + channel;
                layout.fill::<S, T>(&self.input[plane * h * w..(plane + 1) * h * w], &mut phases);
                let grad = &self.grad_out[plane * oh * ow..(plane + 1) * oh * ow];
                // SAFETY: these are the layout's phases with slack, and a plane of the output.
                unsafe { correlate_taps::<S>(layout, phases.as_ptr(), grad, &mut lanes) };
            }
            // SAFETY: the weights of this channel are this task's.
            let sums = unsafe { self.out.slice(channel * count, count) };
            for (sum, lanes) in sums.iter_mut().zip(lanes.chunks_exact(S::N)) {
                // SAFETY: a chunk is a vector.
                *sum = unsafe { S::load(lanes.as_ptr()) }.sum();
            }
        }
    }
}

/// Adds to the `t`-th vector of `lanes` the sum over pixels of `grad`, an output plane, times what tap `t` sees.
///
/// # Safety
/// `from` is the layout's phases with slack.
#[inline(always)]
pub(in crate::conv) unsafe fn correlate_taps<S: Lanes>(
    layout: &Layout,
    from: *const S::Elem,
    grad: &[S::Elem],
    lanes: &mut [S::Elem],
) {
    let ([height, width], line) = (layout.output, layout.phase[1]);
    let mut places = [from; TAPS];
    let mut taken = layout.places();
    for lanes in lanes.chunks_mut(TAPS * S::N) {
        let count = lanes.len() / S::N;
        for (place, offset) in places.iter_mut().zip(taken.by_ref().take(count)) {
            *place = from.wrapping_add(offset);
        }
        let plane = Plane { grad, height, width, line };
        macro_rules! fixed {
            ($($n:literal)*; $all:literal) => {
                match count {
                    // SAFETY: a tap's offset plus the last pixel's place ends within its phase.
                    $($n => unsafe { plane.correlate::<S, $n>(&places, lanes) },)*
                    // SAFETY: as above.
                    _ => unsafe { plane.correlate::<S, $all>(&places, lanes) },
                }
            };
        }
        fixed!(1 2 3 4 5 6 7 8; 9);
    }
}

struct Plane<'a, T> {
    grad: &'a [T],
    height: usize,
    width: usize,
    line: usize,
}

impl<T: Element> Plane<'_, T> {
    /// # Safety
    /// Every place can be read for all of the plane's pixels, rows `line` apart, and `lanes` has `N` vectors.
    #[inline(always)]
    unsafe fn correlate<S: Lanes<Elem = T>, const N: usize>(
        &self,
        places: &[*const T; TAPS],
        lanes: &mut [T],
    ) {
        const { assert!(S::N <= LANES && N <= TAPS) };
        let mut sums = [S::splat(T::ZERO); N];
        let whole = self.width - self.width % S::N;
        let rest = self.width - whole;
        // SAFETY: `x < width` and `y < height`, vectors that aren't whole are cut; the rest is the caller's promise.
        unsafe {
            for (t, sum) in sums.iter_mut().enumerate() {
                *sum = S::load(lanes.as_ptr().add(t * S::N));
            }
            for y in 0..self.height {
                let (grad, at) = (self.grad.as_ptr().add(y * self.width), y * self.line);
                let mut x = 0;
                while x < whole {
                    let grad = S::load(grad.add(x));
                    for (sum, place) in sums.iter_mut().zip(places) {
                        *sum = sum.fma(grad, S::load(place.add(at + x)));
                    }
                    x += S::N;
                }
                if rest > 0 {
                    let grad = S::load_part(grad.add(x), rest);
                    for (sum, place) in sums.iter_mut().zip(places) {
                        *sum = sum.fma(grad, S::load_part(place.add(at + x), rest));
                    }
                }
            }
            for (t, sum) in sums.iter().enumerate() {
                sum.store(lanes.as_mut_ptr().add(t * S::N));
            }
        }
    }
}
