//! How fast a run goes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Epoch;

/// Measures an epoch.
pub(crate) struct Clock {
    start: Instant,
    /// How long batches were waited for before.
    waited: Duration,
    /// What learning took, and how much of that was waiting, once it is over.
    learned: Option<(Duration, Duration)>,
    pub(crate) pictures: usize,
    pub(crate) steps: usize,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self::start_after(Duration::ZERO)
    }

    pub(crate) fn start_after(waited: Duration) -> Self {
        Self { start: Instant::now(), waited, learned: None, pictures: 0, steps: 0 }
    }

    /// What comes now is no longer learning.
    pub(crate) fn stop(&mut self, waited: Duration) {
        self.learned = Some((self.start.elapsed(), waited.saturating_sub(self.waited)));
    }

    fn seconds(&self) -> f64 {
        let learned = self.learned.map_or_else(|| self.start.elapsed(), |(learned, _)| learned);
        learned.as_secs_f64().max(1e-9)
    }

    pub(crate) fn speed(&self) -> f64 {
        self.pictures as f64 / self.seconds()
    }

    /// The time for so many more steps.
    pub(crate) fn left(&self, steps: usize) -> Duration {
        let seconds = self.seconds() * steps as f64 / self.steps.max(1) as f64;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    pub(crate) fn waiting(&self, waited: Duration) -> f64 {
        let waited = self.learned.map_or_else(|| waited.saturating_sub(self.waited), |(_, waited)| waited);
        waited.as_secs_f64() / self.seconds()
    }

    /// The log's line of an epoch that was learned from, and judged.
    pub(crate) fn line(&self, epoch: &Epoch) -> Value {
        let mut line = json!(epoch);
        line["seconds"] = json!(self.seconds());
        line["validation_seconds"] = json!((self.start.elapsed().as_secs_f64() - self.seconds()).max(0.0));
        line["pictures_per_s"] = json!(self.speed());
        line["waiting"] = json!(self.waiting(self.waited));
        line
    }
}
