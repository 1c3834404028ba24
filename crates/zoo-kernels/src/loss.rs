//! Losses of a softmax against labels, over the class axis of `(n, classes, h, w)`; a classifier's logits are
//! `(n, classes, 1, 1)`.
//!
//! Cross entropy, Dice and the focal loss come of one softmax, and of what they come to together one gradient. With a
//! position's probabilities p, its label t, and w what the label's class counts:
//!
//! | loss | value | gradient by the logit of class c, at a position |
//! |---|---|---|
//! | cross entropy | −Σ w Σ q log p / Σ w, q being 1 at t, and smoothed | (p_c − q_c) w / Σ w |
//! | focal | −Σ w (1 − p_t)^γ log p_t / Σ w | (\[c = t\] − p_c) w (γ p_t (1 − p_t)^(γ−1) log p_t − (1 − p_t)^γ) / Σ w |
//! | Dice | 1 − mean of D_c = (2 Σ p g + 1) / (Σ p + Σ g + 1), g being 1 at t | p_c (s_c − Σ p_k s_k), s the slopes of the value by p |

#![expect(unsafe_code, reason = "tasks write to disjoint pixels of one slice")]

use crate::element::Element;
use crate::error::{KernelError, Result, Shape, check_len, check_nonzero};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::Lanes;

/// A sum of losses, each by what it counts, over all positions whose label isn't ignored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss<'a> {
    /// The label of positions that don't count (255 in segmentation).
    pub ignored: Option<i64>,
    /// What a position of each class counts, and the class in Dice's mean; one for all if there is none.
    pub weights: &'a [f64],
    /// What the mean cross entropy counts.
    pub cross_entropy: f64,
    /// The share of probability that it spreads evenly over all classes, from 0 to 1.
    pub smoothing: f64,
    /// What one minus the mean Dice coefficient of the classes that occur counts (Milletari et al. 2016, "V-Net", section 3,
    /// with squares left out and one added above and below, as most programs have it).
    pub dice: f64,
    /// What the focal loss counts (Lin et al. 2017, "Focal Loss for Dense Object Detection", section 3).
    pub focal: f64,
    /// Its exponent: 0, or 1 and more.
    pub gamma: f64,
}

