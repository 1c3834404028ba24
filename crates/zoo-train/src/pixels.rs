//! How well a network tells the pixels of pictures apart: an exact confusion matrix, and what is read from it.

use candle_core::{DType, Device, Tensor};
use zoo_data::{Batch, Skipped, mask::IGNORED};
use zoo_layers::{CrossEntropy, Net};

use crate::{Error, Result, Source, evaluate, sum::sum};

/// How often pixels of each class were given each class. Pixels labelled [`IGNORED`] don't count.
///
/// ```
/// use zoo_train::Confusion;
///
/// let mut confusion = Confusion::new(3);
/// confusion.add(&[0, 0, 0, 1, 255], &[0, 0, 1, 1, 2])?;
/// assert_eq!((confusion.pixels(), confusion.pixel_accuracy()), (4, Some(0.75)));
/// assert_eq!((confusion.iou(0), confusion.iou(1), confusion.iou(2)), (Some(2.0 / 3.0), Some(0.5), None));
/// # Ok::<(), zoo_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// Row by row: of each true class, how many pixels were given each.
    counts: Vec<u64>,
}

impl Confusion {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts the classes that pixels have and were given.
    ///
    /// # Errors
    /// [`Error::Label`] for a class that there isn't; [`Error::Pixels`] if they aren't as many.
    pub fn add(&mut self, truth: &[u8], given: &[u8]) -> Result<()> {
        if truth.len() != given.len() {
            return Err(Error::Pixels { labels: truth.len(), answers: given.len() });
        }
        for (&label, &answer) in truth.iter().zip(given).filter(|(label, _)| **label != IGNORED) {
            let classes = self.classes;
            if let Some(&stray) = [label, answer].iter().find(|&&class| usize::from(class) >= classes) {
                return Err(Error::Label { label: stray.into(), classes });
            }
            self.counts[usize::from(label) * classes + usize::from(answer)] += 1;
        }
        Ok(())
    }

    /// Adds what was counted elsewhere for the same classes.
    ///
    /// # Errors
    /// [`Error::Label`] for more classes than there are here.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if other.classes != self.classes {
            return Err(Error::Label { label: other.classes.saturating_sub(1), classes: self.classes });
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        Ok(())
    }

    /// How many pixels of class `truth` were given class `given`: Long et al.'s n_ij.
    pub fn count(&self, truth: usize, given: usize) -> u64 {
        self.counts[truth * self.classes + given]
    }

    /// The matrix, a row for each true class.
    pub fn rows(&self) -> Vec<Vec<usize>> {
        let row = |row: &[u64]| row.iter().map(|&count| count as usize).collect();
        self.counts.chunks(self.classes.max(1)).map(row).collect()
    }

    /// How many pixels count.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many pixels of a class there are: t_i.
    fn of(&self, class: usize) -> u64 {
        (0..self.classes).map(|given| self.count(class, given)).sum()
    }

    fn given(&self, class: usize) -> u64 {
        (0..self.classes).map(|truth| self.count(truth, class)).sum()
    }

    /// Σ n_ii / Σ t_i: the share of pixels that were given their class (Long et al. 2015, section 5); none of no pixel.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        share((0..self.classes).map(|class| self.count(class, class)).sum(), self.pixels())
    }

    /// The mean over the classes that occur of n_ii / t_i.
    pub fn mean_accuracy(&self) -> Option<f64> {
        mean((0..self.classes).filter_map(|class| share(self.count(class, class), self.of(class))))
    }

    /// Intersection over union of a class, n_ii / (t_i + Σ_j n_ji − n_ii); none where it neither occurs nor was given.
    pub fn iou(&self, class: usize) -> Option<f64> {
        let both = self.count(class, class);
        share(both, self.of(class) + self.given(class) - both)
    }

    /// The mean of the classes' intersections over unions, over those that occur or were given.
    pub fn mean_iou(&self) -> Option<f64> {
        self.mean_iou_of(0..self.classes)
    }

    /// The same over some classes: the digits without the background.
    pub fn mean_iou_of(&self, classes: impl IntoIterator<Item = usize>) -> Option<f64> {
        mean(classes.into_iter().filter_map(|class| self.iou(class)))
    }

    /// Σ t_i IU_i / Σ t_i: each class's intersection over union counts as its pixels do.
    pub fn frequency_weighted_iou(&self) -> Option<f64> {
        let part = |class| self.iou(class).map(|iou| self.of(class) as f64 * iou);
        let parts: Vec<f64> = (0..self.classes).filter_map(part).collect();
        let all = self.pixels();
        (all > 0).then(|| sum(&parts) / all as f64)
    }
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| sum(&values) / values.len() as f64)
}

