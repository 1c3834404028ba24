//! How fast a run goes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Epoch;

/// Measures an epoch.
pub(crate) struct Clock {
    start: Instant,
    waited: Duration,
    pub(crate) pictures: usize,
    pub(crate) steps: usize,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self::start_after(Duration::ZERO)
    }

    pub(crate) fn start_after(waited: Duration) -> Self {
        Self { start: Instant::now(), waited, pictures: 0, steps: 0 }
    }

    pub(crate) fn speed(&self) -> f64 {
        self.pictures as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    /// The time for so many more steps.
    pub(crate) fn left(&self, steps: usize) -> Duration {
        self.start.elapsed().mul_f64(steps as f64 / self.steps.max(1) as f64)
    }

    pub(crate) fn waiting(&self, waited: Duration) -> f64 {
        waited.saturating_sub(self.waited).as_secs_f64() / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    pub(crate) fn line(&self, epoch: &Epoch, waited: Duration) -> Value {
        let mut line = json!(epoch);
        line["seconds"] = json!(self.start.elapsed().as_secs_f64());
        line["pictures_per_s"] = json!(self.speed());
        line["waiting"] = json!(self.waiting(waited));
        line
    }
}
