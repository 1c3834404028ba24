//! The dense layer, whose weight is `(out_features, in_features)`.

use super::matrix::{Matrix, matmul};
use crate::element::Element;
use crate::error::{Result, check_len};
use crate::reduce::channel_sums;

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
    let input = Matrix::new(input, rows, in_features)?;
    let weight = Matrix::new(weight, out_features, in_features)?;
    matmul(input, weight.transposed(), bias, out)
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
    channel_sums([rows, out_features, 1, 1], grad_out, grad_bias);
    Ok(())
}
