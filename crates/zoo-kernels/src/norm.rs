//! Batch normalisation, with what follows it: an optional addition and an activation, in one pass.

#![expect(unsafe_code, reason = "tasks write to disjoint channels of one slice")]

use crate::activation::{Activation, each_activation};
use crate::element::{Checked, Element, compiled};
use crate::error::{KernelError, Result, Shape, check_len, check_nonzero};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::reduce::{Terms, sum, sum_pairs};
use crate::simd::Lanes;

/// The parameters of a batch norm over `gamma.len()` channels.
#[derive(Debug, Clone, Copy)]
pub struct Norm<'a, T> {
    /// One factor for each channel.
    pub gamma: &'a [T],
    /// One summand for each channel.
    pub beta: &'a [T],
    /// Added to the variance.
    pub epsilon: f64,
    /// Applied to the result.
    pub activation: Activation,
}

/// Mean and biased variance of every channel.
#[derive(Debug)]
pub struct Stats<'a, T> {
    /// Means.
    pub mean: &'a mut [T],
    /// Variances, divided by the number of values (not that less one).
    pub variance: &'a mut [T],
}

/// Where the gradients go.
#[derive(Debug)]
pub struct Gradients<'a, T> {
    /// Of the input.
    pub input: &'a mut [T],
    /// Of what was added before the activation.
    pub residual: Option<&'a mut [T]>,
    /// Of the factors.
    pub gamma: &'a mut [T],
    /// Of the summands.
    pub beta: &'a mut [T],
}

/// The statistics that a forward pass normalised with: what its backward pass needs of it.
#[derive(Debug, Clone, Copy)]
pub enum Saved<'a, T> {
    /// The batch's own, through which the gradient flows.
    Batch {
        /// Means.
        mean: &'a [T],
        /// Biased variances.
        variance: &'a [T],
    },
    /// Given ones, which are constants.
    Fixed {
        /// Means.
        mean: &'a [T],
        /// Variances.
        variance: &'a [T],
    },
}

compiled! {
    #[expect(clippy::too_many_arguments, reason = "the kernels' own, and that all is checked")]
    norm_forward = run_forward: (
        norm: &Norm<'_, Self>, shape: Shape, input: &[Self], residual: Option<&[Self]>, out: &mut [Self],
        mode: Mode, stats: Stats<'_, Self>,
    );
    norm_backward = run_backward: (
        norm: &Norm<'_, Self>, saved: Saved<'_, Self>, shape: Shape, input: &[Self], out: Option<&[Self]>,
        grad_out: &[Self], gradients: Gradients<'_, Self>,
    );
}

/// Which statistics normalise.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The batch's own, which are computed.
    Batch,
    /// Given ones.
    Fixed,
}

impl<'a, T> Saved<'a, T> {
    fn parts(self) -> (Mode, &'a [T], &'a [T]) {
        match self {
            Self::Batch { mean, variance } => (Mode::Batch, mean, variance),
            Self::Fixed { mean, variance } => (Mode::Fixed, mean, variance),
        }
    }
}

impl<T: Element> Norm<'_, T> {
    fn check(&self, op: &'static str, shape: Shape) -> Result<()> {
        check_nonzero(op, "a side of the input", &shape)?;
        check_len(op, "gamma", self.gamma.len(), &[shape[1]])?;
        check_len(op, "beta", self.beta.len(), &[shape[1]])
    }

    fn check_forward(
        &self,
        op: &'static str,
        shape: Shape,
        input: &[T],
        residual: Option<&[T]>,
        out: &[T],
    ) -> Result<()> {
        self.check(op, shape)?;
        check_len(op, "input", input.len(), &shape)?;
        check_len(op, "out", out.len(), &shape)?;
        residual.map_or(Ok(()), |residual| check_len(op, "residual", residual.len(), &shape))
    }
}

