//! What is made small: losses of labelled positions, for classifiers and for segmentation.

mod composed;

use std::sync::Arc;

use candle_core::{DType, Tensor, Var};
use zoo_kernels::{Element, KernelError, loss};

use crate::{
    Error, Result,
    kernel::{self, Backward, CpuKernel, Forward, Real},
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
        let Self { ignored, smoothing } = *self;
        Loss { ignored, smoothing, ..Loss::CROSS_ENTROPY }.of(logits, labels, &[])
    }
}

/// A sum of losses of the softmax of labelled positions, each by what it counts.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use zoo_layers::Loss;
///
/// let sure = Tensor::new(&[[99f32, 0.0], [0.0, 99.0]], &Device::Cpu)?;
/// let loss = Loss { dice: 0.5, focal: 0.25, ..Loss::CROSS_ENTROPY };
/// let (value, gradient) = loss.gradient(&sure, &[0, 1], &[])?;
/// assert!(value.abs() < 1e-6);
/// assert_eq!(gradient.dims(), sure.dims());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The label of positions that don't count, 255 by custom. NaN comes of a batch in which none counts.
    pub ignored: Option<i64>,
    /// What the mean [`CrossEntropy`] counts.
    pub cross_entropy: f64,
    /// Its share of probability that is spread, from 0 to 1.
    pub smoothing: f64,
    /// What one minus the mean over the classes that occur of their Dice coefficients counts, (2 Σ p g + 1) / (Σ p + Σ g + 1),
    /// where p is the softmax of a position's logits and g is 1 where the class is the label (Milletari et al. 2016, "V-Net").
    pub dice: f64,
    /// What the mean of −(1 − p)^gamma log p counts, p being what a position's label is given (Lin et al. 2017, "Focal Loss for
    /// Dense Object Detection").
    pub focal: f64,
    /// Its exponent: 0, or 1 and more.
    pub gamma: f64,
}

impl Loss {
    /// Cross entropy alone.
    pub const CROSS_ENTROPY: Self =
        Self { ignored: None, cross_entropy: 1.0, smoothing: 0.0, dice: 0.0, focal: 0.0, gamma: 2.0 };

