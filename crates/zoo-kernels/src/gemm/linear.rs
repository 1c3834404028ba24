//! The dense layer, whose weight is `(out_features, in_features)`.

use super::matrix::{Matrix, Right, matmul, packed_len, product};
use crate::element::{Checked, Element};
use crate::epilogue::Epilogue;
use crate::error::{Result, check_len};
use crate::isa::Isa;
use crate::lasting::Lasting;

/// `out = input * weight^T + bias`, for `rows` rows of `in_features` numbers.
///
/// # Errors
/// A slice isn't as long as its shape.
pub fn linear<T: Element>(
    [rows, in_features, out_features]: [usize; 3],
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    out: &mut [T],
) -> Result<()> {
    linear_with([rows, in_features, out_features], input, weight, &Epilogue::bias(bias), out)
}

/// `out` = what `epilogue`, whose channels are the output's features, makes of `input * weight^T`.
///
/// # Errors
/// As [`linear`].
pub fn linear_with<T: Element>(
    [rows, in_features, out_features]: [usize; 3],
    input: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    out: &mut [T],
) -> Result<()> {
    let input = Matrix::new(input, rows, in_features)?;
    let weight = Matrix::new(weight, out_features, in_features)?.transposed();
    product(Isa::current(), input, Right::Plain(weight), epilogue, out)
}

/// A dense layer whose weight was packed once, for many calls.
///
/// It runs on the instruction set in use when it was made. Its answers are [`linear_with`]'s.
pub struct Prepared<T: Element> {
    isa: Isa,
    in_features: usize,
    out_features: usize,
    packed: Lasting<T>,
}

impl<T: Element> Prepared<T> {
    /// Packs a weight of the shape `(out_features, in_features)`.
    ///
    /// # Errors
    /// `weight` isn't as long.
    pub fn new([in_features, out_features]: [usize; 2], weight: &[T]) -> Result<Self> {
        let isa = Isa::current();
        let weight = Matrix::new(weight, out_features, in_features)?.transposed();
        let mut packed = Lasting::zeroed(packed_len::<T>(isa, [in_features, out_features]));
        T::pack_right(Checked, isa, weight, &mut packed);
        Ok(Self { isa, in_features, out_features, packed })
    }

    /// `out` = what `epilogue`, whose channels are the output's features, makes of `input * weight^T`, for `rows` rows.
    ///
    /// # Errors
    /// A slice isn't as long as its shape.
    pub fn forward(&self, rows: usize, input: &[T], epilogue: &Epilogue<'_, T>, out: &mut [T]) -> Result<()> {
        let input = Matrix::new(input, rows, self.in_features)?;
        let weight = Right::Packed { data: &self.packed, rows: self.in_features, columns: self.out_features };
        product(self.isa, input, weight, epilogue, out)
    }
}

impl<T: Element> std::fmt::Debug for Prepared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { isa, in_features, out_features, .. } = self;
        f.debug_struct("Prepared")
            .field("isa", isa)
            .field("in_features", in_features)
            .field("out_features", out_features)
            .finish_non_exhaustive()
    }
}

/// `grad_input = grad_out * weight`.
///
/// # Errors
/// As [`linear`].
pub fn linear_grad_input<T: Element>(
    [rows, in_features, out_features]: [usize; 3],
    grad_out: &[T],
    weight: &[T],
    grad_input: &mut [T],
) -> Result<()> {
    let grad_out = Matrix::new(grad_out, rows, out_features)?;
    matmul(grad_out, Matrix::new(weight, out_features, in_features)?, None, grad_input)
}

/// `grad_weight = grad_out^T * input`.
///
/// # Errors
/// As [`linear`].
pub fn linear_grad_weight<T: Element>(
    [rows, in_features, out_features]: [usize; 3],
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) -> Result<()> {
    let grad_out = Matrix::new(grad_out, rows, out_features)?;
    matmul(grad_out.transposed(), Matrix::new(input, rows, in_features)?, None, grad_weight)
}

/// `grad_bias` = the sums of `grad_out`'s columns.
///
/// # Errors
/// As [`linear`].
pub fn linear_grad_bias<T: Element>(
    rows: usize,
    out_features: usize,
    grad_out: &[T],
    grad_bias: &mut [T],
) -> Result<()> {
    check_len("linear grad_bias", "grad_out", grad_out.len(), &[rows, out_features])?;
    check_len("linear grad_bias", "grad_bias", grad_bias.len(), &[out_features])?;
    T::channel_sums(Checked, [rows, out_features, 1, 1], grad_out, grad_bias);
    Ok(())
}
