//! Pictures in batches: read, decoded and changed on threads of their own, while the last batch is learned from.
//!
//! What a batch holds is a function of data, pipeline, seed and place; how many threads there are, and which of them is
//! first, changes nothing. So a run may stop anywhere and go on from there.
//!
//! ```
//! use std::sync::Arc;
//! use zoo_data::{Loader, LoaderOptions, Pipeline, Place, Preprocess, bundled_digits};
//!
//! let prepare = Preprocess { input: [1, 32, 32], resize: None, ..Preprocess::imagenet(32, 32) };
//! let pipeline = Pipeline::plain(prepare);
//! let loader = Loader::new(Arc::new(bundled_digits()?), pipeline, LoaderOptions::training(64, 7))?;
//! assert_eq!(loader.steps(), 9000 / 64);
//! let mut batches = loader.batches(Place { epoch: 3, step: 100 }, 4)?;
//! let batch = batches.next().expect("forty are left")?;
//! assert_eq!((batch.place.step, batch.shape), (100, [64, 1, 32, 32]));
//! # Ok::<(), zoo_data::Error>(())
//! ```

mod check;
mod order;
mod workers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Dataset, Error, MaskError, Mix, Mixed, Pipeline, Result};

pub use check::unreadable;
use order::Draw;
pub use order::balanced;
use workers::Team;

/// How pictures are put into batches.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// Pictures of a batch.
    pub batch_size: usize,
    /// What becomes of those that are left at the end of an epoch, fewer than a batch.
    pub remainder: Remainder,
    /// In which order pictures come.
    pub sampling: Sampling,
    /// What order, augmentation and mixing are drawn from.
    pub seed: u64,
    /// How pictures of a batch are mixed.
    pub mix: Mix,
    /// Threads; 0 for as many as the machine has cores.
    pub workers: usize,
    /// Batches that may be ready or under way at a time.
    pub ahead: usize,
    /// Whether a picture that can't be read is an error. Otherwise its batch goes without, and it is counted.
    pub strict: bool,
}

impl LoaderOptions {
    /// Whole batches, shuffled.
    pub const fn training(batch_size: usize, seed: u64) -> LoaderOptions {
        LoaderOptions {
            batch_size,
            remainder: Remainder::Drop,
            sampling: Sampling::Shuffled,
            seed,
            mix: Mix::NONE,
            workers: 0,
            ahead: 3,
            strict: false,
        }
    }

    /// Every picture once, in order.
    pub const fn testing(batch_size: usize) -> LoaderOptions {
        let plain = LoaderOptions::training(batch_size, 0);
        LoaderOptions { remainder: Remainder::Keep, sampling: Sampling::Sequential, ..plain }
    }
}

/// What becomes of the pictures at the end of an epoch that don't fill a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remainder {
    /// They are left out of this epoch. (Data of less than a batch makes a smaller one.)
    Drop,
    /// They make a smaller batch.
    Keep,
}

/// In which order the pictures of an epoch come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// As they lie in the data.
    Sequential,
    /// Shuffled anew in every epoch.
    Shuffled,
    /// As many draws as there are pictures, of every class alike often; within a class, none is drawn again before all
    /// were.
    Balanced,
}

/// A place in a run: before batch `step` of `epoch`, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Place {
    /// The epoch.
    pub epoch: usize,
    /// The batch in it.
    pub step: usize,
}

/// Pictures ready for a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which batch it is.
    pub place: Place,
    /// `n * c * h * w` values; where several pieces of each picture are seen, n counts them all.
    pub values: Vec<f32>,
    /// (n, c, h, w).
    pub shape: [usize; 4],
    /// Where its pictures stand in the data.
    pub indices: Vec<usize>,
    /// The class of each.
    pub labels: Vec<usize>,
    /// If they have masks: the class of each pixel, `n * h * w`, [`IGNORED`](crate::mask::IGNORED) where none counts.
    pub masks: Option<Vec<u8>>,
    /// If pictures were mixed: with what.
    pub mixed: Option<Mixed>,
}

impl Batch {
    /// Whether there is anything in it to learn from: a picture, and of pictures with masks a pixel that counts.
    pub fn counts(&self) -> bool {
        let counted = |masks: &Vec<u8>| masks.iter().any(|&label| label != crate::mask::IGNORED);
        !self.labels.is_empty() && self.masks.as_ref().is_none_or(counted)
    }

