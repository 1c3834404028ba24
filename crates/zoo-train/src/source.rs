//! Where batches come from.

use std::time::Duration;

use zoo_data::{Batch, Loader, Place, Skipped};

use crate::Result;

/// Gives the batches of a run, the same ones for the same place, wherever it is begun.
pub trait Source {
    /// Batches of an epoch.
    fn steps(&self) -> usize;

    /// The batches from a place on, up to the end of the epoch before `epochs`.
    ///
    /// # Errors
    /// If no thread is to be had.
    fn batches(&self, from: Place, epochs: usize) -> Result<Box<dyn Batches + '_>>;
}

/// The batches of a run, in order.
pub trait Batches: Iterator<Item = Result<Batch>> {
    /// How long whoever asked for batches had to wait for them, in all.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// The pictures that could not be read so far.
    fn skipped(&self) -> Vec<Skipped> {
        Vec::new()
    }
}

impl Source for Loader {
    fn steps(&self) -> usize {
        Loader::steps(self)
    }

    fn batches(&self, from: Place, epochs: usize) -> Result<Box<dyn Batches + '_>> {
        Ok(Box::new(Loaded(Loader::batches(self, from, epochs)?)))
    }
}

struct Loaded(zoo_data::Batches);

impl Iterator for Loaded {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|next| next.map_err(Into::into))
    }
}

impl Batches for Loaded {
    fn waited(&self) -> Duration {
        self.0.waited()
    }

    fn skipped(&self) -> Vec<Skipped> {
        self.0.skipped()
    }
}
