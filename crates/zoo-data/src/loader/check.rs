//! Every picture read once, to know which can't be.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::Skipped;
use crate::{Dataset, Error, Result, mask};

/// The pictures that can't be decoded, in the order of the data. `workers` threads look; 0 for as many as the machine has
/// cores.
pub fn unreadable(data: &dyn Dataset, workers: usize) -> Vec<Skipped> {
    let workers = match workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    };
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let look = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= data.len() {
                return;
            }
            let picture = catch_unwind(AssertUnwindSafe(|| readable(data, index)));
            if let Err(error) = picture.unwrap_or_else(|_| Err(Error::Broken { name: data.name(index) })) {
                let skipped = Skipped { index, name: data.name(index), why: error.to_string() };
                found.lock().unwrap_or_else(PoisonError::into_inner).push(skipped);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..workers.min(data.len()) {
            scope.spawn(look);
        }
        look();
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|skipped| skipped.index);
    found
}

/// Whether a picture can be decoded, and its mask with it.
fn readable(data: &dyn Dataset, index: usize) -> Result<()> {
    match data.masked(index)? {
        Some((picture, of)) => {
            let size = (picture.width(), picture.height());
            mask::check(&of, size, data.classes().len(), &data.mask_name(index))
        }
        None => data.picture(index).map(|_| ()),
    }
}
