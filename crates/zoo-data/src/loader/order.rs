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
        Sampling::Balanced => balanced(data, &mut stream),
    }
}

/// Rounds in which every class has a turn, in an order of its own in each.
fn balanced(data: &dyn Dataset, stream: &mut Stream) -> Vec<Draw> {
    let mut classes = vec![Vec::new(); data.classes().len()];
    (0..data.len()).for_each(|index| classes[data.label(index)].push(index));
    classes.retain(|pictures| !pictures.is_empty());
    let mut turns = vec![0; classes.len()];
    let mut round: Vec<usize> = (0..classes.len()).collect();
    let mut order = Vec::with_capacity(data.len() + classes.len());
    while order.len() < data.len() {
        stream.shuffle(&mut round);
        for &class in &round {
            let (pictures, turn) = (&mut classes[class], &mut turns[class]);
            let place = *turn % pictures.len();
            if place == 0 {
                stream.shuffle(pictures);
            }
            order.push(Draw { index: pictures[place], repeat: *turn / pictures.len() });
            *turn += 1;
        }
    }
    order.truncate(data.len());
    order
}