    /// So many times the loss.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        let Self { cross_entropy, dice, focal, .. } = self;
        Self { cross_entropy: factor * cross_entropy, dice: factor * dice, focal: factor * focal, ..self }
    }

    /// The loss of logits `(n, classes)` or `(n, classes, h, w)` with `n` or `n·h·w` labels, as a scalar on candle's tape.
    /// By kernels on a CPU, by candle's operations elsewhere.
    ///
    /// A position counts as its label's class does, by `weights`, one for all if there is none: cross entropy and the focal loss
    /// are the sum of the weighted losses over the sum of the weights, as PyTorch has it (of a smoothed loss, the label's weight
    /// is the whole position's), and a class counts so in Dice's mean.
    ///
    /// # Errors
    /// Logits of another rank, another number of labels, a label that is no class; weights that aren't one for each class, or
    /// negative; a smoothing or gamma that can't be; candle's.
    pub fn of(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<Tensor> {
        self.fits(logits, labels, weights)?;
        if !logits.device().is_cpu() {
            return Ok(composed::loss(self, logits, labels, weights)?);
        }
        let kernel: Arc<dyn kernel::Kernel> =
            Arc::new(Kernel { loss: *self, labels: labels.to_vec(), weights: weights.to_vec() });
        let (loss, _) = tape::run(&kernel, std::slice::from_ref(logits), (&[], 0), &Stream::from_key(0))?;
        Ok(loss)
    }

    /// The loss, and its gradient by the logits, without a tape: from one softmax, where the tape takes two, and adds the
    /// gradient to zeros.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn gradient(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<(f64, Tensor)> {
        let logits = &logits.detach();
        match logits.dtype() {
            DType::F32 if logits.device().is_cpu() => self.by_kernel::<f32>(logits, labels, weights),
            DType::F64 if logits.device().is_cpu() => self.by_kernel::<f64>(logits, labels, weights),
            _ => {
                let leaf = Var::from_tensor(logits)?;
                let loss = self.of(&leaf, labels, weights)?;
                let value = loss.to_dtype(DType::F64)?.to_scalar()?;
                let gradient = loss.backward()?.remove(&leaf);
                Ok((value, gradient.map_or_else(|| logits.zeros_like(), Ok)?))
            }
        }
    }

    fn by_kernel<T: Real>(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<(f64, Tensor)> {
        self.fits(logits, labels, weights)?;
        let mut gradient = vec![T::ZERO; logits.elem_count()];
        let value = tape::with_values::<T, _>(&[logits], |args| {
            let found = self.kernels(weights).gradient(args[0].dims, args[0].data, labels, &mut gradient);
            found.map_err(tape::refused)
        })?;
        Ok((value, Tensor::from_vec(gradient, logits.dims(), logits.device())?))
    }

    /// As kernels know it.
    fn kernels<'a>(&self, weights: &'a [f64]) -> loss::Loss<'a> {
        let Self { ignored, cross_entropy, smoothing, dice, focal, gamma } = *self;
        loss::Loss { ignored, weights, cross_entropy, smoothing, dice, focal, gamma }
    }

    /// Whether everything fits together.
    fn fits(&self, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<()> {
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
        if !(self.gamma == 0.0 || self.gamma >= 1.0 && self.gamma.is_finite()) {
            return Err(refused(format!("a gamma of {} is neither 0 nor 1 and more", self.gamma)));
        }
        Ok(())
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

impl CpuKernel for Kernel {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let loss = self.loss.kernels(&self.weights).value(args[0].dims, args[0].data, &self.labels)?;
        out.fill(T::from_f64(loss));
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let Some(to) = &mut grads[0] else { return Ok(()) };
        let loss = self.loss.times(grad[0].to_f64());
        loss.kernels(&self.weights).gradient(args[0].dims, args[0].data, &self.labels, to)?;
        Ok(())
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
            let loss = Loss { smoothing, ..Loss::CROSS_ENTROPY };
            let logits = logits();
            for found in [
                loss.of(&logits, &[2, 0], &[]).unwrap(),
                composed::loss(&loss, &logits, &[2, 0], &[]).unwrap(),
            ] {
                assert!((found.to_scalar::<f32>().unwrap() - expected).abs() < 1e-5, "{found}");
                let grads = found.backward().unwrap();
                for (found, expected) in numbers(grads.get(&logits).unwrap()).iter().zip(gradient) {
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn kernels_candle_and_the_way_without_a_tape_agree() {
        let map = Var::from_vec((0..24).map(|i| (i * 7 % 11) as f64).collect(), (2, 3, 2, 2), &Device::Cpu)
            .unwrap();
        let plain = Loss { ignored: Some(255), smoothing: 0.2, ..Loss::CROSS_ENTROPY };
        let none = Loss { cross_entropy: 0.0, ..plain };
        let losses = [
            plain,
            Loss { dice: 1.0, ..none },
            Loss { focal: 1.0, ..none },
            Loss { dice: 0.5, focal: 2.0, gamma: 0.0, ..plain }.times(0.5),
        ];
        // In the second the last class doesn't occur.
        for labels in [[0, 255, 2, 1, 255, 255, 1, 0], [0, 0, 1, 255, 1, 0, 0, 1]] {
            for (loss, weights) in
                losses.iter().flat_map(|loss| [&[][..], &[0.5, 2.0, 1.0]].map(|weights| (loss, weights)))
            {
                let kernel = loss.of(&map, &labels, weights).unwrap();
                let composed = composed::loss(loss, &map, &labels, weights).unwrap();
                let (value, gradient) = loss.gradient(&map, &labels, weights).unwrap();
                for taped in [kernel, composed] {
                    let found = taped.to_scalar::<f64>().unwrap();
                    assert!((found - value).abs() < 1e-9, "{loss:?}: {found} {value}");
                    let found = taped.backward().unwrap().get(&map).unwrap().clone();
                    let gap = (found - &gradient).unwrap().abs().unwrap().max_all().unwrap();
                    assert!(gap.to_scalar::<f64>().unwrap() < 1e-9, "{loss:?}: {gap}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let said = |labels: &[i64]| CrossEntropy::default().of(&logits(), labels).unwrap_err().to_string();
        assert!(said(&[0, 3]).contains("label 3 is none of the 3 classes"), "{}", said(&[0, 3]));
        assert!(said(&[0, -1]).contains("label -1 is none"), "{}", said(&[0, -1]));
        assert!(said(&[0]).contains("2 positions of logits for 1 labels"), "{}", said(&[0]));
        let weighed = Loss::CROSS_ENTROPY.of(&logits(), &[0, 1], &[1.0]).unwrap_err().to_string();
        assert!(weighed.contains("1 weights for 3 classes"), "{weighed}");
    }
}
