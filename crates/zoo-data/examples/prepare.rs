//! How long a core takes to make inputs of a JPEG, for `cargo xtask peers data`.
//!
//! `prepare FILE SECONDS` prints a line of JSON: for each way of preparing it the mean milliseconds, and the sum of the
//! values that come out where nothing is drawn.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use zoo_base::random::Stream;
use zoo_data::augment::{Augment, Flip, RandomResizedCrop};
use zoo_data::{Pipeline, Preprocess, Result, Stored};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(file), Some(seconds)) = (words.next(), words.next()) else {
        return Err("give a JPEG and the seconds to take for each way".into());
    };
    let stored = Stored::File(std::fs::read(&file)?);
    let seconds: f64 = seconds.parse()?;
    let answer = Pipeline::plain(Preprocess::imagenet(256, 224));
    let mut learning = answer.clone();
    learning.augment =
        vec![Augment::RandomResizedCrop(RandomResizedCrop::default()), Augment::Flip(Flip::default())];
    let mut parts = Vec::new();
    for (name, pipeline) in [("learning", &learning), ("answer", &answer)] {
        let milliseconds = timed(seconds, |round| {
            black_box(pipeline.apply_stored(&stored, &file, &Stream::new(round, "peers"))?);
            Ok(())
        })?;
        parts.push(format!("\"{name}_ms\": {milliseconds:.3}"));
    }
    let input = answer.apply_stored(&stored, &file, &Stream::new(0, "peers"))?;
    let sum: f64 = input.values.iter().map(|&value| f64::from(value)).sum();
    writeln!(std::io::stdout(), "{{{}, \"answer_sum\": {sum:.3}}}", parts.join(", "))?;
    Ok(())
}

/// The mean milliseconds of a round over at least so many seconds, after some rounds to warm up. The mean: rounds
/// differ in what is drawn, and both sides draw alike often.
fn timed(seconds: f64, mut work: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    for round in 0..10 {
        work(round)?;
    }
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < Duration::from_secs_f64(seconds) || rounds < 20 {
        work(10 + rounds)?;
        rounds += 1;
    }
    Ok(start.elapsed().as_secs_f64() * 1e3 / rounds as f64)
}
