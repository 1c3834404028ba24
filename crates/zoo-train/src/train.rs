//! The loop.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use zoo_data::Digits;
use zoo_layers::{Graph, Net, Shape, rng::Stream};

use crate::digits::{CLASSES, Preprocessing};
use crate::loss::{cross_entropy, value};
use crate::optim::Optimizer;
use crate::record::{KEY, Training};
use crate::schedule::Schedule;
use crate::{Error, Recipe, Record, Result};

/// Digits for each forward pass of a test: as many as are quick and need little memory.
const TEST_BATCH: usize = 250;

/// A training run. The same run gives the same bits, on one device and instruction set.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// The digits to learn from.
    pub digits: &'a Digits,
    /// The digits to be tested on, after every epoch. What they say is reported, and decides nothing.
    pub test: &'a Digits,
    /// How.
    pub recipe: &'a Recipe,
    /// What everything random is drawn from.
    pub seed: u64,
    /// Where the network lives.
    pub device: &'a Device,
}

/// Where a run stands, after each of its steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// The step in its epoch, from 1.
    pub step: usize,
    /// Steps of each epoch.
    pub steps: usize,
    /// The mean loss of this epoch's steps so far.
    pub loss: f64,
    /// The learning rate of this step.
    pub rate: f64,
    /// After an epoch's last step: how the network does on the test digits.
    pub test: Option<Score>,
}

/// How many digits were read rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Those whose label had the largest output.
    pub correct: usize,
    /// All.
    pub digits: usize,
}

impl Score {
    /// The share that was right, from 0 to 1.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.digits.max(1) as f64
    }
}

/// What an epoch came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The mean loss of its steps.
    pub loss: f64,
    /// How the network did on the test digits afterwards.
    pub test: Score,
}

/// A network that has learned.
#[derive(Debug)]
pub struct Trained {
    /// The network.
    pub net: Net,
    /// How it came about, as its file will say.
    pub record: Record,
    /// Its epochs.
    pub history: Vec<Epoch>,
}

impl Trained {
    /// How it does on the test digits.
    pub fn score(&self) -> Score {
        self.record.training.test
    }

    /// Writes a safetensors file with the record in its metadata, whole or not at all.
    ///
    /// # Errors
    /// The file can't be written; candle's.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut parts = Vec::new();
        for (param, tensor) in self.net.tensors() {
            let values: Vec<f32> = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            parts.push((&param.name, &param.shape, values));
        }
        let tensors: Vec<_> = parts
            .iter()
            .map(|(name, shape, values)| (name, zoo_weights::Tensor::from_f32(shape, values)))
            .collect();
        let record =
            serde_json::to_value(&self.record).map_err(|source| Error::Record { key: KEY, source })?;
        Ok(zoo_weights::save(path, &tensors, Some((KEY, &record)))?)
    }
}

