//! Cross entropy between logits and labels.

use candle_core::{DType, Result, Tensor};
use zoo_layers::CrossEntropy;

/// [`CrossEntropy`] of `(n, classes)` logits, for labels that are bytes, none of them ignored.
///
/// # Errors
/// A label that is no class, logits that aren't `(n, classes)` with as many rows as labels; candle's.
pub fn cross_entropy(logits: &Tensor, labels: &[u8], smoothing: f64) -> zoo_layers::Result<Tensor> {
    let labels: Vec<i64> = labels.iter().map(|&label| label.into()).collect();
    CrossEntropy { ignored: None, smoothing }.of(logits, &labels)
}

/// A scalar tensor as a number.
pub(crate) fn value(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar()
}
