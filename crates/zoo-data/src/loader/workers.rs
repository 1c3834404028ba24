//! The threads that make batches, and what they share.
//!
//! Work is given out picture by picture, so that a batch is ready soon, in the order of the run. A batch is a slot that
//! threads fill; whoever brings its last picture finishes it. There are never more slots than the options allow.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use zoo_base::random::Stream;

use super::{Batch, Draw, Place, Skipped, Source};
use crate::mask::IGNORED;
use crate::{Error, Input, Result};

/// Threads and what they share.
#[derive(Debug)]
pub(super) struct Team {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    source: Arc<Source>,
    queue: Mutex<Queue>,
    /// There may be work.
    work: Condvar,
    /// There may be a batch.
    ready: Condvar,
    skipped: Mutex<BTreeMap<usize, Skipped>>,
}

#[derive(Debug)]
struct Queue {
    /// The batches under way, the next one first.
    slots: VecDeque<Arc<Slot>>,
    /// How many pictures of the last slot are given out.
    given: usize,
    /// The next slot's place,
    next: Place,
    /// and its epoch's order, once it is known.
    order: Option<(usize, Arc<Vec<Draw>>)>,
    /// The first epoch that isn't wanted any more.
    end: usize,
    stopped: bool,
}

/// A batch that is being made.
#[derive(Debug)]
struct Slot {
    place: Place,
    draws: Vec<Draw>,
    filling: Mutex<Filling>,
}

#[derive(Debug, Default)]
struct Filling {
    values: Vec<f32>,
    /// The class of each pixel, if pictures have masks.
    masks: Vec<u8>,
    /// Pictures that are done with, one way or the other.
    done: usize,
    /// Those that failed, and why.
    failed: BTreeMap<usize, Error>,
    /// The batch, when all are.
    batch: Option<Result<Batch>>,
}

