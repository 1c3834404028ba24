//! Softmax and cross-entropy in one, over the class axis of `(n, classes, h, w)`; a classifier's logits are
//! `(n, classes, 1, 1)`.

#![expect(unsafe_code, reason = "tasks write to disjoint pixels of one slice")]

use rayon::prelude::*;

use crate::element::Element;
use crate::error::{KernelError, Result, Shape, check_len, check_nonzero};
use crate::par::{Shared, tasks};
use crate::scratch;

/// How the loss is formed: the mean over all positions whose label isn't ignored, each counting as its class does.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CrossEntropy<'a> {
    /// The label of positions that don't count (255 in segmentation).
    pub ignored: Option<i64>,
    /// The share of probability that is spread evenly over all classes, from 0 to 1.
    pub smoothing: f64,
    /// What a position of each class counts; one for all if there is none.
    pub weights: &'a [f64],
}

/// Pixels whose classes are read together, row by row.
pub(crate) const PIXELS: usize = 128;

impl CrossEntropy<'_> {
    /// What all positions that count do count together.
    pub(crate) fn check(&self, op: &'static str, shape: Shape, logits: usize, labels: &[i64]) -> Result<f64> {
        check_nonzero(op, "a side of the logits", &shape)?;
        check_len(op, "logits", logits, &shape)?;
        check_len(op, "labels", labels.len(), &[shape[0], shape[2], shape[3]])?;
        if !(0.0..=1.0).contains(&self.smoothing) {
            let value = self.smoothing.to_string();
            return Err(KernelError::Value { op, what: "smoothing", value, must: "from 0 to 1" });
        }
        if !self.weights.is_empty() {
            check_len(op, "weights", self.weights.len(), &[shape[1]])?;
        }
        if let Some(weight) = self.weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            let value = weight.to_string();
            return Err(KernelError::Value {
                op,
                what: "a class's weight",
                value,
                must: "a number of at least 0",
            });
        }
        let mut counts = vec![0_u64; shape[1]];
        for (position, &label) in labels.iter().enumerate() {
            if self.ignored == Some(label) {
                continue;
            }
            match usize::try_from(label).ok().and_then(|label| counts.get_mut(label)) {
                Some(count) => *count += 1,
                None => return Err(KernelError::Label { op, label, position, classes: shape[1] }),
            }
        }
        Ok(counts.iter().enumerate().map(|(class, &count)| count as f64 * self.weight(class)).sum())
    }

    fn weight(&self, class: usize) -> f64 {
        self.weights.get(class).copied().unwrap_or(1.0)
    }

    /// The loss; NaN if nothing counts, as a mean over nothing is.
    ///
    /// `labels` has the shape `(n, h, w)`.
    ///
    /// # Errors
    /// A slice isn't as long as its shape, a label is no class, a weight is negative, or the smoothing isn't from 0 to 1.
    pub fn forward<T: Element>(&self, shape: Shape, logits: &[T], labels: &[i64]) -> Result<T> {
        let counted = self.check("cross_entropy", shape, logits.len(), labels)?;
        let parts = Parts::new(shape);
        let losses: Vec<f64> = (0..parts.count())
            .into_par_iter()
            .map(|part| {
                let mut total = 0.0;
                self.part(&parts, part, logits, labels, |pixel, label, of| {
                    total += self.weight(label) * self.position(pixel, label, of, parts.classes);
                });
                total
            })
            .collect();
        // Added up in order: a parallel sum would depend on the threads.
        Ok(T::from_f64(losses.iter().sum::<f64>() / counted))
    }

    /// `grad` = the loss's gradient times `scale` (the gradient of what the loss went into).
    ///
    /// # Errors
    /// As [`CrossEntropy::forward`].
    pub fn backward<T: Element>(
        &self,
        shape: Shape,
        logits: &[T],
        labels: &[i64],
        scale: T,
        grad: &mut [T],
    ) -> Result<()> {
        let op = "cross_entropy backward";
        let counted = self.check(op, shape, logits.len(), labels)?;
        check_len(op, "grad", grad.len(), &shape)?;
        grad.fill(T::ZERO);
        let parts = Parts::new(shape);
        let grad = Shared::new(grad);
        let scales: Vec<T> =
            (0..shape[1]).map(|class| T::from_f64(scale.to_f64() * self.weight(class) / counted)).collect();
        let even = T::from_f64(self.smoothing / shape[1] as f64);
        let hot = T::from_f64(1.0 - self.smoothing);
        tasks(parts.count(), logits.len() * 16, |part| {
            self.part(&parts, part, logits, labels, |pixel, label, of| {
                let scale = scales[label];
                for class in 0..parts.classes {
                    let probability =
                        (of.logits[pixel.start + class * parts.pixels] - pixel.most).exp() / pixel.sum;
                    let wanted = if class == label { even + hot } else { even };
                    // SAFETY: the part's pixels are this task's.
                    unsafe {
                        *grad.get().add(pixel.start + class * parts.pixels) = (probability - wanted) * scale;
                    }
                }
            });
        });
        Ok(())
    }

    /// The loss of one position.
    fn position<T: Element>(&self, pixel: Pixel<T>, label: usize, of: Of<'_, T>, classes: usize) -> f64 {
        let log_sum = pixel.most.to_f64() + pixel.sum.to_f64().ln();
        let logit = |class: usize| of.logits[pixel.start + class * of.pixels].to_f64();
        let hit = log_sum - logit(label);
        if self.smoothing == 0.0 {
            return hit;
        }
        let mean = log_sum - (0..classes).map(logit).sum::<f64>() / classes as f64;
        (1.0 - self.smoothing) * hit + self.smoothing * mean
    }

    /// Calls `visit` for every position of a part that counts.
    fn part<T: Element>(
        &self,
        parts: &Parts,
        part: usize,
        logits: &[T],
        labels: &[i64],
        mut visit: impl FnMut(Pixel<T>, usize, Of<'_, T>),
    ) {
        let (start, count) = parts.place(part);
        let mut most = scratch::take::<T>(count);
        let mut sums = scratch::take::<T>(count);
        most.fill(T::NEG_INFINITY);
        sums.fill(T::ZERO);
        let rows = || (0..parts.classes).map(|class| &logits[start + class * parts.pixels..][..count]);
        for row in rows() {
            for (most, &x) in most.iter_mut().zip(row) {
                *most = if x > *most { x } else { *most };
            }
        }
        for row in rows() {
            for (sum, (&most, &x)) in sums.iter_mut().zip(most.iter().zip(row)) {
                *sum += (x - most).exp();
            }
        }
        for (i, &label) in parts.labels(part, labels).iter().enumerate() {
            // Every label was checked: one that doesn't convert is an ignored one.
            if let (false, Ok(label)) = (self.ignored == Some(label), usize::try_from(label)) {
                let pixel = Pixel { start: start + i, most: most[i], sum: sums[i] };
                visit(pixel, label, Of { logits, pixels: parts.pixels });
            }
        }
    }
}

