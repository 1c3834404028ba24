//! A network's answers to all pictures of a data set, one by one.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use candle_core::{D, Device, Tensor};
use serde::Serialize;
use serde_json::{Value, json};
use zoo::Network;
use zoo_data::{Batch, Dataset, Pipeline, Place, Skipped, Views};
use zoo_train::Scorer;

use super::testing;
use crate::output;

/// Classes that a picture's line names, the likeliest first.
const TOP: usize = 5;

/// How pictures are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    /// Which pieces of each.
    pub(crate) views: Views,
    /// Whether mirrored too.
    pub(crate) flip: bool,
    /// Pictures at once.
    pub(crate) batch: usize,
    /// Whether the first picture that can't be read is an error.
    pub(crate) strict: bool,
}

/// What became of a picture: a line of `--format jsonl`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Judged {
    /// The network's answer.
    Answer {
        path: String,
        model: String,
        /// The class that it is of,
        label: String,
        /// and the place that the network gives it, from 1.
        rank: usize,
        /// The likeliest classes.
        top: Vec<Value>,
    },
    /// It can't be read.
    Failed { path: String, error: String },
}

/// Asks a network about all pictures; `meant` is its class for each of the data's. `sink` is told of each picture in
/// the data's order, if that is `wanted`.
///
/// # Errors
/// Pictures that don't fit the network; those of `sink`.
pub(crate) fn judge(
    network: &Network,
    model: &str,
    data: Arc<dyn Dataset>,
    meant: &[usize],
    looks: Looks,
    mut sink: Option<&mut dyn FnMut(Judged) -> Result<()>>,
) -> Result<(Scorer, Vec<Skipped>)> {
    let classes = network.prepare().classes();
    let mut scorer = Scorer::new(classes.len());
    let bar = output::bar(Some(data.len() as u64), "pictures");
    let pipeline = Pipeline { views: looks.views, ..network.prepare().pipeline()? };
    let loader = testing(data, pipeline, looks.batch, looks.strict)?;
    let mut batches = loader.batches(Place::default(), 1)?;
    let mut told = 0;
    while let Some(batch) = batches.next() {
        let batch = batch?;
        bar.inc(batch.labels.len() as u64);
        let labels: Option<Vec<usize>> =
            batch.labels.iter().map(|&label| meant.get(label).copied()).collect();
        let labels = labels.context("a label is none of the data's classes")?;
        let logits = match labels.is_empty() {
            true => None,
            false => Some(answers(network, &batch, looks)?),
        };
        if let Some(logits) = &logits {
            scorer.add(logits, &labels)?;
        }
        let Some(sink) = &mut sink else { continue };
        let rows: Vec<Vec<f32>> = match &logits {
            Some(logits) => zoo::softmax(logits)?.to_vec2()?,
            None => Vec::new(),
        };
        let mut lines: Vec<(usize, Judged)> = Vec::new();
        for ((row, &label), &index) in rows.iter().zip(&labels).zip(&batch.indices) {
            let line = line(row, label, classes, loader.name(index), model);
            lines.push((index, line));
        }
        // The loader is ahead, and knows of pictures whose turn it isn't yet.
        let end = (batch.place.step + 1) * looks.batch;
        let skipped = batches.skipped();
        for skipped in skipped.iter().skip(told).take_while(|skipped| skipped.index < end) {
            let (path, error) = (skipped.name.clone(), skipped.why.clone());
            lines.push((skipped.index, Judged::Failed { path, error }));
            told += 1;
        }
        lines.sort_by_key(|(index, _)| *index);
        lines.into_iter().try_for_each(|(_, line)| sink(line))?;
    }
    bar.finish_and_clear();
    let skipped = batches.skipped();
    match skipped.first() {
        Some(first) if scorer.score().pictures == 0 => {
            Err(anyhow!("none of the {} pictures can be read; the first: {}", skipped.len(), first.why))
        }
        _ => Ok((scorer, skipped)),
    }
}

/// Logits `(pictures, classes)`; where a picture is looked at more than once, those of the mean probabilities
/// (Krizhevsky et al. 2012, section 4.1).
fn answers(network: &Network, batch: &Batch, looks: Looks) -> Result<Tensor> {
    let pictures = Tensor::from_slice(&batch.values, batch.shape.as_slice(), &Device::Cpu)?;
    let logits = scores(network, &pictures)?;
    if looks.views.count() == 1 && !looks.flip {
        return Ok(logits);
    }
    let mut probabilities = zoo::softmax(&logits)?;
    if looks.flip {
        let mirrored = zoo::softmax(&scores(network, &pictures.flip(&[3])?)?)?;
        probabilities = ((probabilities + mirrored)? * 0.5)?;
    }
    let classes = probabilities.dim(D::Minus1)?;
    Ok(probabilities.reshape((batch.labels.len(), looks.views.count(), classes))?.mean(1)?.log()?)
}

/// A number for each class of each picture: where one output decides between two classes, one for each of those.
fn scores(network: &Network, pictures: &Tensor) -> Result<Tensor> {
    let logits = network.logits(pictures)?;
    match logits.dims() {
        // The sigmoid of a score is the second part of the softmax of nothing and the score.
        [_, 1] => Ok(Tensor::cat(&[&logits.zeros_like()?, &logits], 1)?),
        _ => Ok(logits),
    }
}

/// What is told of a picture.
fn line(row: &[f32], label: usize, classes: &[String], path: String, model: &str) -> Judged {
    let mut order: Vec<usize> = (0..row.len()).collect();
    // Of equal ones the first class comes first.
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    let class = |index: usize| classes.get(index).cloned().unwrap_or_else(|| index.to_string());
    let guess = |&index: &usize| json!({"index": index, "label": class(index), "probability": row[index]});
    Judged::Answer {
        path,
        model: model.into(),
        label: class(label),
        rank: order.iter().position(|&index| index == label).map_or(row.len(), |place| place + 1),
        top: order.iter().take(TOP).map(guess).collect(),
    }
}
