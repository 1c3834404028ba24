//! What is made small.

use candle_core::{D, DType, Result, Tensor, backprop::GradStore};
use zoo_data::Batch;
use zoo_layers::{CrossEntropy, Outputs};

use crate::Recipe;

/// [`CrossEntropy`] of `(n, classes)` logits, for labels that are bytes, none of them ignored.
///
/// # Errors
/// A label that is no class, logits that aren't `(n, classes)` with as many rows as labels; candle's.
pub fn cross_entropy(logits: &Tensor, labels: &[u8], smoothing: f64) -> zoo_layers::Result<Tensor> {
    let labels: Vec<i64> = labels.iter().map(|&label| label.into()).collect();
    CrossEntropy { ignored: None, smoothing }.of(logits, &labels)
}

/// Cross entropy of `(n, classes)` logits to targets that are shares of all classes, `(n, classes)`: the mean over the
/// rows, each counting as much as its weight says.
///
/// # Errors
/// Other shapes; candle's.
pub fn soft_cross_entropy(logits: &Tensor, targets: &Tensor, weights: &Tensor) -> Result<Tensor> {
    // The maximum is taken off without its gradient, which is nothing but rounding.
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?;
    let log = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let rows = (log * targets)?.sum(D::Minus1)?;
    (rows * weights)?.sum_all()?.neg()? / weights.sum_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()?
}

/// What a network's outputs in training cost, the main one's loss and the auxiliary ones' by their weight, and the gradient of
/// that by each output.
pub(crate) fn of_outputs(
    outputs: &Outputs,
    main: &str,
    batch: &Batch,
    recipe: &Recipe,
    classes: Option<&[f32]>,
) -> zoo_layers::Result<(f64, GradStore)> {
    let labels: Vec<i64> = batch.masks.iter().flatten().map(|&label| label.into()).collect();
    let of_classes: Vec<f64> = classes.unwrap_or_default().iter().map(|&weight| weight.into()).collect();
    let (mut total, mut gradients) = (None, GradStore::default());
    for (name, logits) in outputs {
        let weight = if name == main { 1.0 } else { recipe.auxiliary };
        if weight == 0.0 {
            continue;
        }
        let smoothing = recipe.label_smoothing;
        let (value, mut gradient) = match &batch.masks {
            Some(_) => recipe.pixels.loss(smoothing).times(weight).gradient(logits, &labels, &of_classes)?,
            None => {
                let loss = (of_batch(logits, batch, smoothing, classes)? * weight)?;
                let gradient = loss.backward()?.remove(logits);
                (value(&loss)?, gradient.map_or_else(|| logits.zeros_like(), Ok)?)
            }
        };
        total = Some(total.unwrap_or(0.0) + value);
        // Two outputs may be one node's.
        if let Some(other) = gradients.remove(logits) {
            gradient = (gradient + other)?;
        }
        gradients.insert(logits, gradient);
    }
    let total = total.ok_or_else(|| candle_core::Error::msg("the network has no output that counts"))?;
    Ok((total, gradients))
}

/// Rows of logits: as they are, or the means of maps, which networks without linear layers answer.
pub(crate) fn rows(logits: &Tensor) -> candle_core::Result<Tensor> {
    match logits.rank() {
        4 => logits.flatten_from(2)?.mean(2),
        _ => Ok(logits.clone()),
    }
}

fn of_batch(
    logits: &Tensor,
    batch: &Batch,
    smoothing: f64,
    classes: Option<&[f32]>,
) -> zoo_layers::Result<Tensor> {
    let logits = &rows(logits)?;
    let plain = |labels: &[usize]| {
        let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        CrossEntropy { ignored: None, smoothing }.of(logits, &labels)
    };
    match (&batch.mixed, classes) {
        (None, None) => plain(&batch.labels),
        (Some(mixed), None) => {
            let share = f64::from(mixed.share);
            Ok(((plain(&batch.labels)? * share)? + (plain(&mixed.labels)? * (1.0 - share))?)?)
        }
        (mixed, Some(weights)) => {
            let (rows, columns) = logits.dims2()?;
            let targets = batch.targets(columns, smoothing as f32).map_err(candle_core::Error::wrap)?;
            let weight = |label: &usize| weights.get(*label).copied().unwrap_or_default();
            let counts: Vec<f32> = match mixed {
                None => batch.labels.iter().map(weight).collect(),
                Some(mixed) => {
                    let pairs = batch.labels.iter().zip(&mixed.labels);
                    pairs.map(|(a, b)| mixed.share * weight(a) + (1.0 - mixed.share) * weight(b)).collect()
                }
            };
            let targets = Tensor::from_vec(targets, (rows, columns), logits.device())?;
            let counts = Tensor::from_vec(counts, rows, logits.device())?;
            Ok(soft_cross_entropy(logits, &targets, &counts)?)
        }
    }
}

/// Of rows of logits, how many are largest at their label.
pub(crate) fn right(logits: &Tensor, labels: &[usize]) -> Result<usize> {
    let rows: Vec<Vec<f32>> = rows(&logits.detach().to_dtype(DType::F32)?)?.to_vec2()?;
    let is_right = |(row, label): &(&Vec<f32>, &usize)| {
        row.get(**label).is_some_and(|own| row.iter().all(|other| other <= own))
    };
    Ok(rows.iter().zip(labels).filter(is_right).count())
}

/// A scalar tensor as a number.
pub(crate) fn value(loss: &Tensor) -> Result<f64> {
    loss.to_dtype(DType::F64)?.to_scalar()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use zoo_data::{Mixed, Place};

    use super::*;

    #[test]
    fn mixed_and_weighted_losses_agree_with_their_definitions() {
        let logits = Tensor::new(&[[1f32, 2.0, -1.0], [0.5, 0.0, 3.0]], &Device::Cpu).unwrap();
        let batch = |mixed| Batch {
            place: Place::default(),
            values: Vec::new(),
            shape: [2, 1, 1, 1],
            indices: vec![0, 1],
            labels: vec![1, 2],
            masks: None,
            mixed,
        };
        let of = |batch: &Batch, classes: Option<&[f32]>| {
            value(&of_batch(&logits, batch, 0.1, classes).unwrap()).unwrap()
        };
        let log = |row: [f64; 3], k: usize| row[k] - row.iter().map(|x| x.exp()).sum::<f64>().ln();
        let (a, b) = ([1.0, 2.0, -1.0], [0.5, 0.0, 3.0]);
        let row = |row: [f64; 3], label: usize| {
            (0..3).map(|k| -log(row, k) * (0.1 / 3.0 + if k == label { 0.9 } else { 0.0 })).sum::<f64>()
        };
        let plain = of(&batch(None), None);
        assert!((plain - (row(a, 1) + row(b, 2)) / 2.0).abs() < 1e-6, "{plain}");
        assert!((of(&batch(None), Some(&[1.0, 1.0, 1.0])) - plain).abs() < 1e-6);
        let weighted = of(&batch(None), Some(&[1.0, 3.0, 0.5]));
        assert!((weighted - (3.0 * row(a, 1) + 0.5 * row(b, 2)) / 3.5).abs() < 1e-6, "{weighted}");
        let mixed = batch(Some(Mixed { share: 0.25, labels: vec![0, 0] }));
        let expected = (0.25 * (row(a, 1) + row(b, 2)) + 0.75 * (row(a, 0) + row(b, 0))) / 2.0;
        assert!((of(&mixed, None) - expected).abs() < 1e-6);
        assert!((of(&mixed, Some(&[1.0, 1.0, 1.0])) - expected).abs() < 1e-6);
    }
}