/// How positions are divided among tasks.
pub(crate) struct Parts {
    pictures: usize,
    pub(crate) classes: usize,
    /// Positions of a picture.
    pub(crate) pixels: usize,
    each: usize,
}

impl Parts {
    pub(crate) fn new([n, classes, h, w]: Shape) -> Self {
        Self { pictures: n, classes, pixels: h * w, each: (h * w).div_ceil(PIXELS) }
    }

    pub(crate) fn count(&self) -> usize {
        self.pictures * self.each
    }

    /// Where a part's first class begins among the logits, and its positions.
    pub(crate) fn place(&self, part: usize) -> (usize, usize) {
        let (picture, first) = (part / self.each, part % self.each * PIXELS);
        (picture * self.classes * self.pixels + first, PIXELS.min(self.pixels - first))
    }

    /// A part's labels.
    pub(crate) fn labels<'a>(&self, part: usize, labels: &'a [i64]) -> &'a [i64] {
        let (picture, first) = (part / self.each, part % self.each * PIXELS);
        &labels[picture * self.pixels + first..][..PIXELS.min(self.pixels - first)]
    }
}

/// One position: its first class's place, its largest logit, and the sum of exponentials relative to it.
#[derive(Clone, Copy)]
struct Pixel<T> {
    start: usize,
    most: T,
    sum: T,
}

/// The logits that a position's are among.
#[derive(Clone, Copy)]
struct Of<'a, T> {
    logits: &'a [T],
    pixels: usize,
}