impl Loss<'_> {
    /// Mean cross entropy alone.
    pub const CROSS_ENTROPY: Self = Self {
        ignored: None,
        weights: &[],
        cross_entropy: 1.0,
        smoothing: 0.0,
        dice: 0.0,
        focal: 0.0,
        gamma: 2.0,
    };

    /// The loss; NaN if nothing counts, as a mean over nothing is. `labels` has the shape `(n, h, w)`.
    ///
    /// # Errors
    /// A slice isn't as long as its shape, a label is no class, a weight is negative, the smoothing isn't from 0 to 1, or
    /// gamma is neither 0 nor 1 and more.
    pub fn value<T: Element>(&self, shape: Shape, logits: &[T], labels: &[i64]) -> Result<f64> {
        let counts = self.check(shape, logits.len(), labels)?;
        Ok(self.summed(&Parts::new(shape), &counts, logits, labels, None).0)
    }

    /// `grad` = the loss's gradient by the logits; gives the loss.
    ///
    /// # Errors
    /// As [`Loss::value`].
    pub fn gradient<T: Element>(
        &self,
        shape: Shape,
        logits: &[T],
        labels: &[i64],
        grad: &mut [T],
    ) -> Result<f64> {
        let counts = self.check(shape, logits.len(), labels)?;
        check_len(OP, "grad", grad.len(), &shape)?;
        let parts = Parts::new(shape);
        let (value, coefficients) = self.summed(&parts, &counts, logits, labels, Some(grad));
        let slopes = Slopes::new(self, &counts, &coefficients);
        let (isa, grad) = (Isa::current(), Shared::new(grad));
        tasks(parts.count(), parts.work(), |part| {
            dispatch(isa, Gradient { loss: self, parts: &parts, part, labels, slopes: &slopes, grad });
        });
        Ok(value)
    }

    /// How many positions have each label.
    fn check(&self, shape: Shape, logits: usize, labels: &[i64]) -> Result<Vec<u64>> {
        check_nonzero(OP, "a side of the logits", &shape)?;
        check_len(OP, "logits", logits, &shape)?;
        check_len(OP, "labels", labels.len(), &[shape[0], shape[2], shape[3]])?;
        let odd =
            |what, value: f64, must| Err(KernelError::Value { op: OP, what, value: value.to_string(), must });
        if !(0.0..=1.0).contains(&self.smoothing) {
            return odd("smoothing", self.smoothing, "from 0 to 1");
        }
        if !(self.gamma == 0.0 || self.gamma >= 1.0 && self.gamma.is_finite()) {
            return odd("gamma", self.gamma, "0, or 1 and more");
        }
        if !self.weights.is_empty() {
            check_len(OP, "weights", self.weights.len(), &[shape[1]])?;
        }
        if let Some(weight) = self.weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
            return odd("a class's weight", *weight, "a number of at least 0");
        }
        let mut counts = vec![0; shape[1]];
        for (position, &label) in labels.iter().enumerate().filter(|(_, label)| self.ignored != Some(**label))
        {
            match usize::try_from(label).ok().and_then(|label| counts.get_mut(label)) {
                Some(count) => *count += 1,
                None => return Err(KernelError::Label { op: OP, label, position, classes: shape[1] }),
            }
        }
        Ok(counts)
    }

    fn weight(&self, class: usize) -> f64 {
        self.weights.get(class).copied().unwrap_or(1.0)
    }

    /// What all positions that count do count together.
    fn counted(&self, counts: &[u64]) -> f64 {
        counts.iter().enumerate().map(|(class, &count)| count as f64 * self.weight(class)).sum()
    }

    /// The class of a label that counts: labels were checked.
    fn class(&self, label: i64) -> Option<usize> {
        if self.ignored == Some(label) { None } else { usize::try_from(label).ok() }
    }

    /// The loss and each class's Dice, if that counts; where `given` is, probabilities are left there.
    fn summed<T: Element>(
        &self,
        parts: &Parts,
        counts: &[u64],
        logits: &[T],
        labels: &[i64],
        given: Option<&mut [T]>,
    ) -> (f64, Vec<Dice>) {
        let mut sums = vec![Sums::default(); parts.count()];
        let (isa, given) = (Isa::current(), given.map(Shared::new));
        let to = Shared::new(&mut sums);
        tasks(parts.count(), parts.work(), |part| {
            // SAFETY: the part's sums are this task's.
            let sums = unsafe { &mut to.slice(part, 1)[0] };
            dispatch(isa, Value { loss: self, parts, part, logits, labels, given, sums });
        });
        let mut dice = Vec::new();
        if self.dice != 0.0 {
            let share = |class: usize| if counts[class] > 0 { self.weight(class) } else { 0.0 };
            let all: f64 = (0..parts.classes).map(share).sum();
            dice.extend(counts.iter().enumerate().map(|(class, &labelled)| Dice {
                both: 0.0,
                all: labelled as f64 + 1.0,
                share: share(class) / all,
            }));
        }
        // Added up in order: a parallel sum would depend on the threads.
        let (mut cross_entropy, mut focal) = (0.0, 0.0);
        for sums in &sums {
            cross_entropy += sums.cross_entropy;
            focal += sums.focal;
            for (class, (both, given)) in dice.iter_mut().zip(&sums.classes) {
                class.both += both;
                class.all += given;
            }
        }
        let mean: f64 = dice.iter().map(|class| class.share * class.coefficient()).sum();
        let counted = self.counted(counts);
        let parts = [
            (self.cross_entropy, cross_entropy / counted),
            (self.focal, focal / counted),
            (self.dice, 1.0 - mean),
        ];
        (parts.iter().filter(|(counts, _)| *counts != 0.0).map(|(counts, loss)| counts * loss).sum(), dice)
    }
}

const OP: &str = "loss";

/// What one part's positions come to.
#[derive(Clone, Default)]
struct Sums {
    cross_entropy: f64,
    focal: f64,
    /// For each class Σ p g and Σ p, if Dice counts.
    classes: Vec<(f64, f64)>,
}

/// The Dice coefficient of a class, (2 Σ p g + 1) / (Σ p + Σ g + 1).
#[derive(Clone, Copy)]
struct Dice {
    /// Σ p g.
    both: f64,
    /// Σ p + Σ g + 1.
    all: f64,
    /// Its share of the mean.
    share: f64,
}

impl Dice {
    fn coefficient(&self) -> f64 {
        (2.0 * self.both + 1.0) / self.all
    }
}

/// What the gradient takes of the sums, for each class.
struct Slopes<T> {
    /// What a position with this label counts in cross entropy, and in the focal loss.
    cross_entropy: Vec<T>,
    focal: Vec<f64>,
    /// q where the class isn't the label, and where it is.
    even: T,
    hot: T,
    /// Dice's slope by what the class is given, and what more it is at its label; none if Dice doesn't count.
    everywhere: Vec<T>,
    at_label: Vec<T>,
}