/// Training: `out = activation(normalised input * gamma + beta + residual)` with the batch's own statistics,
/// which `stats` receives.
///
/// # Errors
/// A slice isn't as long as its shape, a side is zero, or a channel has a single value, whose variance says
/// nothing.
pub fn train_forward<T: Element>(
    norm: &Norm<'_, T>,
    shape: Shape,
    input: &[T],
    residual: Option<&[T]>,
    out: &mut [T],
    stats: &mut Stats<'_, T>,
) -> Result<()> {
    let op = "batch_norm";
    check_len(op, "mean", stats.mean.len(), &[shape[1]])?;
    check_len(op, "variance", stats.variance.len(), &[shape[1]])?;
    check_len(op, "input", input.len(), &shape)?;
    let values = input.len() / shape[1].max(1);
    if values == 1 {
        return Err(KernelError::Value {
            op,
            what: "values of a channel",
            value: values.to_string(),
            must: "at least 2 in training: use a larger batch or picture",
        });
    }
    norm.check_forward(op, shape, input, residual, out)?;
    let stats = Stats { mean: stats.mean, variance: stats.variance };
    T::norm_forward(Checked, norm, shape, input, residual, out, Mode::Batch, stats);
    Ok(())
}

/// Inference: the same with given statistics.
///
/// # Errors
/// A slice isn't as long as its shape, or a side is zero.
pub fn eval_forward<T: Element>(
    norm: &Norm<'_, T>,
    shape: Shape,
    input: &[T],
    residual: Option<&[T]>,
    (mean, variance): (&[T], &[T]),
    out: &mut [T],
) -> Result<()> {
    let op = "batch_norm with fixed statistics";
    check_len(op, "mean", mean.len(), &[shape[1]])?;
    check_len(op, "variance", variance.len(), &[shape[1]])?;
    norm.check_forward(op, shape, input, residual, out)?;
    let stats = Stats { mean: &mut mean.to_vec(), variance: &mut variance.to_vec() };
    T::norm_forward(Checked, norm, shape, input, residual, out, Mode::Fixed, stats);
    Ok(())
}

fn run_forward<T: Element>(
    norm: &Norm<'_, T>,
    shape: Shape,
    input: &[T],
    residual: Option<&[T]>,
    out: &mut [T],
    mode: Mode,
    stats: Stats<'_, T>,
) {
    let (isa, out) = (Isa::current(), Shared::new(out));
    let (mean, variance) = (Shared::new(stats.mean), Shared::new(stats.variance));
    let values = input.len() / shape[1];
    ranges(shape[1], planes_each(values), 4 * values, |channels| {
        dispatch(isa, Forward { norm, shape, input, residual, out, mode, mean, variance, channels });
    });
}

/// The planes of one channel, as ranges of the tensor.
#[inline(always)]
fn planes([n, c, h, w]: Shape, channel: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Clone {
    let pixels = h * w;
    (0..n).map(move |picture| (picture * c + channel) * pixels).map(move |start| start..start + pixels)
}

struct Forward<'a, T> {
    norm: &'a Norm<'a, T>,
    shape: Shape,
    input: &'a [T],
    residual: Option<&'a [T]>,
    out: Shared<T>,
    mode: Mode,
    mean: Shared<T>,
    variance: Shared<T>,
    channels: std::ops::Range<usize>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let values = (self.input.len() / self.shape[1]) as f64;
        for channel in self.channels {
            // SAFETY: both have a number for each channel, and this channel is this task's.
            let (mean, variance) =
                unsafe { (&mut self.mean.slice(channel, 1)[0], &mut self.variance.slice(channel, 1)[0]) };
            if self.mode == Mode::Batch {
                // Loops, not closures: vector code is compiled only where it is inlined into this function.
                let mut total = 0.0;
                for p in planes(self.shape, channel) {
                    total += sum::<S, false>(&self.input[p], T::ZERO);
                }
                *mean = T::from_f64(total / values);
                let mut total = 0.0;
                for p in planes(self.shape, channel) {
                    total += sum::<S, true>(&self.input[p], *mean);
                }
                *variance = T::from_f64(total / values);
            }
            let (scale, shift) = affine(self.norm, channel, *mean, *variance);
            for plane in planes(self.shape, channel) {
                // SAFETY: the plane lies in the tensor and is of this task's channel.
                let out = unsafe { self.out.slice(plane.start, plane.len()) };
                let input = &self.input[plane.clone()];
                each_activation!(self.norm.activation, act => match self.residual {
                    None => {
                        for (out, &x) in out.iter_mut().zip(input) {
                            *out = act.apply(x * scale + shift);
                        }
                    }
                    Some(residual) => {
                        for (out, (&x, &r)) in out.iter_mut().zip(input.iter().zip(&residual[plane])) {
                            *out = act.apply(x * scale + shift + r);
                        }
                    }
                });
            }
        }
    }
}

