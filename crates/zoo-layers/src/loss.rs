//! Cross entropy between logits and labels, for classifiers and for segmentation.

use std::sync::Arc;

use candle_core::{D, DType, Tensor};
use zoo_kernels::{Element, KernelError, dice, loss};

use crate::{
    Error, Result,
    kernel::{self, Backward, CpuKernel, Forward},
    rng::Stream,
    tape,
};

/// The mean over all positions of −Σ q log p, where p is the softmax of a position's logits and q puts
/// `1 − smoothing` on its label and spreads `smoothing` evenly over all classes, the label's too (Szegedy et
/// al. 2015, "Rethinking the Inception architecture", section 7).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use zoo_layers::CrossEntropy;
///
/// let logits = Tensor::new(&[[2f32, 2.0], [0.0, 9.0]], &Device::Cpu)?;
/// let loss = CrossEntropy { ignored: Some(255), ..CrossEntropy::default() };
/// let loss = loss.of(&logits, &[1, 255])?.to_scalar::<f32>()?;
/// assert!((loss - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// The label of positions that don't count, 255 by custom. NaN comes of a batch in which none counts.
    pub ignored: Option<i64>,
    /// The share of probability that is spread, from 0 to 1.
    pub smoothing: f64,
}

impl CrossEntropy {
    /// The loss of logits `(n, classes)` or `(n, classes, h, w)`, whose labels are `n` or `n·h·w` classes.
    ///
    /// # Errors
    /// Logits of another rank, another number of labels, a label that is no class; candle's.
    pub fn of(&self, logits: &Tensor, labels: &[i64]) -> Result<Tensor> {
        self.weighted(logits, labels, &[])
    }

    /// The same where a position counts as its label's class does: the sum of the weighted losses over the sum of the
    /// weights, as PyTorch has it. (Of a smoothed loss, the label's weight is the whole position's.)
    ///
    /// # Errors
    /// As [`of`](Self::of); weights that aren't one for each class, or negative.
    pub fn weighted(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<Tensor> {
        let classes = self.fits(logits, labels, weights)?;
        if logits.device().is_cpu() {
            return Kernel::run(Loss::CrossEntropy(*self), logits, labels, weights);
        }
        Ok(self.composed(logits, labels, (weights, classes))?)
    }

    /// The number of classes, if everything fits together.
    fn fits(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<usize> {
        let (classes, positions) = match *logits.dims() {
            [n, classes] => (classes, n),
            [n, classes, h, w] => (classes, n * h * w),
            ref other => {
                return Err(refused(format!("logits are (n, classes) or (n, classes, h, w), not {other:?}")));
            }
        };
        if positions != labels.len() {
            let labels = labels.len();
            return Err(refused(format!(
                "{positions} positions of logits for {labels} labels; give one label for each"
            )));
        }
        let stray = labels.iter().find(|&&label| {
            self.ignored != Some(label) && usize::try_from(label).map_or(true, |label| label >= classes)
        });
        if let Some(label) = stray {
            let last = classes.saturating_sub(1);
            return Err(refused(format!("label {label} is none of the {classes} classes, 0 to {last}")));
        }
        if !(weights.is_empty() || weights.len() == classes) {
            let weights = weights.len();
            return Err(refused(format!("{weights} weights for {classes} classes; give one for each")));
        }
        if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return Err(refused(format!("a class's weight is {weight}; give numbers of at least 0")));
        }
        if !(0.0..=1.0).contains(&self.smoothing) {
            return Err(refused(format!("a smoothing of {} isn't from 0 to 1", self.smoothing)));
        }
        Ok(classes)
    }

    /// The same in candle's operations.
    fn composed(
        &self,
        logits: &Tensor,
        labels: &[i64],
        (weights, classes): (&[f64], usize),
    ) -> candle_core::Result<Tensor> {
        let rows = match logits.rank() {
            4 => logits.permute((0, 2, 3, 1))?.contiguous()?.reshape((labels.len(), classes))?,
            _ => logits.clone(),
        };
        let spread = self.smoothing / classes as f64;
        let mut wanted = vec![0f32; labels.len() * classes];
        let weight = |label: i64| weights.get(label as usize).copied().unwrap_or(1.0);
        let counted: f64 =
            labels.iter().filter(|&&label| self.ignored != Some(label)).map(|&label| weight(label)).sum();
        for (row, &label) in wanted.chunks_exact_mut(classes).zip(labels) {
            if self.ignored != Some(label) {
                row.fill((weight(label) * spread) as f32);
                row[label as usize] = (weight(label) * (1.0 - self.smoothing + spread)) as f32;
            }
        }
        let wanted = Tensor::from_vec(wanted, rows.dims(), logits.device())?.to_dtype(logits.dtype())?;
        // The maximum is taken off without its gradient, which is nothing but rounding.
        let shifted = rows.broadcast_sub(&rows.max_keepdim(D::Minus1)?.detach())?;
        let log = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
        let total = (log * wanted)?.sum_all()?;
        total.to_dtype(DType::F64)?.affine(-1.0 / counted, 0.0)?.to_dtype(logits.dtype())
    }
}

/// One minus the mean over the classes that occur of their Dice coefficients, (2 Σ p g + 1) / (Σ p + Σ g + 1), where p
/// is the softmax of a position's logits and g is 1 where the class is the label (Milletari et al. 2016, "V-Net").
///
/// ```
/// use candle_core::{Device, Tensor};
/// use zoo_layers::Dice;
///
/// let sure = Tensor::new(&[[99f32, 0.0], [0.0, 99.0]], &Device::Cpu)?;
/// let loss = Dice::default().weighted(&sure, &[0, 1], &[])?.to_scalar::<f32>()?;
/// assert!(loss.abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Dice {
    /// The label of positions that don't count, 255 by custom. NaN comes of a batch in which none counts.
    pub ignored: Option<i64>,
}