/// A thread that broke down while it held a lock has left nothing half done: what is locked is changed at the end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Team {
    pub(super) fn start(source: Arc<Source>, from: Place, epochs: usize) -> Result<Team> {
        let workers = match source.options.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let queue =
            Queue { slots: VecDeque::new(), given: 0, next: from, order: None, end: epochs, stopped: false };
        let shared = Arc::new(Shared {
            source,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            ready: Condvar::new(),
            skipped: Mutex::default(),
        });
        // Dropped on an error, it ends the threads that there are.
        let mut team = Team { shared, threads: Vec::with_capacity(workers) };
        for number in 0..workers {
            let shared = team.shared.clone();
            let thread = thread::Builder::new().name(format!("loader {number}")).spawn(move || shared.work());
            let failed = |source| Error::Io { name: format!("thread {number} of the loader"), source };
            team.threads.push(thread.map_err(failed)?);
        }
        Ok(team)
    }

    /// The next batch, as soon as it is there.
    pub(super) fn next(&self) -> Option<Result<Batch>> {
        let shared = &*self.shared;
        let mut queue = lock(&shared.queue);
        loop {
            if queue.slots.is_empty() && queue.next.epoch >= queue.end {
                return None;
            }
            let batch = queue.slots.front().and_then(|slot| lock(&slot.filling).batch.take());
            if let Some(batch) = batch {
                queue.slots.pop_front();
                shared.work.notify_all();
                return Some(batch);
            }
            queue = shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn skipped(&self) -> Vec<Skipped> {
        lock(&self.shared.skipped).values().cloned().collect()
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        lock(&self.shared.queue).stopped = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // What a thread has to say of its end was said in a batch.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What each thread does until there is nothing left to do.
    fn work(&self) {
        while let Some((slot, place)) = self.take() {
            let input = catch_unwind(AssertUnwindSafe(|| self.source.input(slot.place, slot.draws[place])));
            let name = || self.source.data.name(slot.draws[place].index);
            let input = input.unwrap_or_else(|_| Err(Error::Broken { name: name() }));
            if self.put(&slot, place, input) {
                // The lock orders this behind a reader who has just looked.
                drop(lock(&self.queue));
                self.ready.notify_all();
            }
        }
    }

    /// The next picture that is wanted; nothing at the end.
    fn take(&self) -> Option<(Arc<Slot>, usize)> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(slot) = queue.slots.back().filter(|slot| queue.given < slot.draws.len()).cloned() {
                queue.given += 1;
                return Some((slot, queue.given - 1));
            }
            if queue.next.epoch >= queue.end {
                return None;
            }
            if queue.slots.len() < self.source.options.ahead {
                self.open(&mut queue);
                self.work.notify_all();
                continue;
            }
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Opens the next slot.
    fn open(&self, queue: &mut Queue) {
        let place = queue.next;
        let order = match &queue.order {
            Some((epoch, order)) if *epoch == place.epoch => order.clone(),
            _ => Arc::new(self.source.order(place.epoch)),
        };
        let batch = self.source.options.batch_size;
        let draws: Vec<Draw> = order.iter().skip(place.step * batch).take(batch).copied().collect();
        queue.order = Some((place.epoch, order));
        queue.next = match place.step + 1 < self.source.steps() {
            true => Place { step: place.step + 1, ..place },
            false => Place { epoch: place.epoch + 1, step: 0 },
        };
        let values = vec![0.0; draws.len() * self.source.size()];
        let masks =
            vec![IGNORED; if self.source.data.has_masks() { draws.len() * self.source.pixels() } else { 0 }];
        let filling = Mutex::new(Filling { values, masks, ..Filling::default() });
        queue.slots.push_back(Arc::new(Slot { place, draws, filling }));
        queue.given = 0;
    }

    /// Puts a picture into its batch; whether that was the last one.
    fn put(&self, slot: &Slot, place: usize, input: Result<(Input, Option<Vec<u8>>)>) -> bool {
        let (size, pixels) = (self.source.size(), self.source.pixels());
        let mut filling = lock(&slot.filling);
        match input {
            Ok((input, mask)) => {
                filling.values[place * size..][..size].copy_from_slice(&input.values);
                if let Some(mask) = mask {
                    filling.masks[place * pixels..][..pixels].copy_from_slice(&mask);
                }
            }
            Err(error) => {
                filling.failed.insert(place, error);
            }
        }
        filling.done += 1;
        if filling.done < slot.draws.len() {
            return false;
        }
        filling.batch = Some(self.finish(slot, &mut filling));
        true
    }

    /// Makes a batch of what was filled in.
    fn finish(&self, slot: &Slot, filling: &mut Filling) -> Result<Batch> {
        let Source { data, options, .. } = &*self.source;
        let failed = std::mem::take(&mut filling.failed);
        let is_fatal = |error: &Error| options.strict || matches!(error, Error::InputSize { .. });
        let mut kept: Vec<usize> = (0..slot.draws.len()).collect();
        kept.retain(|place| !failed.contains_key(place));
        for (place, error) in failed {
            if is_fatal(&error) {
                return Err(error);
            }
            let index = slot.draws[place].index;
            let skipped = Skipped { index, name: data.name(index), why: error.to_string() };
            lock(&self.skipped).entry(index).or_insert(skipped);
        }
        let size = self.source.size();
        let mut values = std::mem::take(&mut filling.values);
        keep(&mut values, &kept, size);
        let mut masks = std::mem::take(&mut filling.masks);
        keep(&mut masks, &kept, self.source.pixels());
        let masks = data.has_masks().then_some(masks);
        let indices: Vec<usize> = kept.iter().map(|&place| slot.draws[place].index).collect();
        let labels: Vec<usize> = indices.iter().map(|&index| data.label(index)).collect();
        let (height, width) = self.source.pipeline.size();
        let shape = [
            kept.len() * self.source.pipeline.count(),
            self.source.pipeline.channels().count(),
            height,
            width,
        ];
        let mut stream = at(options.seed, "mix", slot.place.epoch).fork(slot.place.step as u64);
        let mixed = options.mix.apply(&mut values, shape, &labels, &mut stream);
        Ok(Batch { place: slot.place, values, shape, indices, labels, masks, mixed })
    }
}

/// Leaves only what belongs to these places, of `size` values each.
fn keep<T: Copy>(values: &mut Vec<T>, kept: &[usize], size: usize) {
    if values.is_empty() {
        return;
    }
    for (to, &from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
        values.copy_within(from * size..(from + 1) * size, to * size);
    }
    values.truncate(kept.len() * size);
}

impl Source {
    /// Pixels of an input.
    fn pixels(&self) -> usize {
        let (height, width) = self.pipeline.size();
        height * width
    }

    /// Values of a picture's inputs.
    fn size(&self) -> usize {
        let (height, width) = self.pipeline.size();
        self.pipeline.count() * self.pipeline.channels().count() * height * width
    }

    /// The input of a picture, which depends on the seed, the epoch and the picture alone.
    fn input(&self, place: Place, draw: Draw) -> Result<(Input, Option<Vec<u8>>)> {
        let stream = at(self.options.seed, "augmentation", place.epoch);
        let stream = stream.fork(draw.index as u64).fork(draw.repeat as u64);
        if let Some((picture, mask)) = self.data.masked(draw.index)? {
            let (name, classes) = (self.data.mask_name(draw.index), self.data.classes().len());
            let (input, mask) = self.pipeline.apply_masked(&picture, (mask, &name), classes, &stream)?;
            return Ok((input, Some(mask)));
        }
        let stored = self.data.stored(draw.index)?;
        Ok((self.pipeline.apply_stored(&stored, &self.data.name(draw.index), &stream)?, None))
    }
}

fn at(seed: u64, purpose: &str, epoch: usize) -> Stream {
    Stream::new(seed, purpose).fork(epoch as u64)
}