/// Factor and summand that normalise a channel. Forward and backward compute them, and the result from them,
/// by the same operations, so that the backward pass knows to the bit where an activation cut.
#[inline(always)]
fn affine<T: Element>(norm: &Norm<'_, T>, channel: usize, mean: T, variance: T) -> (T, T) {
    let scale = norm.gamma[channel].to_f64() / (variance.to_f64() + norm.epsilon).sqrt();
    (T::from_f64(scale), T::from_f64(norm.beta[channel].to_f64() - mean.to_f64() * scale))
}

/// The gradients of input, residual, gamma and beta.
///
/// `saved` are the means and variances that the forward pass used. `out`, its result, is needed where there was
/// a residual; without one it is computed again from the input, and needn't be kept.
///
/// # Errors
/// A slice isn't as long as its shape, a side is zero, or there is a gradient for a residual but no `out`.
pub fn backward<T: Element>(
    norm: &Norm<'_, T>,
    saved: Saved<'_, T>,
    shape: Shape,
    input: &[T],
    out: Option<&[T]>,
    grad_out: &[T],
    gradients: Gradients<'_, T>,
) -> Result<()> {
    let op = "batch_norm backward";
    let (_, mean, variance) = saved.parts();
    norm.check(op, shape)?;
    for (what, len) in [("mean", mean.len()), ("variance", variance.len())] {
        check_len(op, what, len, &[shape[1]])?;
    }
    for (what, len) in [("grad gamma", gradients.gamma.len()), ("grad beta", gradients.beta.len())] {
        check_len(op, what, len, &[shape[1]])?;
    }
    check_len(op, "input", input.len(), &shape)?;
    check_len(op, "grad_out", grad_out.len(), &shape)?;
    check_len(op, "grad input", gradients.input.len(), &shape)?;
    if let Some(out) = out {
        check_len(op, "out", out.len(), &shape)?;
    }
    if let Some(residual) = &gradients.residual {
        check_len(op, "grad residual", residual.len(), &shape)?;
        check_len(op, "out", out.map_or(0, <[T]>::len), &shape)?;
    }
    T::norm_backward(Checked, norm, saved, shape, input, out, grad_out, gradients);
    Ok(())
}

fn run_backward<T: Element>(
    norm: &Norm<'_, T>,
    saved: Saved<'_, T>,
    shape: Shape,
    input: &[T],
    out: Option<&[T]>,
    grad_out: &[T],
    gradients: Gradients<'_, T>,
) {
    let isa = Isa::current();
    let (mode, mean, variance) = saved.parts();
    let values = input.len() / shape[1];
    let to_input = Shared::new(gradients.input);
    let to_residual = gradients.residual.map(Shared::new);
    let (to_gamma, to_beta) = (Shared::new(gradients.gamma), Shared::new(gradients.beta));
    ranges(shape[1], planes_each(values), 4 * values, |channels| {
        for channel in channels {
            let (mean, variance) = (mean[channel], variance[channel]);
            dispatch(
                isa,
                Backward {
                    norm,
                    mode,
                    shape,
                    input,
                    mean,
                    variance,
                    out,
                    grad_out,
                    channel,
                    to_input,
                    to_residual,
                    to_gamma,
                    to_beta,
                },
            );
        }
    });
}

