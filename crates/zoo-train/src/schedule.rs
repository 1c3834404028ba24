//! The learning rate of each step: a straight rise, then one of several ways down.
//!
//! The rise is for AdamW's first steps, whose estimates of the gradient's size rest on few gradients, and for large
//! batches (Goyal et al. 2017, section 2.2).

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the rate goes on after the rise, as a share of the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Curve {
    /// It stays.
    Constant,
    /// Half a cosine down to nothing (Loshchilov and Hutter 2016, *SGDR*, equation 5, without restarts).
    #[default]
    Cosine,
    /// Times `factor` after every `epochs` epochs.
    Step {
        /// Epochs between two steps.
        epochs: f64,
        /// What remains after each.
        factor: f64,
    },
    /// `(1 − t)^power`, for t from 0 to 1: 1 is a straight line, and 0.9 what segmentation is trained with (Chen et al.
    /// 2016, section 4.1).
    Polynomial {
        /// The exponent.
        power: f64,
    },
    /// One cycle (Smith and Topin 2017): up from 1/25 of the highest rate as half a cosine over `rise` of the run, and
    /// down as another to 1/250,000. It has a rise of its own.
    OneCycle {
        /// The share of the run in which the rate goes up.
        rise: f64,
    },
}

/// A schedule over a whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest learning rate.
    pub peak: f64,
    /// Steps of the rise; the last of them has the peak.
    pub warmup: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Steps of an epoch.
    pub epoch: usize,
    /// What follows the rise.
    pub curve: Curve,
}

impl Schedule {
    /// The learning rate of a step, counted from 0; nothing beyond the run.
    pub fn rate(&self, step: usize) -> f64 {
        if step >= self.steps {
            return 0.0;
        }
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let behind = (step - self.warmup) as f64;
        let done = behind / (self.steps - self.warmup) as f64;
        let half_cosine = |from: f64, to: f64, done: f64| to + (from - to) * 0.5 * (1.0 + (PI * done).cos());
        let share = match self.curve {
            Curve::Constant => 1.0,
            Curve::Cosine => half_cosine(1.0, 0.0, done),
            Curve::Step { epochs, factor } => factor.powf((behind / (epochs * self.epoch as f64)).floor()),
            Curve::Polynomial { power } => (1.0 - done).powf(power),
            Curve::OneCycle { rise } if done < rise => half_cosine(1.0 / 25.0, 1.0, done / rise),
            Curve::OneCycle { rise } => half_cosine(1.0, 1.0 / 250_000.0, (done - rise) / (1.0 - rise)),
        };
        self.peak * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(peak: f64, warmup: usize, steps: usize, curve: Curve) -> Schedule {
        Schedule { peak, warmup, steps, epoch: 4, curve }
    }

    fn assert_rates(schedule: Schedule, expected: &[f64]) {
        for (step, expected) in expected.iter().enumerate() {
            let rate = schedule.rate(step);
            assert!((rate - expected).abs() < 1e-12, "step {step} of {schedule:?}: {rate}, not {expected}");
        }
    }

    #[test]
    fn it_rises_to_the_peak_and_falls_as_a_cosine() {
        let half = 0.5_f64.sqrt();
        let expected = [
            0.1,
            0.2,
            0.3,
            0.4,
            0.4,
            0.2 * (1.0 + (PI / 8.0).cos()),
            0.2 * (1.0 + half),
            0.2 * (1.0 + (3.0 * PI / 8.0).cos()),
            0.2,
            0.2 * (1.0 - (3.0 * PI / 8.0).cos()),
            0.2 * (1.0 - half),
            0.2 * (1.0 - (PI / 8.0).cos()),
            0.0,
        ];
        assert_rates(schedule(0.4, 4, 12, Curve::Cosine), &expected);
    }

    #[test]
    fn other_curves_are_what_they_are_called() {
        assert_rates(schedule(0.5, 0, 3, Curve::Constant), &[0.5, 0.5, 0.5, 0.0]);
        let step = Curve::Step { epochs: 0.5, factor: 0.1 };
        assert_rates(schedule(1.0, 1, 6, step), &[1.0, 1.0, 1.0, 0.1, 0.1, 0.01]);
        assert_rates(schedule(1.0, 0, 4, Curve::Polynomial { power: 1.0 }), &[1.0, 0.75, 0.5, 0.25, 0.0]);
        let cycle = schedule(1.0, 0, 10, Curve::OneCycle { rise: 0.4 });
        assert_rates(cycle, &[0.04, 0.04 + 0.96 * 0.5 * (1.0 - (PI / 4.0).cos()), 0.52]);
        assert!((cycle.rate(4) - 1.0).abs() < 1e-12 && cycle.rate(9) < 0.1);
    }

    #[test]
    fn a_run_of_warmup_alone_and_an_empty_one_are_defined() {
        assert_eq!(schedule(1.0, 5, 2, Curve::Cosine).rate(1), 0.4);
        assert_eq!(schedule(1.0, 0, 0, Curve::Cosine).rate(0), 0.0);
    }
}
