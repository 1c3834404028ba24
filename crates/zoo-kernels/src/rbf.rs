//! Radial basis units, as in LeNet-5's output layer: squared distances to codes.

#![expect(unsafe_code, reason = "tasks write to disjoint rows of one slice")]

use std::ops::Range;

use crate::element::Element;
use crate::error::{Result, check_len};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, planes_each, ranges};
use crate::simd::Lanes;

/// `out[r][j]` = `Σ_i (input[r][i] − codes[j][i])²`: the squared distance of each of `rows` rows of `features` numbers
/// from each class's code.
///
/// # Errors
/// A slice isn't as long as its shape.
pub fn forward<T: Element>(
    [rows, features, classes]: [usize; 3],
    input: &[T],
    codes: &[T],
    out: &mut [T],
) -> Result<()> {
    let op = "rbf";
    check_len(op, "input", input.len(), &[rows, features])?;
    check_len(op, "codes", codes.len(), &[classes, features])?;
    check_len(op, "out", out.len(), &[rows, classes])?;
    let (isa, out, sizes) = (Isa::current(), Shared::new(out), [features, classes]);
    ranges(rows, planes_each(features * classes), features * classes, |rows| {
        dispatch(isa, Forward { sizes, rows, input, codes, out });
    });
    Ok(())
}

/// The gradient of the input.
///
/// # Errors
/// As [`forward`].
pub fn grad_input<T: Element>(
    [rows, features, classes]: [usize; 3],
    input: &[T],
    codes: &[T],
    grad_out: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let op = "rbf grad_input";
    check_len(op, "input", input.len(), &[rows, features])?;
    check_len(op, "codes", codes.len(), &[classes, features])?;
    check_len(op, "grad_out", grad_out.len(), &[rows, classes])?;
    check_len(op, "grad_input", grad_input.len(), &[rows, features])?;
    // A row of the result sums over classes: of an input, its distances' gradients and all codes.
    let sides = Sides { features, rows: input, others: codes, grads: grad_out, grad_steps: [classes, 1] };
    difference(sides, rows, grad_input);
    Ok(())
}

/// The gradient of the codes.
///
/// # Errors
/// As [`forward`].
pub fn grad_codes<T: Element>(
    [rows, features, classes]: [usize; 3],
    input: &[T],
    codes: &[T],
    grad_out: &[T],
    grad_codes: &mut [T],
) -> Result<()> {
    let op = "rbf grad_codes";
    check_len(op, "input", input.len(), &[rows, features])?;
    check_len(op, "codes", codes.len(), &[classes, features])?;
    check_len(op, "grad_out", grad_out.len(), &[rows, classes])?;
    check_len(op, "grad_codes", grad_codes.len(), &[classes, features])?;
    let sides = Sides { features, rows: codes, others: input, grads: grad_out, grad_steps: [1, classes] };
    difference(sides, classes, grad_codes);
    Ok(())
}

struct Forward<'a, T> {
    sizes: [usize; 2],
    rows: Range<usize>,
    input: &'a [T],
    codes: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [features, classes] = self.sizes;
        for row in self.rows {
            let input = &self.input[row * features..(row + 1) * features];
            // SAFETY: this row of the output is this task's.
            let out = unsafe { self.out.slice(row * classes, classes) };
            for (class, out) in out.iter_mut().enumerate() {
                let code = &self.codes[class * features..(class + 1) * features];
                let (mut sum, mut at) = (S::splat(T::ZERO), 0);
                while at < features {
                    let part = S::N.min(features - at);
                    // SAFETY: `part` numbers from `at` on are in both slices.
                    let (x, code) = unsafe {
                        (
                            S::load_part(input.as_ptr().add(at), part),
                            S::load_part(code.as_ptr().add(at), part),
                        )
                    };
                    let difference = x.fma(code, S::splat(-T::ONE));
                    sum = sum.fma(difference, difference);
                    at += part;
                }
                *out = sum.sum();
            }
        }
    }
}

/// What a gradient is made of: each row of one side, all rows of the other, and `grad` of row `r` and other `o` at
/// `r * grad_steps[0] + o * grad_steps[1]`.
#[derive(Clone, Copy)]
struct Sides<'a, T> {
    features: usize,
    rows: &'a [T],
    others: &'a [T],
    grads: &'a [T],
    grad_steps: [usize; 2],
}

/// `to[r][i]` = `Σ_o 2 * grad[r][o] * (rows[r][i] − others[o][i])`.
fn difference<T: Element>(sides: Sides<'_, T>, rows: usize, to: &mut [T]) {
    let (isa, to) = (Isa::current(), Shared::new(to));
    let others = sides.others.len();
    ranges(rows, planes_each(others), others, |rows| dispatch(isa, Difference { sides, rows, to }));
}

struct Difference<'a, T> {
    sides: Sides<'a, T>,
    rows: Range<usize>,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Difference<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let Sides { features, rows, others, grads, grad_steps: [row_step, other_step] } = self.sides;
        for row in self.rows {
            let own = &rows[row * features..(row + 1) * features];
            // SAFETY: this row of the gradient is this task's.
            let to = unsafe { self.to.slice(row * features, features) };
            to.fill(T::ZERO);
            for (i, other) in others.chunks_exact(features.max(1)).enumerate() {
                let twice = grads[row * row_step + i * other_step] + grads[row * row_step + i * other_step];
                for (to, (&own, &other)) in to.iter_mut().zip(own.iter().zip(other)) {
                    *to += twice * (own - other);
                }
            }
        }
    }
}
