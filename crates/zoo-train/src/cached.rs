//! Features computed once, for a head to learn from in seconds.

use candle_core::{DType, Device};
use zoo_base::random::Stream;
use zoo_data::{Batch, Place, Sampling, Skipped};
use zoo_layers::{Net, Node};

use crate::{Batches, Result, Source};

/// What a network makes of pictures at a node, with the pictures' classes.
#[derive(Clone, Debug)]
pub struct Cached {
    values: Vec<f32>,
    /// Shape of one picture's.
    shape: [usize; 3],
    labels: Vec<usize>,
    batch_size: usize,
    /// Pictures that could not be read.
    unread: Vec<Skipped>,
    /// What each epoch is drawn from, and how; without it, the order stays.
    seed: Option<(u64, Sampling)>,
}

impl Cached {
    /// Computes the features of a source's first epoch at `node`, for batches of `batch_size`.
    ///
    /// # Errors
    /// Pictures that don't fit the network; what the source says.
    pub fn compute(
        net: &Net,
        node: Node,
        source: &dyn Source,
        device: &Device,
        batch_size: usize,
    ) -> Result<Self> {
        let mut shape = net.graph().get(node).output.with_batch(1);
        shape.resize(4, 1);
        let shape = [shape[1], shape[2], shape[3]];
        let mut cached = Self {
            values: Vec::new(),
            shape,
            labels: Vec::new(),
            batch_size,
            unread: Vec::new(),
            seed: None,
        };
        let each = shape.iter().product::<usize>();
        cached.values.reserve_exact(source.steps().saturating_mul(batch_size).saturating_mul(each));
        let mut batches = source.batches(Place::default(), 1)?;
        for batch in batches.by_ref() {
            let batch = batch?;
            if batch.labels.is_empty() {
                continue;
            }
            let pictures = crate::evaluate::pictures(&batch, device)?;
            for value in net.answer_at(&[(zoo_layers::Graph::PICTURE, &pictures)], &[node])? {
                cached.values.extend(value.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
            }
            cached.labels.extend(batch.labels);
        }
        cached.unread = batches.skipped();
        drop(batches);
        net.forget_memory();
        cached.values.shrink_to_fit();
        Ok(cached)
    }

    /// The same in another order in every epoch, with what is left over of whole batches left out.
    #[must_use]
    pub fn shuffled(self, seed: u64) -> Self {
        self.drawn(seed, Sampling::Shuffled)
    }

    /// As [`shuffled`](Self::shuffled), with classes drawn alike often if that is the sampling.
    #[must_use]
    pub fn drawn(mut self, seed: u64, sampling: Sampling) -> Self {
        self.seed = Some((seed, sampling));
        self
    }

    /// The pictures that could not be read, and of which there are no features.
    pub fn unread(&self) -> &[Skipped] {
        &self.unread
    }

    /// How many pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The order of an epoch.
    fn order(&self, epoch: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        if let Some((seed, sampling)) = self.seed {
            let mut stream = Stream::new(seed, "features").fork(epoch as u64);
            match sampling {
                Sampling::Sequential => {}
                Sampling::Shuffled => stream.shuffle(&mut order),
                Sampling::Balanced => order = zoo_data::balanced(&self.labels, &mut stream),
            }
        }
        order
    }

    fn batch(&self, place: Place, order: &[usize]) -> Batch {
        let size = self.batch_size.min(order.len());
        let from = place.step * size;
        let chosen = &order[from.min(order.len())..(from + size).min(order.len())];
        let each: usize = self.shape.iter().product();
        let [c, h, w] = self.shape;
        Batch {
            values: chosen.iter().flat_map(|&i| &self.values[i * each..(i + 1) * each]).copied().collect(),
            shape: [chosen.len(), c, h, w],
            place,
            indices: chosen.to_vec(),
            labels: chosen.iter().map(|&i| self.labels[i]).collect(),
            masks: None,
            mixed: None,
        }
    }
}

impl Source for Cached {
    fn steps(&self) -> usize {
        let size = self.batch_size.min(self.labels.len()).max(1);
        match self.seed {
            Some(_) => self.labels.len() / size,
            None => self.labels.len().div_ceil(size),
        }
    }

    fn batches(&self, from: Place, epochs: usize) -> Result<Box<dyn Batches + '_>> {
        let next = match from.step < self.steps() {
            true => from,
            false => Place { epoch: from.epoch + 1, step: 0 },
        };
        Ok(Box::new(Replayed { cached: self, next, epochs, order: None }))
    }
}

struct Replayed<'c> {
    cached: &'c Cached,
    next: Place,
    epochs: usize,
    /// The order of the epoch that is under way, and its number.
    order: Option<(usize, Vec<usize>)>,
}

impl Iterator for Replayed<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let steps = self.cached.steps();
        if self.next.epoch >= self.epochs || steps == 0 {
            return None;
        }
        let epoch = self.next.epoch;
        let (_, order) = match self.order.take() {
            Some(order) if order.0 == epoch => self.order.insert(order),
            _ => self.order.insert((epoch, self.cached.order(epoch))),
        };
        let batch = self.cached.batch(self.next, order);
        self.next.step += 1;
        if self.next.step == steps {
            self.next = Place { epoch: self.next.epoch + 1, step: 0 };
        }
        Some(Ok(batch))
    }
}

impl Batches for Replayed<'_> {}