impl Dice {
    /// The loss of logits `(n, classes)` or `(n, classes, h, w)` with `n` or `n·h·w` labels, in whose mean a class counts
    /// as its weight says, one for all if there is none. By kernels on a CPU, by candle's operations elsewhere.
    ///
    /// # Errors
    /// As [`CrossEntropy::weighted`].
    pub fn weighted(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<Tensor> {
        CrossEntropy { ignored: self.ignored, smoothing: 0.0 }.fits(logits, labels, weights)?;
        if logits.device().is_cpu() {
            return Kernel::run(Loss::Dice(*self), logits, labels, weights);
        }
        Ok(self.composed(logits, labels, weights)?)
    }

    /// The same in candle's operations.
    fn composed(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> candle_core::Result<Tensor> {
        let rows = match logits.rank() {
            4 => logits.permute((0, 2, 3, 1))?.contiguous()?.flatten(0, 2)?,
            _ => logits.clone(),
        };
        let (positions, classes) = rows.dims2()?;
        let (mut wanted, mut counted) = (vec![0f32; positions * classes], vec![0f32; positions]);
        let mut labelled = vec![0f64; classes];
        for (row, &label) in labels.iter().enumerate().filter(|(_, label)| self.ignored != Some(**label)) {
            wanted[row * classes + label as usize] = 1.0;
            counted[row] = 1.0;
            labelled[label as usize] += 1.0;
        }
        let weight = |class: usize| weights.get(class).copied().unwrap_or(1.0);
        let share: Vec<f64> = (0..classes).map(|c| if labelled[c] > 0.0 { weight(c) } else { 0.0 }).collect();
        let all: f64 = share.iter().sum();
        let like = |tensor: Tensor| tensor.to_device(logits.device())?.to_dtype(logits.dtype());
        let on_cpu = candle_core::Device::Cpu;
        let share: Vec<f64> = share.iter().map(|share| share / all).collect();
        let share = like(Tensor::from_vec(share, classes, &on_cpu)?)?;
        let labelled = like(Tensor::from_vec(labelled, classes, &on_cpu)?)?;
        let wanted = like(Tensor::from_vec(wanted, (positions, classes), &on_cpu)?)?;
        let counted = like(Tensor::from_vec(counted, (positions, 1), &on_cpu)?)?;
        // The maximum is taken off without its gradient, which is nothing but rounding.
        let given = rows.broadcast_sub(&rows.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let given = given.broadcast_div(&given.sum_keepdim(D::Minus1)?)?;
        let both = (&given * wanted)?.sum(0)?;
        let given = given.broadcast_mul(&counted)?.sum(0)?;
        let coefficients = (both.affine(2.0, 1.0)? / (given + labelled)?.affine(1.0, 1.0)?)?;
        (coefficients * share)?.sum_all()?.affine(-1.0, 1.0)
    }
}

fn refused(message: String) -> Error {
    Error::Candle(candle_core::Error::Msg(message))
}

/// A loss of labelled positions, as an operation with its gradient.
#[derive(Debug)]
struct Kernel {
    loss: Loss,
    labels: Vec<i64>,
    weights: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
enum Loss {
    CrossEntropy(CrossEntropy),
    Dice(Dice),
}

impl Kernel {
    /// Computes it by kernels.
    fn run(loss: Loss, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<Tensor> {
        let kernel: Arc<dyn kernel::Kernel> =
            Arc::new(Self { loss, labels: labels.to_vec(), weights: weights.to_vec() });
        let (loss, _) = tape::run(&kernel, std::slice::from_ref(logits), (&[], 0), &Stream::from_key(0))?;
        Ok(loss)
    }
}

impl CpuKernel for Kernel {
    fn name(&self) -> &'static str {
        match self.loss {
            Loss::CrossEntropy(_) => "cross_entropy",
            Loss::Dice(_) => "dice",
        }
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let (weights, labels, logits) = (&self.weights, &self.labels, &args[0]);
        out.fill(match self.loss {
            Loss::CrossEntropy(CrossEntropy { ignored, smoothing }) => {
                let loss = loss::CrossEntropy { ignored, smoothing, weights };
                loss.forward(logits.dims, logits.data, labels)?
            }
            Loss::Dice(Dice { ignored }) => {
                dice::Dice { ignored, weights }.forward(logits.dims, logits.data, labels)?
            }
        });
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let Some(to) = &mut grads[0] else { return Ok(()) };
        let (weights, labels, logits) = (&self.weights, &self.labels, &args[0]);
        match self.loss {
            Loss::CrossEntropy(CrossEntropy { ignored, smoothing }) => {
                let loss = loss::CrossEntropy { ignored, smoothing, weights };
                loss.backward(logits.dims, logits.data, labels, grad[0], to)
            }
            Loss::Dice(Dice { ignored }) => {
                dice::Dice { ignored, weights }.backward(logits.dims, logits.data, labels, grad[0], to)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Two rows of three logits; the values and gradients are PyTorch 2.15's.
    fn logits() -> Var {
        Var::new(&[[1.0_f32, -2.0, 0.5], [300.0, 299.0, -300.0]], &Device::Cpu).unwrap()
    }

    fn numbers(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn it_is_pytorchs() {
        let plain = [0.301_874_46, 0.015_029_44, -0.316_903_9, -0.134_470_7, 0.134_470_72, 0.0];
        let smoothed =
            [0.285_207_78, -0.001_637_22, -0.283_570_56, -0.101_137_37, 0.117_804_05, -0.016_666_668];
        for (smoothing, expected, gradient) in [(0.0, 0.658_929_3, plain), (0.1, 10.708_93, smoothed)] {
            let loss = CrossEntropy { smoothing, ignored: None };
            let logits = logits();
            for found in
                [loss.of(&logits, &[2, 0]).unwrap(), loss.composed(&logits, &[2, 0], (&[], 3)).unwrap()]
            {
                assert!((found.to_scalar::<f32>().unwrap() - expected).abs() < 1e-5, "{found}");
                let grads = found.backward().unwrap();
                for (found, expected) in numbers(grads.get(&logits).unwrap()).iter().zip(gradient) {
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn maps_are_as_many_positions_and_ignored_ones_do_not_count() {
        let map = Var::from_vec((0..24).map(|i| (i * 7 % 11) as f64).collect(), (2, 3, 2, 2), &Device::Cpu)
            .unwrap();
        let labels = [0, 255, 2, 1, 255, 255, 1, 0];
        let loss = CrossEntropy { ignored: Some(255), smoothing: 0.2 };
        for weights in [&[][..], &[0.5, 2.0, 1.0]] {
            agree(loss, &map, &labels, weights);
        }
    }

    /// The kernel and candle's operations on one map, in value and gradient.
    fn agree(loss: CrossEntropy, map: &Var, labels: &[i64], weights: &[f64]) {
        let kernel = loss.weighted(map, labels, weights).unwrap();
        let composed = loss.composed(map, labels, (weights, 3)).unwrap();
        let gap = (kernel.to_scalar::<f64>().unwrap() - composed.to_scalar::<f64>().unwrap()).abs();
        assert!(gap < 1e-6, "{kernel} {composed}");
        let grads = [kernel, composed].map(|loss| loss.backward().unwrap().get(map).unwrap().clone());
        let gap =
            (&grads[0] - &grads[1]).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(gap < 1e-6, "{gap}");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let said = |labels: &[i64]| CrossEntropy::default().of(&logits(), labels).unwrap_err().to_string();
        assert!(said(&[0, 3]).contains("label 3 is none of the 3 classes"), "{}", said(&[0, 3]));
        assert!(said(&[0, -1]).contains("label -1 is none"), "{}", said(&[0, -1]));
        assert!(said(&[0]).contains("2 positions of logits for 1 labels"), "{}", said(&[0]));
        let weighed = CrossEntropy::default().weighted(&logits(), &[0, 1], &[1.0]).unwrap_err().to_string();
        assert!(weighed.contains("1 weights for 3 classes"), "{weighed}");
    }

    #[test]
    fn dice_by_kernels_is_dice_by_candle() {
        let map = Var::from_vec((0..24).map(|i| (i * 7 % 11) as f64).collect(), (2, 3, 2, 2), &Device::Cpu)
            .unwrap();
        let dice = Dice { ignored: Some(255) };
        // The last class doesn't occur.
        for labels in [[0, 255, 2, 1, 255, 255, 1, 0], [0, 0, 1, 255, 1, 0, 0, 1]] {
            for weights in [&[][..], &[0.5, 2.0, 1.0]] {
                let both = [
                    dice.weighted(&map, &labels, weights),
                    Ok(dice.composed(&map, &labels, weights).unwrap()),
                ];
                let [kernel, composed] = both.map(Result::unwrap);
                assert!(
                    ((&kernel - &composed).unwrap().to_scalar::<f64>().unwrap()).abs() < 1e-9,
                    "{kernel} {composed}"
                );
                let [a, b] =
                    [kernel, composed].map(|loss| loss.backward().unwrap().get(&map).unwrap().clone());
                let gap = (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
                assert!(gap < 1e-9, "{gap}");
            }
        }
    }
}
