//! The learning rate of each step: a straight rise, then half a cosine down to nothing.
//!
//! The rise is for AdamW's first steps, whose estimates of the gradient's size rest on few gradients; the cosine
//! is Loshchilov and Hutter 2016, *SGDR*, equation 5, without restarts.

use std::f64::consts::PI;

/// A schedule over a whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The highest learning rate.
    pub peak: f64,
    /// Steps of the rise; the last of them has the peak.
    pub warmup: usize,
    /// Steps of the run.
    pub steps: usize,
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
        let done = (step - self.warmup) as f64 / (self.steps - self.warmup) as f64;
        self.peak * 0.5 * (1.0 + (PI * done).cos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_to_the_peak_and_falls_as_a_cosine() {
        let schedule = Schedule { peak: 0.4, warmup: 4, steps: 12 };
        let rates: Vec<f64> = (0..13).map(|step| schedule.rate(step)).collect();
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
        for (rate, expected) in rates.iter().zip(expected) {
            assert!((rate - expected).abs() < 1e-12, "{rates:?}");
        }
    }

    #[test]
    fn a_run_of_warmup_alone_and_an_empty_one_are_defined() {
        assert_eq!(Schedule { peak: 1.0, warmup: 5, steps: 2 }.rate(1), 0.4);
        assert_eq!(Schedule { peak: 1.0, warmup: 0, steps: 0 }.rate(0), 0.0);
    }
}
