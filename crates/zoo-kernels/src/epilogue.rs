//! What follows a product, while its numbers are in registers.

#![expect(unsafe_code, reason = "vector loads and stores through pointers")]

use crate::activation::Activation;
use crate::element::{Checked, Element};
use crate::error::{Result, check_len};
use crate::simd::Lanes;

/// What a convolution or a dense layer does to its sums before it writes them:
/// `activation(sum * scale + shift + residual)`.
///
/// A folded norm is a scale and a shift, a bias is a shift alone. The default changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Epilogue<'a, T> {
    /// One factor for each output channel.
    pub scale: Option<&'a [T]>,
    /// One summand for each output channel.
    pub shift: Option<&'a [T]>,
    /// A tensor of the output's shape.
    pub residual: Option<&'a [T]>,
    /// Applied at last.
    pub activation: Activation,
}

impl<T> Default for Epilogue<'_, T> {
    fn default() -> Self {
        Self { scale: None, shift: None, residual: None, activation: Activation::Identity }
    }
}

impl<'a, T: Element> Epilogue<'a, T> {
    /// A bias, if there is one, and nothing else.
    pub fn bias(bias: Option<&'a [T]>) -> Self {
        Self { shift: bias, ..Self::default() }
    }

    /// Refuses slices that aren't as long as `channels` and the output's `shape`.
    pub(crate) fn check(&self, op: &'static str, channels: usize, shape: &[usize]) -> Result<()> {
        for (what, values) in [("scale", self.scale), ("shift", self.shift)] {
            if let Some(values) = values {
                check_len(op, what, values.len(), &[channels])?;
            }
        }
        self.residual.map_or(Ok(()), |residual| check_len(op, "residual", residual.len(), shape))
    }

    /// Has `compute` compute `out` with this epilogue. Sigmoid and tanh, too long to stand in every tile, come behind it.
    pub(crate) fn run(&self, out: &mut [T], compute: impl FnOnce(&Self, &mut [T])) {
        match self.activation {
            Activation::Identity | Activation::Relu | Activation::Relu6 => compute(self, out),
            late @ (Activation::Sigmoid | Activation::Tanh) => {
                compute(&Self { activation: Activation::Identity, ..*self }, out);
                T::activate_in_place(Checked, late, out);
            }
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_plain(&self) -> bool {
        self.scale.is_none()
            && self.shift.is_none()
            && self.residual.is_none()
            && self.activation == Activation::Identity
    }

    /// Scale and shift of one channel, and the residual from `at` on.
    pub(crate) fn of(&self, channel: usize, at: usize) -> Line<T> {
        Line {
            scale: self.scale.map(|scale| scale[channel]),
            shift: self.shift.map(|shift| shift[channel]),
            residual: self.residual.map(|residual| residual[at..].as_ptr()),
            activation: self.activation,
            plain: self.is_plain(),
        }
    }
}

/// Scale, shift and residual of one vector, and the activation as far as vectors have it.
#[inline(always)]
pub(crate) fn finish<S: Lanes>(
    mut sum: S,
    scale: Option<S>,
    shift: Option<S>,
    residual: Option<S>,
    activation: Activation,
) -> S {
    sum = match (scale, shift) {
        (None, None) => sum,
        (None, Some(shift)) => sum.add(shift),
        (Some(scale), None) => sum.mul(scale),
        (Some(scale), Some(shift)) => shift.fma(sum, scale),
    };
    if let Some(residual) = residual {
        sum = sum.add(residual);
    }
    match activation {
        Activation::Relu => sum.at_least(S::splat(S::Elem::ZERO)),
        Activation::Relu6 => sum.at_least(S::splat(S::Elem::ZERO)).at_most(S::splat(S::Elem::from_f64(6.0))),
        // `Epilogue::run` does the others.
        Activation::Identity | Activation::Sigmoid | Activation::Tanh => sum,
    }
}

/// What follows neighbouring numbers of one channel.
#[derive(Clone, Copy)]
pub(crate) struct Line<T> {
    scale: Option<T>,
    shift: Option<T>,
    residual: Option<*const T>,
    activation: Activation,
    /// Whether nothing follows.
    plain: bool,
}

impl<T: Element> Line<T> {
    /// Copies `count` numbers and does to them what follows.
    ///
    /// # Safety
    /// They can be read and written, and so many of the residual be read.
    #[inline(always)]
    pub(crate) unsafe fn copy<S: Lanes<Elem = T>>(&self, from: *const T, to: *mut T, count: usize) {
        let (scale, shift) = (self.scale.map(S::splat), self.shift.map(S::splat));
        let mut at = 0;
        // SAFETY: `at < count` throughout, and each access is limited to the numbers that are left.
        unsafe {
            while at + S::N <= count {
                let residual = self.residual.map(|residual| S::load(residual.add(at)));
                finish(S::load(from.add(at)), scale, shift, residual, self.activation).store(to.add(at));
                at += S::N;
            }
            if at < count {
                let left = count - at;
                let residual = self.residual.map(|residual| S::load_part(residual.add(at), left));
                let sum = finish(S::load_part(from.add(at), left), scale, shift, residual, self.activation);
                sum.store_part(to.add(at), left);
            }
        }
    }

    /// Does to one vector what follows, and writes its first `count` numbers to the
    /// line's place `at`.
    ///
    /// # Safety
    /// They can be written, and so many of the residual be read.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Lanes<Elem = T>>(&self, sum: S, to: *mut T, at: usize, count: usize) {
        let (scale, shift) = (self.scale.map(S::splat), self.shift.map(S::splat));
        // SAFETY: the caller's promise.
        unsafe {
            if self.plain {
                if count == S::N { sum.store(to.add(at)) } else { sum.store_part(to.add(at), count) }
            } else if count == S::N {
                let residual = self.residual.map(|residual| S::load(residual.add(at)));
                finish(sum, scale, shift, residual, self.activation).store(to.add(at));
            } else {
                let residual = self.residual.map(|residual| S::load_part(residual.add(at), count));
                finish(sum, scale, shift, residual, self.activation).store_part(to.add(at), count);
            }
        }
    }

    /// One number and what follows it, the `i`-th of the line.
    ///
    /// # Safety
    /// The residual has it.
    #[inline(always)]
    pub(crate) unsafe fn one<S: Lanes<Elem = T>>(&self, sum: T, i: usize) -> T {
        let mut out = T::ZERO;
        // SAFETY: one number on all sides.
        unsafe {
            let line = Self { residual: self.residual.map(|residual| residual.add(i)), ..*self };
            line.copy::<S>(&raw const sum, &raw mut out, 1);
        }
        out
    }
}
