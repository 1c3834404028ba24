//! One minus the Dice coefficient of softmax, over the class axis of `(n, classes, h, w)`: Milletari et al. 2016,
//! "V-Net", section 3, with squares left out and one added above and below, as most programs have it.

#![expect(unsafe_code, reason = "tasks write to disjoint pixels of one slice")]

use rayon::prelude::*;

use crate::element::Element;
use crate::error::{Result, Shape, check_len};
use crate::loss::{CrossEntropy, PIXELS, Parts};
use crate::par::{Shared, tasks};
use crate::scratch;

/// How the loss is formed: one minus the mean over the classes that occur of (2 Σ p g + 1) / (Σ p + Σ g + 1), where p is
/// what a class is given and g is 1 where it is the label; the sums run over all positions that aren't ignored.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dice<'a> {
    /// The label of positions that don't count (255 in segmentation).
    pub ignored: Option<i64>,
    /// What each class counts in the mean; one for all if there is none.
    pub weights: &'a [f64],
}

/// What the sums over all positions say of a class.
#[derive(Clone, Copy, Default)]
struct Class {
    /// Σ p g.
    both: f64,
    /// Σ p.
    given: f64,
    /// Σ g.
    labelled: f64,
    /// Its share of the mean.
    share: f64,
}

impl Class {
    /// Σ p + Σ g + 1.
    fn all(&self) -> f64 {
        self.given + self.labelled + 1.0
    }

    fn coefficient(&self) -> f64 {
        (2.0 * self.both + 1.0) / self.all()
    }
}

impl Dice<'_> {
    /// The loss; NaN if nothing counts, as a mean over nothing is.
    ///
    /// `labels` has the shape `(n, h, w)`.
    ///
    /// # Errors
    /// A slice isn't as long as its shape, a label is no class, or a weight is negative.
    pub fn forward<T: Element>(&self, shape: Shape, logits: &[T], labels: &[i64]) -> Result<T> {
        let classes = self.classes("dice", shape, logits, labels)?;
        let mean: f64 = classes.iter().map(|class| class.share * class.coefficient()).sum();
        Ok(T::from_f64(1.0 - mean))
    }

    /// `grad` = the loss's gradient times `scale` (the gradient of what the loss went into).
    ///
    /// # Errors
    /// As [`Dice::forward`].
    pub fn backward<T: Element>(
        &self,
        shape: Shape,
        logits: &[T],
        labels: &[i64],
        scale: T,
        grad: &mut [T],
    ) -> Result<()> {
        let op = "dice backward";
        check_len(op, "grad", grad.len(), &shape)?;
        let classes = self.classes(op, shape, logits, labels)?;
        // The loss's derivative by what a class is given at a position, and what more it is at its label.
        let scale = scale.to_f64();
        let everywhere: Vec<T> =
            classes.iter().map(|c| T::from_f64(scale * c.share * c.coefficient() / c.all())).collect();
        let at_label: Vec<T> =
            classes.iter().map(|c| T::from_f64(-2.0 * scale * c.share / c.all())).collect();
        let (parts, grad) = (Parts::new(shape), Shared::new(grad));
        tasks(parts.count(), logits.len() * 16, |part| {
            let (start, count) = parts.place(part);
            let mut given = scratch::take::<T>(shape[1] * count);
            probabilities(&parts, part, logits, &mut given);
            for (i, &label) in parts.labels(part, labels).iter().enumerate() {
                let label = self.counts(label);
                let more = |class: usize| if label == Some(class) { at_label[class] } else { T::ZERO };
                let slopes = || everywhere.iter().enumerate().map(|(class, &slope)| slope + more(class));
                let given = || given[i..].iter().step_by(count);
                let mut mean = T::ZERO;
                for (&given, slope) in given().zip(slopes()) {
                    mean += given * slope;
                }
                for (class, (&given, slope)) in given().zip(slopes()).enumerate() {
                    let slope = if label.is_some() { given * (slope - mean) } else { T::ZERO };
                    // SAFETY: the part's pixels are this task's.
                    unsafe { *grad.get().add(start + i + class * parts.pixels) = slope };
                }
            }
        });
        Ok(())
    }

    /// The class of a label that counts: labels were checked.
    fn counts(&self, label: i64) -> Option<usize> {
        if self.ignored == Some(label) { None } else { usize::try_from(label).ok() }
    }

    /// The sums, with everything checked.
    fn classes<T: Element>(
        &self,
        op: &'static str,
        shape: Shape,
        logits: &[T],
        labels: &[i64],
    ) -> Result<Vec<Class>> {
        let Self { ignored, weights } = *self;
        CrossEntropy { ignored, smoothing: 0.0, weights }.check(op, shape, logits.len(), labels)?;
        let parts = Parts::new(shape);
        let sums: Vec<Vec<Class>> = (0..parts.count())
            .into_par_iter()
            .map(|part| {
                let (_, count) = parts.place(part);
                let mut given = scratch::take::<T>(shape[1] * count);
                probabilities(&parts, part, logits, &mut given);
                let mut sums = vec![Class::default(); shape[1]];
                for (i, &label) in parts.labels(part, labels).iter().enumerate() {
                    let Some(label) = self.counts(label) else { continue };
                    for (class, sum) in sums.iter_mut().enumerate() {
                        sum.given += given[class * count + i].to_f64();
                    }
                    sums[label].both += given[label * count + i].to_f64();
                    sums[label].labelled += 1.0;
                }
                sums
            })
            .collect();
        let mut classes = vec![Class::default(); shape[1]];
        // Added up in order: a parallel sum would depend on the threads.
        for sums in &sums {
            for (class, sum) in classes.iter_mut().zip(sums) {
                class.both += sum.both;
                class.given += sum.given;
                class.labelled += sum.labelled;
            }
        }
        for (class, of) in classes.iter_mut().enumerate().filter(|(_, of)| of.labelled > 0.0) {
            of.share = weights.get(class).copied().unwrap_or(1.0);
        }
        let all: f64 = classes.iter().map(|class| class.share).sum();
        for class in &mut classes {
            class.share /= all;
        }
        Ok(classes)
    }
}

/// The softmax of a part's positions, class by class.
fn probabilities<T: Element>(parts: &Parts, part: usize, logits: &[T], given: &mut [T]) {
    let (start, count) = parts.place(part);
    let mut most = [T::NEG_INFINITY; PIXELS];
    let mut sums = [T::ZERO; PIXELS];
    let row = |class: usize| &logits[start + class * parts.pixels..][..count];
    for class in 0..parts.classes {
        for (most, &x) in most.iter_mut().zip(row(class)) {
            *most = if x > *most { x } else { *most };
        }
    }
    for (class, given) in given.chunks_exact_mut(count).enumerate() {
        for ((given, sum), (&most, &x)) in given.iter_mut().zip(&mut sums).zip(most.iter().zip(row(class))) {
            *given = (x - most).exp();
            *sum += *given;
        }
    }
    for given in given.chunks_exact_mut(count) {
        for (given, &sum) in given.iter_mut().zip(&sums) {
            *given = *given / sum;
        }
    }
}
