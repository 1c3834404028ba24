//! Which picture comes when.

use zoo_base::random::Stream;

use super::Sampling;
use crate::Dataset;

/// One drawing of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) index: usize,
    /// How often it was drawn in this epoch before.
    pub(super) repeat: usize,
}

/// The pictures of an epoch, in order.
pub(super) fn of_epoch(data: &dyn Dataset, sampling: Sampling, seed: u64, epoch: usize) -> Vec<Draw> {
    let mut order: Vec<Draw> = (0..data.len()).map(|index| Draw { index, repeat: 0 }).collect();
    let mut stream = Stream::new(seed, "order").fork(epoch as u64);
    match sampling {
        Sampling::Sequential => order,
        Sampling::Shuffled => {
            stream.shuffle(&mut order);
            order
        }
        Sampling::Balanced => {
            let labels: Vec<usize> = (0..data.len()).map(|index| data.label(index)).collect();
            let mut drawn = vec![0; labels.len()];
            let order = balanced(&labels, &mut stream);
            let draw = |index: usize| {
                drawn[index] += 1;
                Draw { index, repeat: drawn[index] - 1 }
            };
            order.into_iter().map(draw).collect()
        }
    }
}

/// An order of as many draws as there are pictures of these classes, in rounds in which every class has a turn. Within a
/// class, none is drawn again before all were.
pub fn balanced(labels: &[usize], stream: &mut Stream) -> Vec<usize> {
    let mut classes = vec![Vec::new(); labels.iter().max().map_or(0, |most| most + 1)];
    labels.iter().enumerate().for_each(|(index, &label)| classes[label].push(index));
    classes.retain(|pictures| !pictures.is_empty());
    let mut turns = vec![0; classes.len()];
    let mut round: Vec<usize> = (0..classes.len()).collect();
    let mut order = Vec::with_capacity(labels.len() + classes.len());
    while order.len() < labels.len() {
        stream.shuffle(&mut round);
        for &class in &round {
            let (pictures, turn) = (&mut classes[class], &mut turns[class]);
            let place = *turn % pictures.len();
            if place == 0 {
                stream.shuffle(pictures);
            }
            order.push(pictures[place]);
            *turn += 1;
        }
    }
    order.truncate(labels.len());
    order
}