struct Backward<'a, T> {
    norm: &'a Norm<'a, T>,
    mode: Mode,
    shape: Shape,
    input: &'a [T],
    mean: T,
    variance: T,
    out: Option<&'a [T]>,
    grad_out: &'a [T],
    channel: usize,
    to_input: Shared<T>,
    to_residual: Option<Shared<T>>,
    to_gamma: Shared<T>,
    to_beta: Shared<T>,
}

impl<T: Element> Kernel<T> for Backward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let (scale, shift) = affine(self.norm, self.channel, self.mean, self.variance);
        each_activation!(self.norm.activation, act => match self.out {
            None => self.channel(Through { activation: act, again: true, scale, shift }, self.input),
            Some(out) => self.channel(Through { activation: act, again: false, scale, shift }, out),
        });
    }
}

/// The way of a gradient back through the activation.
#[derive(Clone, Copy)]
struct Through<T> {
    activation: Activation,
    /// Without its result, the forward pass is repeated number by number.
    again: bool,
    scale: T,
    shift: T,
}

impl<T: Element> Through<T> {
    /// The gradient before the activation, from the norm's input, its result and the result's gradient.
    #[inline(always)]
    fn back(self, x: T, y: T, grad: T) -> T {
        let y = if self.again { self.activation.apply(x * self.scale + self.shift) } else { y };
        self.activation.derive(y, grad)
    }
}

/// The gradient's sum, and that of its products with the centred input.
#[derive(Clone, Copy)]
struct Moments<T> {
    through: Through<T>,
    mean: T,
}

impl<T: Element> Terms<T> for Moments<T> {
    #[inline(always)]
    fn of(self, x: T, y: T, grad: T) -> (T, T) {
        let grad = self.through.back(x, y, grad);
        (grad, grad * (x - self.mean))
    }
}

impl<T: Element> Backward<'_, T> {
    #[inline(always)]
    fn channel(&self, through: Through<T>, out: &[T]) {
        let values = (self.input.len() / self.shape[1]) as f64;
        let (mean, invstd) = (self.mean, 1.0 / (self.variance.to_f64() + self.norm.epsilon).sqrt());
        let (mut sum, mut products) = (0.0, 0.0);
        for p in planes(self.shape, self.channel) {
            let (a, b) = sum_pairs(
                &self.input[p.clone()],
                &out[p.clone()],
                &self.grad_out[p],
                Moments { through, mean },
            );
            sum += a;
            products += b;
        }
        // SAFETY: both have a number for each channel, and this channel is this task's.
        unsafe {
            self.to_beta.slice(self.channel, 1)[0] = T::from_f64(sum);
            self.to_gamma.slice(self.channel, 1)[0] = T::from_f64(products * invstd);
        }
        let scale = self.norm.gamma[self.channel].to_f64() * invstd;
        // dx = scale * (g - mean(g) - (x - mean) * invstd^2 * mean(g * (x - mean)))
        //    = scale * g + slope * (x - mean) + offset
        let (slope, offset) = match self.mode {
            Mode::Batch => (-scale * invstd * invstd * products / values, -scale * sum / values),
            Mode::Fixed => (0.0, 0.0),
        };
        let [scale, slope, offset] = [scale, slope, offset].map(T::from_f64);
        for p in planes(self.shape, self.channel) {
            // SAFETY: the plane lies in the tensor and is of this task's channel.
            let to = unsafe { self.to_input.slice(p.start, p.len()) };
            let values = self.input[p.clone()].iter().zip(&out[p.clone()]).zip(&self.grad_out[p.clone()]);
            match self.to_residual {
                None => {
                    for (to, ((&x, &y), &grad)) in to.iter_mut().zip(values) {
                        *to = through.back(x, y, grad) * scale + ((x - mean) * slope + offset);
                    }
                }
                Some(residual) => {
                    // SAFETY: as above.
                    let residual = unsafe { residual.slice(p.start, p.len()) };
                    for ((to, residual), ((&x, &y), &grad)) in to.iter_mut().zip(residual).zip(values) {
                        let grad = through.back(x, y, grad);
                        *residual = grad;
                        *to = grad * scale + ((x - mean) * slope + offset);
                    }
                }
            }
        }
    }
}
