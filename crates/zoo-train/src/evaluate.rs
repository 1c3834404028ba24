//! How well a network tells pictures apart.

use std::ops::ControlFlow;

use candle_core::{D, DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use zoo_data::{Batch, Place, Skipped};
use zoo_layers::{Graph, Net, Node, Shape};

use crate::{Error, PixelScore, Result, Source, loss};

/// Bins of confidence over which calibration is measured (Guo et al. 2017, section 2).
const BINS: usize = 15;

/// How well a network did on some pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// How many pictures.
    pub pictures: usize,
    /// Those whose class was the likeliest.
    pub top1: usize,
    /// Those whose class was among the five likeliest.
    pub top5: usize,
    /// The mean cross entropy.
    pub loss: f64,
    /// The expected calibration error: by how much confidence and accuracy differ, over fifteen bins.
    pub ece: f64,
    /// For each true class, how often each class was the likeliest.
    pub confusion: Vec<Vec<usize>>,
    /// Pictures that could not be read, and aren't counted.
    #[serde(skip)]
    pub unread: Vec<Skipped>,
}

impl Score {
    /// The share whose class was the likeliest, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.top1 as f64 / self.pictures.max(1) as f64
    }

    /// The share whose class was among the five likeliest.
    pub fn accuracy5(&self) -> f64 {
        self.top5 as f64 / self.pictures.max(1) as f64
    }

    /// For a class: of the pictures called so, the share that are; and of those that are, the share called so. None
    /// where there is no such picture.
    pub fn precision_and_recall(&self, class: usize) -> (Option<f64>, Option<f64>) {
        let right = self.confusion.get(class).and_then(|row| row.get(class)).copied().unwrap_or(0);
        let called: usize = self.confusion.iter().filter_map(|row| row.get(class)).sum();
        let are: usize = self.confusion.get(class).map_or(0, |row| row.iter().sum());
        let share = |of: usize| (of > 0).then(|| right as f64 / of as f64);
        (share(called), share(are))
    }
}

/// Counts answers as they come.
#[derive(Clone, Debug)]
pub struct Scorer {
    score: Score,
    loss: f64,
    /// Of each bin: how many answers, their confidence in all, and how many were right.
    bins: [(usize, f64, usize); BINS],
}

impl Scorer {
    /// Nothing counted yet.
    pub fn new(classes: usize) -> Self {
        let score = Score { confusion: vec![vec![0; classes]; classes], ..Score::default() };
        Self { score, loss: 0.0, bins: [(0, 0.0, 0); BINS] }
    }

    /// Counts answers `(n, classes)`, logits, or maps of them, of which the mean counts, to pictures of these classes.
    ///
    /// # Errors
    /// A label that is no class; candle's.
    pub fn add(&mut self, logits: &Tensor, labels: &[usize]) -> Result<()> {
        let logits = loss::rows(&logits.to_dtype(DType::F64)?)?;
        let probabilities = candle_nn::ops::softmax(&logits, D::Minus1)?;
        let rows: Vec<Vec<f64>> = probabilities.to_vec2()?;
        for (row, &label) in rows.iter().zip(labels) {
            let classes = row.len();
            let (Some(&own), Some(counts)) = (row.get(label), self.score.confusion.get_mut(label)) else {
                return Err(Error::Label { label, classes });
            };
            // Of equal ones the first class comes first.
            let better = row.iter().enumerate().filter(|&(k, &p)| p > own || (p == own && k < label)).count();
            let (best, confidence) = row
                .iter()
                .enumerate()
                .fold((0, f64::MIN), |best, (k, &p)| if p > best.1 { (k, p) } else { best });
            let right = usize::from(best == label);
            self.score.pictures += 1;
            self.score.top1 += right;
            self.score.top5 += usize::from(better < 5);
            self.loss -= own.max(f64::MIN_POSITIVE).ln();
            if let Some(count) = counts.get_mut(best) {
                *count += 1;
            }
            let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
            let (count, sum, hits) = &mut self.bins[bin];
            (*count, *sum, *hits) = (*count + 1, *sum + confidence, *hits + right);
        }
        Ok(())
    }

    /// What was counted.
    pub fn score(&self) -> Score {
        let pictures = self.score.pictures.max(1) as f64;
        let gaps = self.bins.iter().map(|&(_, sum, hits)| (sum - hits as f64).abs());
        Score { loss: self.loss / pictures, ece: gaps.sum::<f64>() / pictures, ..self.score.clone() }
    }
}

/// How well a network does on a source's first epoch.
///
/// # Errors
/// Pictures that don't fit the network; a label that is no class.
pub fn evaluate(net: &Net, source: &dyn Source, device: &Device) -> Result<Score> {
    let classes = net.graph().get(net.graph().main_output().node).output.channels();
    let mut scorer = Scorer::new(classes);
    let mut count = |answer: &Tensor, batch: &Batch| scorer.add(answer, &batch.labels);
    let unread = answers(net, source, None, device, &mut to_the_end, &mut count)?;
    Ok(Score { unread: unread.continue_value().unwrap_or_default(), ..scorer.score() })
}