impl Run<'_> {
    /// Trains, telling `progress` after every step.
    ///
    /// # Errors
    /// A recipe that can't be followed, digits that don't fit the network, a loss that is no number.
    pub fn train(&self, mut progress: impl FnMut(&Progress)) -> Result<Trained> {
        let Self { graph, digits, test, recipe, seed, device } = *self;
        recipe.check()?;
        let preprocessing = self.fit()?;
        let net = graph.init_on(seed, DType::F32, device)?;
        let mut optimizer = Optimizer::new(recipe.optimizer, &net)?;

        // What is left of an epoch after its last whole batch is left out: a batch of one or two digits would
        // count as much as a whole one.
        let batch_size = recipe.batch_size.min(digits.len());
        let steps = digits.len() / batch_size;
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warmup: steps.saturating_mul(recipe.warmup_epochs),
            steps: steps.saturating_mul(recipe.epochs),
        };
        let mut order: Vec<usize> = (0..digits.len()).collect();
        let mut history = Vec::with_capacity(recipe.epochs.min(1 << 16));
        for epoch in 1..=recipe.epochs {
            Stream::new(seed, "order").fork(epoch as u64).shuffle(&mut order);
            let mut sum = 0.0;
            for (batch, step) in order.chunks_exact(batch_size).zip(1..) {
                let rate = schedule.rate(optimizer.steps());
                let pictures = preprocessing.tensor(&self.distorted(batch, epoch), device)?;
                let labels: Vec<u8> = batch.iter().map(|&index| digits.labels[index]).collect();
                let pass = net.train_pass(&pictures)?;
                let logits = &pass.outputs()[&graph.main_output().name];
                let loss = cross_entropy(logits, &labels, recipe.label_smoothing)?;
                let number = value(&loss)?;
                if !number.is_finite() {
                    return Err(Error::Diverged { loss: number, epoch, step, rate });
                }
                let gradients = pass.backward(&loss.backward()?)?;
                optimizer.step(&gradients, rate)?;
                net.recycle(gradients)?;
                sum += number;
                let loss = sum / step as f64;
                let test = match step == steps {
                    true => Some(evaluate(&net, test, &preprocessing)?),
                    false => None,
                };
                history.extend(test.map(|test| Epoch { loss, test }));
                progress(&Progress { epoch, epochs: recipe.epochs, step, steps, loss, rate, test });
            }
        }
        let score = history.last().map_or(Score { correct: 0, digits: test.len() }, |epoch| epoch.test);
        let training = Training { recipe: *recipe, seed, digits: digits.len(), test: score };
        let classes = CLASSES.map(String::from).to_vec();
        let record = Record { architecture: graph.name().into(), classes, preprocessing, training };
        Ok(Trained { net, record, history })
    }

    /// Whether digits and network go together, and how.
    fn fit(&self) -> Result<Preprocessing> {
        for (digits, purpose) in [(self.digits, "train on"), (self.test, "test on")] {
            if digits.is_empty() {
                return Err(Error::NoDigits { purpose });
            }
        }
        let output = self.graph.get(self.graph.main_output().node).output;
        if output != Shape::vector(CLASSES.len()) {
            let (graph, gives) = (self.graph.name().into(), output.to_string());
            return Err(Error::Classes { graph, gives, classes: CLASSES.len() });
        }
        let scale = (self.recipe.mean, self.recipe.std);
        Preprocessing::new(self.graph, (self.test.height, self.test.width), scale)?;
        Preprocessing::new(self.graph, (self.digits.height, self.digits.width), scale)
    }

    /// The digits of a batch, each distorted as its number, the epoch and the seed will have it.
    fn distorted(&self, batch: &[usize], epoch: usize) -> Vec<Vec<u8>> {
        let epoch = Stream::new(self.seed, "distortion").fork(epoch as u64);
        let distorted = batch.par_iter().map(|&index| {
            let mut stream = Stream::numbered(epoch.fork(index as u64).next_u64(), 0);
            self.recipe.distortion.apply(self.digits.image(index), self.digits.width, &mut stream)
        });
        distorted.collect()
    }
}

/// Reads digits and counts the right answers.
///
/// # Errors
/// Digits of another size than the network's; candle's.
pub fn evaluate(net: &Net, digits: &Digits, preprocessing: &Preprocessing) -> Result<Score> {
    let device = net.tensors().next().map_or(Device::Cpu, |(_, tensor)| tensor.device().clone());
    let indices: Vec<usize> = (0..digits.len()).collect();
    let mut correct = 0;
    for batch in indices.chunks(TEST_BATCH) {
        let pictures: Vec<&[u8]> = batch.iter().map(|&index| digits.image(index)).collect();
        let logits = net.answer(&preprocessing.tensor(&pictures, &device)?)?;
        let answers: Vec<u32> = Tensor::argmax(&logits, 1)?.to_vec1()?;
        correct += batch
            .iter()
            .zip(&answers)
            .filter(|&(&index, &answer)| u32::from(digits.labels[index]) == answer)
            .count();
    }
    Ok(Score { correct, digits: digits.len() })
}