impl<T: Element> Slopes<T> {
    fn new(loss: &Loss<'_>, counts: &[u64], dice: &[Dice]) -> Self {
        let (classes, counted) = (counts.len(), loss.counted(counts));
        let share = |class: usize, counts: f64| counts * loss.weight(class) / counted;
        let even = loss.smoothing / classes as f64;
        let slope = |class: &Dice| loss.dice * class.share / class.all;
        Self {
            cross_entropy: (0..classes).map(|class| T::from_f64(share(class, loss.cross_entropy))).collect(),
            focal: (0..classes).map(|class| share(class, loss.focal)).collect(),
            even: T::from_f64(even),
            hot: T::from_f64(1.0 - loss.smoothing + even),
            everywhere: dice.iter().map(|class| T::from_f64(slope(class) * class.coefficient())).collect(),
            at_label: dice.iter().map(|class| T::from_f64(-2.0 * slope(class))).collect(),
        }
    }
}

/// Pixels whose classes are read together, row by row.
const PIXELS: usize = 128;

/// How positions are divided among tasks.
struct Parts {
    pictures: usize,
    classes: usize,
    /// Positions of a picture.
    pixels: usize,
    /// Parts of a picture.
    each: usize,
}

impl Parts {
    fn new([n, classes, h, w]: Shape) -> Self {
        Self { pictures: n, classes, pixels: h * w, each: (h * w).div_ceil(PIXELS) }
    }

    fn count(&self) -> usize {
        self.pictures * self.each
    }

    /// Where a part's first class begins among the logits, and its labels.
    fn place<'a>(&self, part: usize, labels: &'a [i64]) -> (usize, &'a [i64]) {
        let (picture, first) = (part / self.each, part % self.each * PIXELS);
        let count = PIXELS.min(self.pixels - first);
        (picture * self.classes * self.pixels + first, &labels[picture * self.pixels + first..][..count])
    }

    /// How much there is to do, in additions.
    fn work(&self) -> usize {
        self.pictures.saturating_mul(self.pixels).saturating_mul(self.classes).saturating_mul(16)
    }
}

/// The rows of a part's probabilities, one for each class.
#[derive(Clone, Copy)]
struct Rows<T> {
    to: Shared<T>,
    first: usize,
    /// From one row to the next.
    apart: usize,
    count: usize,
}

impl<T: Element> Rows<T> {
    /// # Safety
    /// No other borrow of this class's row lives.
    #[inline(always)]
    unsafe fn row<'a>(self, class: usize) -> &'a mut [T] {
        // SAFETY: a part's rows lie in the slice and are its task's; the rest is the caller's promise.
        unsafe { self.to.slice(self.first + class * self.apart, self.count) }
    }
}

/// The probabilities of a part's positions, and what their losses come to.
struct Value<'a, T> {
    loss: &'a Loss<'a>,
    parts: &'a Parts,
    part: usize,
    logits: &'a [T],
    labels: &'a [i64],
    /// Where the probabilities are left, if anybody wants them.
    given: Option<Shared<T>>,
    sums: &'a mut Sums,
}

impl<T: Element> Kernel<T> for Value<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let Self { loss, parts, part, logits, labels, given, sums: found } = self;
        let (start, labels) = parts.place(part, labels);
        let (classes, count) = (parts.classes, labels.len());
        let mut own = scratch::take::<T>(if given.is_none() { classes * count } else { 0 });
        let rows = match given {
            Some(to) => Rows { to, first: start, apart: parts.pixels, count },
            None => Rows { to: Shared::new(&mut own), first: 0, apart: count, count },
        };
        let mut most = [T::NEG_INFINITY; PIXELS];
        let mut sums = [T::ZERO; PIXELS];
        for class in 0..classes {
            for (most, &x) in most.iter_mut().zip(&logits[start + class * parts.pixels..][..count]) {
                *most = if x > *most { x } else { *most };
            }
        }
        for class in 0..classes {
            // SAFETY: the only borrow of the row, here and below.
            let row = unsafe { rows.row(class) };
            let values = row.iter_mut().zip(&logits[start + class * parts.pixels..][..count]);
            for ((given, &x), (sum, &most)) in values.zip(sums.iter_mut().zip(&most)) {
                *given = (x - most).exp();
                *sum += *given;
            }
        }
        for class in 0..classes {
            // SAFETY: as above.
            for (given, &sum) in unsafe { rows.row(class) }.iter_mut().zip(&sums) {
                *given = *given / sum;
            }
        }
        let mut counts = [0.0; PIXELS];
        for (i, &label) in labels.iter().enumerate() {
            let Some(label) = loss.class(label) else { continue };
            counts[i] = 1.0;
            let log_sum = most[i].to_f64() + sums[i].to_f64().ln();
            let logit = |class: usize| logits[start + class * parts.pixels + i].to_f64();
            let (weight, hit) = (loss.weight(label), log_sum - logit(label));
            let mut miss = hit;
            if loss.smoothing > 0.0 {
                let mean = log_sum - (0..classes).map(logit).sum::<f64>() / classes as f64;
                miss = (1.0 - loss.smoothing) * hit + loss.smoothing * mean;
            }
            found.cross_entropy += weight * miss;
            if loss.focal != 0.0 {
                found.focal += weight * (-(-hit).exp_m1()).powf(loss.gamma) * hit;
            }
        }
        if loss.dice == 0.0 {
            return;
        }
        found.classes = vec![(0.0, 0.0); classes];
        for (class, (_, given)) in found.classes.iter_mut().enumerate() {
            // SAFETY: as above.
            for (&p, &counts) in unsafe { rows.row(class) }.iter().zip(&counts) {
                *given += p.to_f64() * counts;
            }
        }
        for (i, &label) in labels.iter().enumerate() {
            let Some(label) = loss.class(label) else { continue };
            // SAFETY: as above.
            found.classes[label].0 += unsafe { rows.row(label) }[i].to_f64();
        }
    }
}