/// A batch as a tensor.
pub(crate) fn pictures(batch: &Batch, device: &Device) -> Result<Tensor> {
    Ok(Tensor::from_slice(&batch.values, batch.shape.as_slice(), device)?)
}

/// A batch as what a network takes at `from`, a picture or a node's value.
pub(crate) fn input(net: &Net, from: Option<Node>, batch: &Batch, device: &Device) -> Result<Tensor> {
    let pictures = pictures(batch, device)?;
    match net.graph().get(from.unwrap_or(Graph::PICTURE)).output {
        Shape::Vector { .. } => Ok(pictures.flatten_from(1)?),
        _ => Ok(pictures),
    }
}

/// What an epoch is judged by.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) loss: f64,
    /// The share of the pictures, or of the pixels, that was right.
    pub(crate) top1: f64,
    /// Of pixels, the mean intersection over union.
    pub(crate) iou: Option<f64>,
    /// Pictures that could not be read, and aren't counted.
    pub(crate) unread: Vec<Skipped>,
}

/// Who is told how many batches were judged, and of how many, and may end it.
pub(crate) type Watch<'a> = &'a mut dyn FnMut((usize, usize)) -> ControlFlow<()>;

/// A [`Watch`] for what nobody interrupts.
pub(crate) fn to_the_end(_: (usize, usize)) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Hands to `each` what a network answers to every batch of a source's first epoch. Gives the pictures that could not be read,
/// if `watch` didn't end it.
pub(crate) fn answers(
    net: &Net,
    source: &dyn Source,
    from: Option<Node>,
    device: &Device,
    watch: Watch<'_>,
    each: &mut dyn FnMut(&Tensor, &Batch) -> Result<()>,
) -> Result<ControlFlow<(), Vec<Skipped>>> {
    let main = net.graph().main_output().node;
    let (mut batches, all) = (source.batches(Place::default(), 1)?, source.steps());
    for (done, batch) in batches.by_ref().enumerate() {
        let batch = batch?;
        if watch((done, all)).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if batch.labels.is_empty() {
            continue;
        }
        let input = input(net, from, &batch, device)?;
        let answer = match from {
            None => net.answer(&input)?,
            Some(node) => {
                net.answer_at(&[(node, &input)], &[main])?.into_iter().next().ok_or(Error::NoPictures)?
            }
        };
        each(&answer, &batch)?;
    }
    Ok(ControlFlow::Continue(batches.skipped()))
}

/// How a network does on a source's first epoch, be it pictures or their pixels that have classes.
pub(crate) fn judge(
    net: &Net,
    source: &dyn Source,
    from: Option<Node>,
    device: &Device,
    watch: Watch<'_>,
) -> Result<ControlFlow<(), Verdict>> {
    let classes = net.graph().get(net.graph().main_output().node).output.channels();
    let (mut scorer, mut pixels) = (Scorer::new(classes), PixelScore::new(classes));
    let mut count = |answer: &Tensor, batch: &Batch| match &batch.masks {
        Some(masks) => pixels.add(answer, masks),
        None => scorer.add(answer, &batch.labels),
    };
    let ControlFlow::Continue(unread) = answers(net, source, from, device, watch, &mut count)? else {
        return Ok(ControlFlow::Break(()));
    };
    let (score, pixels) = (scorer.score(), pixels.finish());
    let verdict = match (score.pictures, pixels.confusion.pixel_accuracy()) {
        (0, None) => {
            let first = unread.into_iter().next().map(|skipped| skipped.why);
            return Err(Error::NothingToJudge { first });
        }
        (0, Some(top1)) => Verdict { loss: pixels.loss, top1, iou: pixels.confusion.mean_iou(), unread },
        _ => Verdict { loss: score.loss, top1: score.accuracy(), iou: None, unread },
    };
    Ok(ControlFlow::Continue(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted() {
        let mut scorer = Scorer::new(3);
        let logits =
            Tensor::new(&[[5f32, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 2.0, 0.0]], &Device::Cpu).unwrap();
        scorer.add(&logits, &[0, 2, 0]).unwrap();
        let score = scorer.score();
        assert_eq!((score.pictures, score.top1, score.top5), (3, 1, 3));
        assert_eq!(score.confusion, [[1, 1, 0], [0, 0, 0], [0, 1, 0]]);
        assert_eq!(score.precision_and_recall(0), (Some(1.0), Some(0.5)));
        assert_eq!(score.precision_and_recall(1), (Some(0.0), None));
        let (a, b, c) = (5f64.exp() / (5f64.exp() + 2.0), 1f64.exp() / (1.0 + 2.0 * 1f64.exp()), 2f64.exp());
        let c = c / (c + 2.0);
        assert!((score.ece - ((1.0 - a) + b + c) / 3.0).abs() < 1e-9, "{}", score.ece);
        assert!(scorer.add(&logits, &[0, 3, 0]).unwrap_err().to_string().contains("label 3"));
    }
}
