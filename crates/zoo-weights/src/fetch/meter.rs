//! How fast a transfer goes and how long it will take.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

/// The rate is that of the last seconds, so that it follows the line and does not flicker.
const WINDOW: Duration = Duration::from_secs(5);

/// More often would only keep a terminal busy.
const INTERVAL: Duration = Duration::from_millis(100);

/// What a transfer tells while it runs.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another process fetches the same file; this one waits for it.
    Waiting,
    /// A request is sent.
    Connecting {
        /// The address.
        url: &'a str,
    },
    /// Bytes have come.
    Progress(Progress),
    /// A try failed and another follows.
    Retrying {
        /// What happened.
        why: &'a str,
        /// How long it waits before.
        pause: Duration,
    },
    /// A source failed and the next one follows.
    NextSource {
        /// What happened.
        why: &'a str,
    },
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Bytes here, those of earlier runs included.
    pub done: u64,
    /// Bytes of the whole file, where known.
    pub total: Option<u64>,
    /// Bytes per second, once it can be told.
    pub rate: Option<f64>,
    /// Time left, once it can be told.
    pub left: Option<Duration>,
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str("another process fetches it: waiting"),
            Self::Connecting { url } => f.write_str(url),
            Self::Progress(progress) => progress.fmt(f),
            Self::Retrying { why, pause } => write!(f, "{why}: trying again in {} s", pause.as_secs()),
            Self::NextSource { why } => write!(f, "{why}: trying the next source"),
        }
    }
}

impl fmt::Display for Progress {
    /// `45.2 of 97.8 MB, 12.3 MB/s, 0:05 left`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: f64| bytes / 1e6;
        write!(f, "{:.1}", mb(self.done as f64))?;
        if let Some(total) = self.total {
            write!(f, " of {:.1}", mb(total as f64))?;
        }
        f.write_str(" MB")?;
        if let Some(rate) = self.rate {
            write!(f, ", {:.1} MB/s", mb(rate))?;
        }
        if let Some(left) = self.left {
            let seconds = left.as_secs();
            write!(f, ", {}:{:02} left", seconds / 60, seconds % 60)?;
        }
        Ok(())
    }
}

/// Makes [`Progress`] of byte counts and times.
pub(super) struct Meter {
    total: Option<u64>,
    samples: VecDeque<(Instant, u64)>,
    reported: Option<Instant>,
}

impl Meter {
    /// Starts at `done` bytes.
    pub(super) fn new(now: Instant, done: u64, total: Option<u64>) -> Self {
        Self { total, samples: VecDeque::from([(now, done)]), reported: None }
    }

    /// Notes that `done` bytes are here; tells the progress if it is time to.
    pub(super) fn at(&mut self, now: Instant, done: u64) -> Option<Progress> {
        let finished = Some(done) == self.total;
        let early = self.reported.is_some_and(|last| now.duration_since(last) < INTERVAL);
        if early && !finished {
            return None;
        }
        self.reported = Some(now);
        self.samples.push_back((now, done));
        // One sample older than the window stays, so that the rate always spans the whole of it.
        while self.samples.len() > 2 && now.duration_since(self.samples[1].0) >= WINDOW {
            self.samples.pop_front();
        }
        let rate = self.samples.front().and_then(|&(start, from)| {
            let seconds = now.duration_since(start).as_secs_f64();
            (seconds > 0.0 && done > from).then(|| (done - from) as f64 / seconds)
        });
        let left = rate.zip(self.total).map(|(rate, total)| total.saturating_sub(done) as f64 / rate);
        let left = left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Some(Progress { done, total: self.total, rate, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left_follow_the_last_seconds() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut meter = Meter::new(start, 1000, Some(101_000));
        // What an earlier run brought does not count as speed.
        let first = meter.at(at(1000), 11_000).unwrap();
        assert_eq!(first.rate, Some(10_000.0));
        assert_eq!(first.left, Some(Duration::from_secs(9)));
        assert_eq!(meter.at(at(1050), 11_500), None, "too soon");
        for second in 2..=20 {
            meter.at(at(second * 1000), 11_000 + (second - 1) * 1000);
        }
        let late = meter.at(at(21_000), 31_000).unwrap();
        assert_eq!(late.rate, Some(1000.0), "the fast start is forgotten");
        assert_eq!(late.left, Some(Duration::from_secs(70)));
        let end = meter.at(at(21_010), 101_000).unwrap();
        assert_eq!(end.left, Some(Duration::ZERO), "the end is told however soon");
    }

    #[test]
    fn progress_reads_well() {
        let known = Progress {
            done: 45_200_000,
            total: Some(97_800_000),
            rate: Some(12.3e6),
            left: Some(Duration::from_secs(65)),
        };
        assert_eq!(known.to_string(), "45.2 of 97.8 MB, 12.3 MB/s, 1:05 left");
        assert_eq!(Progress { done: 1_000_000, ..Progress::default() }.to_string(), "1.0 MB");
    }

    #[test]
    fn a_standing_line_has_no_rate() {
        let start = Instant::now();
        let mut meter = Meter::new(start, 0, None);
        let progress = meter.at(start + Duration::from_secs(1), 0).unwrap();
        assert_eq!((progress.rate, progress.left), (None, None));
    }
}
