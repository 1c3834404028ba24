//! Where a run is, for whoever waits for it.

use std::time::Duration;

use zoo_data::Skipped;

use crate::{Epoch, Stage, Standing, clock::Clock};

/// Where a run is, after each of its steps.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The stage's name.
    pub stage: &'a str,
    /// The epoch, from 1, and of how many.
    pub epoch: (usize, usize),
    /// The batch in its epoch, from 1, and of how many.
    pub step: (usize, usize),
    /// The mean loss of this epoch so far.
    pub loss: f64,
    /// The share of this epoch's pictures so far that were told right; none where pictures are mixed or have masks.
    pub top1: Option<f64>,
    /// The learning rate of the last step.
    pub rate: f64,
    /// Pictures learned from in a second.
    pub speed: f64,
    /// The share of the time that was spent waiting for pictures.
    pub waiting: f64,
    /// The time that the rest of the stage will take at this speed, validation left out.
    pub left: Duration,
    /// After an epoch's last step, while the network is judged: batches of the validation part, and of how many.
    pub judged: Option<(usize, usize)>,
    /// When that is over: what the epoch came to.
    pub done: Option<&'a Epoch>,
    /// Then too: the pictures of the stage that could not be read so far.
    pub unread: &'a [Skipped],
}

impl<'a> Progress<'a> {
    /// After a step of `stage`.
    pub(crate) fn of(
        stage: &'a Stage<'_>,
        standing: &Standing,
        rate: f64,
        clock: &Clock,
        waited: Duration,
    ) -> Self {
        let (place, epochs, steps) = (standing.place, stage.recipe.epochs, stage.train.steps());
        Self {
            stage: &stage.name,
            epoch: (place.epoch + 1, epochs),
            step: (place.step, steps),
            loss: standing.loss(),
            top1: standing.top1(),
            rate,
            speed: clock.speed(),
            waiting: clock.waiting(waited),
            left: clock.left((epochs - place.epoch) * steps - place.step),
            judged: None,
            done: None,
            unread: &[],
        }
    }
}