/// A part's gradients, in the place of its probabilities.
struct Gradient<'a, T> {
    loss: &'a Loss<'a>,
    parts: &'a Parts,
    part: usize,
    labels: &'a [i64],
    slopes: &'a Slopes<T>,
    grad: Shared<T>,
}

impl<T: Element> Kernel<T> for Gradient<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let Self { loss, parts, part, labels, slopes, grad } = self;
        let (start, labels) = parts.place(part, labels);
        let rows = Rows { to: grad, first: start, apart: parts.pixels, count: labels.len() };
        // At a class that isn't the label the gradient is p (factor + s) - less, s being Dice's slope.
        let mut factor = [T::ZERO; PIXELS];
        let mut less = [T::ZERO; PIXELS];
        let mut at_label = [T::ZERO; PIXELS];
        for (class, &slope) in slopes.everywhere.iter().enumerate() {
            // SAFETY: the only borrow of the row, here and below.
            for (factor, &p) in factor.iter_mut().zip(unsafe { rows.row(class) }.iter()) {
                *factor -= p * slope;
            }
        }
        for (i, &label) in labels.iter().enumerate() {
            let Some(label) = loss.class(label) else { continue };
            // SAFETY: as above.
            let p = unsafe { rows.row(label) }[i];
            let slope = |of: &[T]| of.get(label).copied().unwrap_or(T::ZERO);
            let (everywhere, more) = (slope(&slopes.everywhere), slope(&slopes.at_label));
            let dice = factor[i] - p * more;
            let cross_entropy = slopes.cross_entropy[label];
            let focal = T::from_f64(slopes.focal[label] * focal_slope(p.to_f64(), loss.gamma));
            factor[i] = dice + cross_entropy - focal;
            less[i] = cross_entropy * slopes.even;
            at_label[i] =
                cross_entropy * (p - slopes.hot) + focal * (T::ONE - p) + p * (everywhere + more + dice);
        }
        for class in 0..parts.classes {
            let slope = slopes.everywhere.get(class).copied().unwrap_or(T::ZERO);
            // SAFETY: as above.
            for ((p, &factor), &less) in unsafe { rows.row(class) }.iter_mut().zip(&factor).zip(&less) {
                *p = *p * (factor + slope) - less;
            }
        }
        for (i, &label) in labels.iter().enumerate() {
            let (classes, value) = match loss.class(label) {
                Some(label) => (label..label + 1, at_label[i]),
                None => (0..parts.classes, T::ZERO),
            };
            for class in classes {
                // SAFETY: as above.
                let row = unsafe { rows.row(class) };
                row[i] = value;
            }
        }
    }
}

/// The focal loss's slope by the label's logit, but for the factor 1 - p: γ p (1 − p)^(γ−1) log p − (1 − p)^γ.
fn focal_slope(p: f64, gamma: f64) -> f64 {
    if gamma == 0.0 {
        return -1.0;
    }
    let doubt = 1.0 - p;
    // p log p is nothing where p is.
    gamma * p * doubt.powf(gamma - 1.0) * p.max(f64::MIN_POSITIVE).ln() - doubt.powf(gamma)
}