    /// What a network of so many classes should answer: (n, classes), each picture's row of sum 1. `smoothing` is the
    /// share that is spread evenly over all classes (Szegedy et al. 2015, section 7).
    ///
    /// # Errors
    /// [`Error::LabelBeyond`] for a label that is none of the classes.
    pub fn targets(&self, classes: usize, smoothing: f32) -> Result<Vec<f32>> {
        let even = smoothing / classes.max(1) as f32;
        let mut targets = vec![even; self.labels.len() * classes];
        let mut add = |labels: &[usize], share: f32| {
            for (index, &label) in labels.iter().enumerate() {
                if label >= classes {
                    return Err(Error::LabelBeyond { name: "the batch".into(), index, label, classes });
                }
                targets[index * classes + label] += share * (1.0 - smoothing);
            }
            Ok(())
        };
        match &self.mixed {
            None => add(&self.labels, 1.0)?,
            Some(mixed) => {
                add(&self.labels, mixed.share)?;
                add(&mixed.labels, 1.0 - mixed.share)?;
            }
        }
        Ok(targets)
    }
}

/// A picture that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it stands in the data.
    pub index: usize,
    /// What it is called.
    pub name: String,
    /// What is wrong with it, in a sentence that names it.
    pub why: String,
}

/// Reads a data set in batches.
#[derive(Debug, Clone)]
pub struct Loader {
    source: Arc<Source>,
}

/// What batches are made of.
#[derive(Debug)]
struct Source {
    data: Arc<dyn Dataset>,
    pipeline: Pipeline,
    options: LoaderOptions,
}

impl Loader {
    /// A loader of `data` through `pipeline`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting that can't be followed, [`Error::NoPictures`] for data without any.
    pub fn new(data: Arc<dyn Dataset>, pipeline: Pipeline, options: LoaderOptions) -> Result<Loader> {
        pipeline.check()?;
        options.mix.check()?;
        let counts = [("batch size", options.batch_size), ("number of batches ahead", options.ahead)];
        for (what, count) in counts {
            crate::augment::check(count > 0, &format!("the {what}"), count, "at least 1")?;
        }
        let views = pipeline.count();
        let only = "the centre, since mixing and masks are of whole pictures";
        crate::augment::check(
            views == 1 || (options.mix.is_none() && !data.has_masks()),
            "the pipeline's views",
            pipeline.views,
            only,
        )?;
        if data.is_empty() {
            return Err(Error::NoPictures);
        }
        if data.has_masks() && options.mix != Mix::NONE {
            return Err(MaskError::Mixed.into());
        }
        Ok(Loader { source: Arc::new(Source { data, pipeline, options }) })
    }

    /// What a picture is called.
    pub fn name(&self, index: usize) -> String {
        self.source.data.name(index)
    }

    /// Batches of an epoch.
    pub fn steps(&self) -> usize {
        self.source.steps()
    }

    /// The batches from `from` on, to the end of the last of `epochs` epochs. Threads begin to make them at once.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn batches(&self, from: Place, epochs: usize) -> Result<Batches> {
        let steps = self.steps();
        // Before the batch after an epoch's last is before the next epoch's first.
        let from = match from.step < steps {
            true => from,
            false => Place { epoch: from.epoch + 1, step: 0 },
        };
        Ok(Batches { team: Team::start(self.source.clone(), from, epochs)?, waited: Duration::ZERO })
    }

    /// The pictures of an epoch in the order in which they come, those included that don't fill a batch.
    pub fn order(&self, epoch: usize) -> Vec<usize> {
        self.source.order(epoch).into_iter().map(|draw| draw.index).collect()
    }
}

impl Source {
    fn steps(&self) -> usize {
        let (pictures, batch) = (self.data.len(), self.options.batch_size);
        match self.options.remainder {
            Remainder::Drop => (pictures / batch).max(1),
            Remainder::Keep => pictures.div_ceil(batch),
        }
    }

    fn order(&self, epoch: usize) -> Vec<Draw> {
        order::of_epoch(&*self.data, self.options.sampling, self.options.seed, epoch)
    }
}

/// The batches of a run, in order. Dropping it ends its threads.
#[derive(Debug)]
pub struct Batches {
    team: Team,
    waited: Duration,
}

impl Batches {
    /// How long whoever asked for batches has waited for them, in all.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The pictures that could not be read so far, each once, in the order of the data.
    pub fn skipped(&self) -> Vec<Skipped> {
        self.team.skipped()
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let asked = Instant::now();
        let batch = self.team.next();
        self.waited += asked.elapsed();
        batch
    }
}
