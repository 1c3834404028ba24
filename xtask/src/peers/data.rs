//! `cargo xtask peers data`: a photograph made into a network's input, here and by Pillow and torchvision, on one core.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{NO_CARGO, cargo, python, root};

const EXAMPLES: &str = "\
Examples:
  cargo xtask peers data                          three rounds, of two seconds for each way
  cargo xtask peers data --python venv/bin/python

A JPEG of 1000x750 pixels becomes an input of 224x224: for learning (a random crop, scaled, mirrored or not) and for an
answer (short side 256, the centre cut out), both with ImageNet's mean and deviation. Python needs torch, torchvision and
Pillow. Under 1, a ratio says that the zoo is faster.";

/// What `peers data` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// How often both have their turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Seconds of each way in each turn
    #[arg(long, value_name = "S", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// A Python that has torchvision [default: $ZOO_PYTHON, or python3]
    #[arg(long, value_name = "PATH")]
    python: Option<OsString>,
}

/// What both print.
#[derive(Clone, Deserialize)]
struct Measured {
    learning_ms: f64,
    answer_ms: f64,
    /// Of the values of the answer's input: who makes another one is no peer.
    answer_sum: f64,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let python = python(args.python.as_ref());
    let built = cargo()
        .args(["build", "--release", "--quiet", "--package", "zoo-data", "--example", "prepare"])
        .status()
        .context(NO_CARGO)?;
    ensure!(built.success(), "zoo-data's example `prepare` can't be built");
    let program = target().join("release/examples/prepare");
    let script = root().join("benches/peers/data.py");
    let photo = root().join("assets/photos/coffee.jpg");
    let file = target().join("peers-1000x750.jpg");
    output(&python, &[script.as_ref(), "make".as_ref(), photo.as_ref(), file.as_ref()])?;

    let seconds = args.seconds.to_string();
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        here.push(measured(program.as_ref(), &[file.as_ref(), seconds.as_ref()])?);
        there.push(measured(&python, &[script.as_ref(), "time".as_ref(), file.as_ref(), seconds.as_ref()])?);
    }
    let (sum, other) = (here[0].answer_sum, there[0].answer_sum);
    ensure!(
        (sum - other).abs() < 0.5,
        "the inputs differ: their values' sums are {sum} here and {other} there"
    );
    let mut out = io::stdout().lock();
    writeln!(out, "{:<10} {:>9} {:>16} {:>7}", "for", "here, ms", "torchvision, ms", "ratio")?;
    for (name, time) in
        [("learning", (|m| m.learning_ms) as fn(&Measured) -> f64), ("answer", |m| m.answer_ms)]
    {
        let (here, there) = (median(here.iter().map(time)), median(there.iter().map(time)));
        writeln!(out, "{name:<10} {here:>9.2} {there:>16.2} {:>7.2}", here / there)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn measured(program: &OsStr, arguments: &[&OsStr]) -> Result<Measured> {
    let text = output(program, arguments)?;
    serde_json::from_str(&text).with_context(|| format!("{} printed {text:?}", program.display()))
}

fn output(program: &OsStr, arguments: &[&OsStr]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("`{}` can't be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "`{}` failed: {last}", program.display());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