/// How well a network did on the pixels of some pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelScore {
    /// How many pictures.
    pub pictures: usize,
    /// The mean cross entropy of the pixels that count.
    pub loss: f64,
    /// What each pixel was given.
    pub confusion: Confusion,
    /// Pictures that could not be read, and aren't counted.
    pub unread: Vec<Skipped>,
}

impl PixelScore {
    pub(crate) fn new(classes: usize) -> Self {
        Self { pictures: 0, loss: 0.0, confusion: Confusion::new(classes), unread: Vec::new() }
    }

    /// Counts the answers `(n, classes, h, w)`, logits, to pictures with these masks. (The loss is a sum until `finish`.)
    pub(crate) fn add(&mut self, logits: &Tensor, masks: &[u8]) -> Result<()> {
        let labels: Vec<i64> = masks.iter().map(|&label| label.into()).collect();
        let counted = masks.iter().filter(|&&label| label != IGNORED).count();
        self.pictures += logits.dims().first().copied().unwrap_or(0);
        if counted > 0 {
            let loss = CrossEntropy { ignored: Some(IGNORED.into()), smoothing: 0.0 }.of(logits, &labels)?;
            self.loss += crate::loss::value(&loss)? * counted as f64;
        }
        self.confusion.add(masks, &likeliest(logits)?)
    }

    pub(crate) fn finish(mut self) -> Self {
        self.loss /= self.confusion.pixels().max(1) as f64;
        self
    }
}

/// The likeliest class of each pixel of logits `(n, classes, h, w)`; of equal ones the first.
///
/// # Errors
/// More than 255 classes, since the last number says that a pixel doesn't count; candle's.
pub fn likeliest(logits: &Tensor) -> Result<Vec<u8>> {
    let (n, classes, h, w) = logits.dims4()?;
    if classes > usize::from(IGNORED) {
        return Err(Error::TooManyClasses { classes });
    }
    let values: Vec<f32> = logits.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    let pixels = h * w;
    let mut answers = vec![0; n * pixels];
    let mut best = vec![0.0; pixels];
    for (picture, answers) in answers.chunks_exact_mut(pixels.max(1)).enumerate() {
        best.fill(f32::NEG_INFINITY);
        for class in 0..classes {
            let plane = &values[(picture * classes + class) * pixels..][..pixels];
            for ((best, answer), &value) in best.iter_mut().zip(answers.iter_mut()).zip(plane) {
                if value > *best {
                    (*best, *answer) = (value, class as u8);
                }
            }
        }
    }
    Ok(answers)
}

/// How well a network tells the pixels apart of a source's first epoch, as the source's pipeline cuts its pictures.
///
/// # Errors
/// Pictures that don't fit the network, or have no masks; a label that is no class.
pub fn evaluate_pixels(net: &Net, source: &dyn Source, device: &Device) -> Result<PixelScore> {
    let classes = net.graph().get(net.graph().main_output().node).output.channels();
    let mut score = PixelScore::new(classes);
    let mut count =
        |answer: &Tensor, batch: &Batch| score.add(answer, batch.masks.as_deref().ok_or(Error::NoMasks)?);
    let unread = evaluate::answers(net, source, None, device, &mut evaluate::to_the_end, &mut count)?;
    score.unread = unread.continue_value().unwrap_or_default();
    Ok(score.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_answers_must_be_classes() {
        let mut confusion = Confusion::new(2);
        assert!(confusion.add(&[0, 2], &[0, 0]).unwrap_err().to_string().contains("label 2 is none"));
        assert!(confusion.add(&[0, 1], &[0, 9]).unwrap_err().to_string().contains("label 9 is none"));
        assert!(confusion.add(&[0], &[0, 1]).unwrap_err().to_string().contains("1 labelled pixels"));
        let empty = Confusion::new(2);
        assert_eq!(
            (empty.pixel_accuracy(), empty.mean_iou(), empty.frequency_weighted_iou()),
            (None, None, None)
        );
    }

    #[test]
    fn the_likeliest_class_is_the_first_of_the_largest() {
        let logits = Tensor::new(&[[[[1f32, 0.0]], [[1.0, 5.0]], [[0.0, 5.0]]]], &Device::Cpu).unwrap();
        assert_eq!(likeliest(&logits).unwrap(), [0, 1]);
        let mut score = PixelScore::new(3);
        score.add(&logits, &[255, 1]).unwrap();
        let score = score.finish();
        assert_eq!((score.pictures, score.confusion.pixels(), score.confusion.count(1, 1)), (1, 1, 1));
        let expected = (2.0 + (-5f64).exp()).ln();
        assert!((score.loss - expected).abs() < 1e-6, "{}", score.loss);
    }
}
