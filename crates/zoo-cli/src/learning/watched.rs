//! What is looked at before the first step and after the last: shown as it goes, and ended by Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use zoo_data::{Batch, Place, Skipped};
use zoo_train::{Batches, Error, Result, Source};

use crate::output;

/// A source whose first epoch is counted, and of which nothing more comes once `stop` is set.
pub(super) struct Watched<S> {
    source: S,
    bar: ProgressBar,
    stop: &'static AtomicBool,
}

impl<S: Source> Watched<S> {
    /// A source of batches of `size`, shown as so many pictures of `what`.
    pub(super) fn new(source: S, size: usize, what: &'static str, stop: &'static AtomicBool) -> Self {
        let pictures = source.steps().saturating_mul(size);
        Self { source, bar: output::bar(Some(pictures as u64), what), stop }
    }
}

impl<S: Source> Source for Watched<S> {
    fn steps(&self) -> usize {
        self.source.steps()
    }

    fn batches(&self, from: Place, epochs: usize) -> Result<Box<dyn Batches + '_>> {
        Ok(Box::new(Walk { batches: self.source.batches(from, epochs)?, bar: &self.bar, stop: self.stop }))
    }
}

struct Walk<'s> {
    batches: Box<dyn Batches + 's>,
    bar: &'s ProgressBar,
    stop: &'s AtomicBool,
}

impl Iterator for Walk<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stop.load(Ordering::SeqCst) {
            return Some(Err(Error::Ended));
        }
        let next = self.batches.next();
        if let Some(Ok(batch)) = &next {
            self.bar.inc(batch.labels.len() as u64);
        }
        next
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Batches for Walk<'_> {
    fn waited(&self) -> Duration {
        self.batches.waited()
    }

    fn skipped(&self) -> Vec<Skipped> {
        self.batches.skipped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two batches of three pictures.
    struct Two;

    impl Source for Two {
        fn steps(&self) -> usize {
            2
        }

        fn batches(&self, from: Place, _: usize) -> Result<Box<dyn Batches + '_>> {
            Ok(Box::new(Counted(from.step..2)))
        }
    }

    struct Counted(std::ops::Range<usize>);

    impl Iterator for Counted {
        type Item = Result<Batch>;

        fn next(&mut self) -> Option<Self::Item> {
            let place = Place { epoch: 0, step: self.0.next()? };
            let (values, labels) = (vec![0.0; 3], vec![0; 3]);
            let shape = [3, 1, 1, 1];
            Some(Ok(Batch { values, shape, place, indices: vec![0, 1, 2], labels, masks: None, mixed: None }))
        }
    }

    impl Batches for Counted {}

    #[test]
    fn batches_come_until_somebody_asks_to_stop() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let watched = Watched::new(Two, 3, "pictures", &STOP);
        assert_eq!((watched.steps(), watched.bar.length()), (2, Some(6)));
        let mut batches = watched.batches(Place::default(), 1).unwrap();
        assert_eq!(batches.next().unwrap().unwrap().labels.len(), 3);
        assert_eq!(watched.bar.position(), 3);
        STOP.store(true, Ordering::SeqCst);
        assert!(matches!(batches.next(), Some(Err(Error::Ended))));
        drop(batches);
        STOP.store(false, Ordering::SeqCst);
        assert_eq!(watched.batches(Place::default(), 1).unwrap().count(), 2);
    }
}
