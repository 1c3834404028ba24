//! Cross entropy between logits and labels.

use candle_core::{D, DType, Result, Tensor};

/// The mean over the batch of −Σ q log p, where p is the softmax of the `(n, classes)` logits and q puts
/// `1 − smoothing` on the label and spreads `smoothing` evenly over all classes, the label's too (Szegedy et
/// al. 2015, "Rethinking the Inception architecture", section 7).
///
/// # Errors
/// A label that is no class, logits that aren't `(n, classes)` with as many rows as labels; candle's.
pub fn cross_entropy(logits: &Tensor, labels: &[u8], smoothing: f64) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    if n != labels.len() {
        candle_core::bail!("{n} rows of logits for {} labels; give one row for each", labels.len());
    }
    let spread = smoothing / classes as f64;
    let mut wanted = vec![spread as f32; n * classes];
    for (row, &label) in wanted.chunks_exact_mut(classes).zip(labels) {
        let Some(share) = row.get_mut(usize::from(label)) else {
            candle_core::bail!("label {label} is none of the {classes} classes, 0 to {}", classes - 1);
        };
        *share = (1.0 - smoothing + spread) as f32;
    }
    let wanted = Tensor::from_vec(wanted, (n, classes), logits.device())?.to_dtype(logits.dtype())?;
    (log_softmax(logits)? * wanted)?.sum_all()? * (-1.0 / n as f64)
}

/// The maximum is taken off without its gradient, which is nothing but rounding.
fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)
}

/// A scalar tensor as a number.
pub(crate) fn value(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Two rows of three logits; the values and gradients are PyTorch 2.15's.
    fn logits() -> Var {
        Var::new(&[[1.0_f32, -2.0, 0.5], [300.0, 299.0, -300.0]], &Device::Cpu).unwrap()
    }

    #[test]
    fn it_is_pytorchs() {
        let plain = [0.301_874_46, 0.015_029_44, -0.316_903_9, -0.134_470_7, 0.134_470_72, 0.0];
        let smoothed = [0.285_207_78, -0.001_637_22, -0.283_570_56, -0.101_137_37, 0.117_804_05, -0.016_666_668];
        for (smoothing, expected, gradient) in [(0.0, 0.658_929_3, plain), (0.1, 10.708_93, smoothed)] {
            let logits = logits();
            let loss = cross_entropy(&logits, &[2, 0], smoothing).unwrap();
            assert!((value(&loss).unwrap() - expected).abs() < 1e-5, "{loss}");
            let grads = loss.backward().unwrap();
            let found: Vec<f32> = grads.get(&logits).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            for (found, expected) in found.iter().zip(gradient) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn labels_that_are_no_class_and_too_few_rows_are_said() {
        let error = cross_entropy(&logits(), &[0, 3], 0.0).unwrap_err().to_string();
        assert!(error.contains("label 3 is none of the 3 classes"), "{error}");
        let error = cross_entropy(&logits(), &[0], 0.0).unwrap_err().to_string();
        assert!(error.contains("2 rows of logits for 1 labels"), "{error}");
    }
}
