//! Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3).

#![expect(unsafe_code, reason = "tasks write to disjoint pixels of one slice")]

use crate::element::Element;
use crate::error::{KernelError, Result, Shape, check_len, check_nonzero};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// `out = x / (k + alpha' * sum of squares over the window)^beta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lrn {
    /// Channels in a window: `size / 2` before the channel, the rest from it on.
    pub size: usize,
    /// The factor of the squares.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// Added to the squares.
    pub k: f64,
    /// Which form `alpha` is meant for.
    pub form: LrnForm,
}

/// What `alpha` multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LrnForm {
    /// The sum of squares, as the AlexNet paper writes it.
    Sum,
    /// The sum divided by `size`, as PyTorch and Caffe compute it.
    Mean,
}

impl Lrn {
    /// What the sum of squares is multiplied by.
    fn factor(&self) -> f64 {
        match self.form {
            LrnForm::Sum => self.alpha,
            LrnForm::Mean => self.alpha / self.size as f64,
        }
    }

    /// The window of a channel.
    fn window(&self, channel: usize, channels: usize) -> std::ops::Range<usize> {
        let after = (self.size - 1) / 2;
        channel.saturating_sub(self.size / 2)..channel.saturating_add(after).saturating_add(1).min(channels)
    }

    /// The channels in whose windows a channel is.
    fn seen_by(&self, channel: usize, channels: usize) -> std::ops::Range<usize> {
        let after = (self.size - 1) / 2;
        channel.saturating_sub(after)..channel.saturating_add(self.size / 2).saturating_add(1).min(channels)
    }

    fn check(&self, op: &'static str, shape: Shape, slices: &[(&'static str, usize)]) -> Result<()> {
        check_nonzero(op, "a side of the input", &shape)?;
        check_nonzero(op, "size", &[self.size])?;
        for (what, value) in [("alpha", self.alpha), ("beta", self.beta), ("k", self.k)] {
            if !value.is_finite() {
                return Err(KernelError::Value { op, what, value: value.to_string(), must: "finite" });
            }
        }
        slices.iter().try_for_each(|&(what, len)| check_len(op, what, len, &shape))
    }
}

/// Pixels of all channels that are worked on together: they stay in the cache.
const PIXELS: usize = 128;

/// The forward pass.
///
/// # Errors
/// A slice isn't as long as its shape, a side or the size is zero, or a number isn't finite.
pub fn forward<T: Element>(lrn: &Lrn, shape: Shape, input: &[T], out: &mut [T]) -> Result<()> {
    lrn.check("local_response_norm", shape, &[("input", input.len()), ("out", out.len())])?;
    run(lrn, shape, input, None, out);
    Ok(())
}

/// The gradient of the input.
///
/// # Errors
/// As [`forward`].
pub fn backward<T: Element>(
    lrn: &Lrn,
    shape: Shape,
    input: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let slices = [("input", input.len()), ("grad_out", grad_out.len()), ("grad_input", grad_input.len())];
    lrn.check("local_response_norm backward", shape, &slices)?;
    run(lrn, shape, input, Some(grad_out), grad_input);
    Ok(())
}

fn run<T: Element>(lrn: &Lrn, shape: Shape, input: &[T], grad: Option<&[T]>, out: &mut [T]) {
    let (isa, out) = (Isa::current(), Shared::new(out));
    let pixels = shape[2] * shape[3];
    let parts = pixels.div_ceil(PIXELS);
    tasks(shape[0] * parts, input.len() * 8, |task| {
        let (picture, first) = (task / parts, task % parts * PIXELS);
        let start = picture * shape[1] * pixels + first;
        let count = PIXELS.min(pixels - first);
        dispatch(isa, Part { lrn, channels: shape[1], pixels, start, count, input, grad, out });
    });
}

/// Some pixels of one picture, in all channels.
struct Part<'a, T> {
    lrn: &'a Lrn,
    channels: usize,
    pixels: usize,
    start: usize,
    count: usize,
    input: &'a [T],
    grad: Option<&'a [T]>,
    out: Shared<T>,
}

impl<T: Element> Part<'_, T> {
    fn row(&self, channel: usize) -> std::ops::Range<usize> {
        let start = self.start + channel * self.pixels;
        start..start + self.count
    }
}

/// `base^-beta`; by square roots for the exponents in use, which vectors have.
#[inline(always)]
fn inverse_power<T: Element>(base: &mut [T], beta: f64) {
    if beta == 0.75 {
        base.iter_mut().for_each(|x| *x = T::ONE / (x.sqrt() * x.sqrt().sqrt()));
    } else if beta == 0.5 {
        base.iter_mut().for_each(|x| *x = T::ONE / x.sqrt());
    } else {
        let exponent = T::from_f64(-beta);
        base.iter_mut().for_each(|x| *x = x.powf(exponent));
    }
}

impl<T: Element> Kernel<T> for Part<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (lrn, count) = (self.lrn, self.count);
        let (k, factor) = (T::from_f64(lrn.k), T::from_f64(lrn.factor()));
        let mut base = scratch::take::<T>(count);
        // For the gradient: of each channel, `grad * out / base`.
        let mut ratios = scratch::take::<T>(if self.grad.is_some() { self.channels * count } else { 0 });
        for channel in 0..self.channels {
            base.fill(T::ZERO);
            for other in lrn.window(channel, self.channels) {
                for (sum, &x) in base.iter_mut().zip(&self.input[self.row(other)]) {
                    *sum += x * x;
                }
            }
            base.iter_mut().for_each(|sum| *sum = k + factor * *sum);
            let row = self.row(channel);
            // SAFETY: these pixels of this picture are this task's.
            let out = unsafe { self.out.slice(row.start, count) };
            let input = &self.input[row.clone()];
            let Some(grad) = self.grad else {
                inverse_power(&mut base, lrn.beta);
                for (out, (&x, &power)) in out.iter_mut().zip(input.iter().zip(base.iter())) {
                    *out = x * power;
                }
                continue;
            };
            let ratios = &mut ratios[channel * count..(channel + 1) * count];
            ratios.copy_from_slice(&base);
            inverse_power(&mut base, lrn.beta);
            let values = input.iter().zip(&grad[row]).zip(base.iter());
            for ((out, ratio), ((&x, &grad), &power)) in out.iter_mut().zip(ratios).zip(values) {
                *out = grad * power;
                *ratio = grad * x * power / *ratio;
            }
        }
        if self.grad.is_none() {
            return;
        }
        let slope = T::from_f64(-2.0 * lrn.beta * lrn.factor());
        for channel in 0..self.channels {
            base.fill(T::ZERO);
            for other in lrn.seen_by(channel, self.channels) {
                for (sum, &ratio) in base.iter_mut().zip(&ratios[other * count..(other + 1) * count]) {
                    *sum += ratio;
                }
            }
            let row = self.row(channel);
            // SAFETY: as above.
            let out = unsafe { self.out.slice(row.start, count) };
            for (out, (&x, &sum)) in out.iter_mut().zip(self.input[row].iter().zip(base.iter())) {
                *out += slope * x * sum;
            }
        }
    }
}
