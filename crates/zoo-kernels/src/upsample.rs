//! Bilinear resampling of feature maps, as in PyTorch's `interpolate`, in both conventions for corners.

#![expect(unsafe_code, reason = "tasks write to disjoint planes of one slice")]

use crate::element::{Checked, Element, compiled};
use crate::error::{Result, Shape, check_len, check_nonzero, elements};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::scratch;
use crate::simd::Lanes;

/// Which points of input and output coincide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Corners {
    /// The centres of the corner pixels (`align_corners=True`).
    Centres,
    /// The outer edges of the corner pixels (`align_corners=False`).
    Edges,
}

compiled! {
    upsample = run_forward: (corners: Corners, size: [usize; 2], shape: Shape, input: &[Self], out: &mut [Self]);
    upsample_backward = run_backward: (
        corners: Corners, size: [usize; 2], shape: Shape, grad_out: &[Self], grad_input: &mut [Self],
    );
}

/// What an output pixel takes from along one side: two pixels, and the weight of the second.
#[derive(Clone, Copy)]
struct Pick<T> {
    low: usize,
    high: usize,
    weight: T,
}

fn picks<T: Element>(corners: Corners, from: usize, to: usize) -> Vec<Pick<T>> {
    let pick = |o: usize| {
        let place = match corners {
            Corners::Centres if to == 1 => 0.0,
            Corners::Centres => o as f64 * ((from - 1) as f64 / (to - 1) as f64),
            Corners::Edges => ((o as f64 + 0.5) * (from as f64 / to as f64) - 0.5).max(0.0),
        };
        let low = (place as usize).min(from - 1);
        let weight = if low + 1 < from { T::from_f64(place - low as f64) } else { T::ZERO };
        Pick { low, high: (low + 1).min(from - 1), weight }
    };
    (0..to).map(pick).collect()
}

fn check(
    op: &'static str,
    size: [usize; 2],
    shape: Shape,
    input: (&'static str, usize),
    out: (&'static str, usize),
) -> Result<()> {
    check_nonzero(op, "a side of the input", &shape)?;
    check_nonzero(op, "output size", &size)?;
    let output = [shape[0], shape[1], size[0], size[1]];
    elements(op, &output)?;
    check_len(op, input.0, input.1, &shape)?;
    check_len(op, out.0, out.1, &output)
}

/// `out`, of height and width `size`.
///
/// # Errors
/// A side is zero, or a slice isn't as long as its shape.
pub fn forward<T: Element>(
    corners: Corners,
    size: [usize; 2],
    shape: Shape,
    input: &[T],
    out: &mut [T],
) -> Result<()> {
    check("upsample_bilinear2d", size, shape, ("input", input.len()), ("out", out.len()))?;
    T::upsample(Checked, corners, size, shape, input, out);
    Ok(())
}

fn run_forward<T: Element>(corners: Corners, size: [usize; 2], shape: Shape, input: &[T], out: &mut [T]) {
    let [down, across] = [0, 1].map(|i| picks::<T>(corners, shape[2 + i], size[i]));
    let (isa, out) = (Isa::current(), Shared::new(out));
    let pixels = size[0] * size[1];
    ranges(shape[0] * shape[1], planes_each(pixels), 4 * pixels, |planes| {
        dispatch(
            isa,
            Forward { size: [shape[2], shape[3]], down: &down, across: &across, planes, input, out },
        );
    });
}

/// The gradient of the input.
///
/// # Errors
/// As [`forward`].
pub fn backward<T: Element>(
    corners: Corners,
    size: [usize; 2],
    shape: Shape,
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "upsample_bilinear2d backward";
    check(op, size, shape, ("grad_input", grad_input.len()), ("grad_out", grad_out.len()))?;
    T::upsample_backward(Checked, corners, size, shape, grad_out, grad_input);
    Ok(())
}

fn run_backward<T: Element>(
    corners: Corners,
    size: [usize; 2],
    shape: Shape,
    grad_out: &[T],
    grad_input: &mut [T],
) {
    let [down, across] = [0, 1].map(|i| picks::<T>(corners, shape[2 + i], size[i]));
    let (isa, grad_input) = (Isa::current(), Shared::new(grad_input));
    let pixels = size[0] * size[1];
    ranges(shape[0] * shape[1], planes_each(pixels), 4 * pixels, |planes| {
        let size = [shape[2], shape[3]];
        dispatch(isa, Backward { size, down: &down, across: &across, planes, grad_out, grad_input });
    });
}

struct Forward<'a, T> {
    size: [usize; 2],
    down: &'a [Pick<T>],
    across: &'a [Pick<T>],
    planes: std::ops::Range<usize>,
    input: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([h, w], outputs) = (self.size, self.down.len() * self.across.len());
        let mut row = scratch::take::<T>(w);
        for plane in self.planes {
            let input = &self.input[plane * h * w..(plane + 1) * h * w];
            // SAFETY: the plane is this task's.
            let out = unsafe { self.out.slice(plane * outputs, outputs) };
            for (out, y) in out.chunks_exact_mut(self.across.len()).zip(self.down) {
                let (low, high) = (&input[y.low * w..(y.low + 1) * w], &input[y.high * w..(y.high + 1) * w]);
                for (mix, (&low, &high)) in row.iter_mut().zip(low.iter().zip(high)) {
                    *mix = low * (T::ONE - y.weight) + high * y.weight;
                }
                for (out, x) in out.iter_mut().zip(self.across) {
                    *out = row[x.low] * (T::ONE - x.weight) + row[x.high] * x.weight;
                }
            }
        }
    }
}

struct Backward<'a, T> {
    size: [usize; 2],
    down: &'a [Pick<T>],
    across: &'a [Pick<T>],
    planes: std::ops::Range<usize>,
    grad_out: &'a [T],
    grad_input: Shared<T>,
}

impl<T: Element> Kernel<T> for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let ([h, w], outputs) = (self.size, self.down.len() * self.across.len());
        let mut row = scratch::take::<T>(w);
        for plane in self.planes {
            let grads = &self.grad_out[plane * outputs..(plane + 1) * outputs];
            // SAFETY: the plane is this task's.
            let to = unsafe { self.grad_input.slice(plane * h * w, h * w) };
            to.fill(T::ZERO);
            for (grads, y) in grads.chunks_exact(self.across.len()).zip(self.down) {
                row.fill(T::ZERO);
                for (&grad, x) in grads.iter().zip(self.across) {
                    row[x.low] += grad * (T::ONE - x.weight);
                    row[x.high] += grad * x.weight;
                }
                for (target, weight) in [(y.low, T::ONE - y.weight), (y.high, y.weight)] {
                    for (to, &grad) in to[target * w..(target + 1) * w].iter_mut().zip(row.iter()) {
                        *to += grad * weight;
                    }
                }
            }
        }
    }
}
