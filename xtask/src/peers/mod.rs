//! `cargo xtask peers`: the zoo's speed and memory beside those of others, in one run on one machine.
//!
//! What is timed lies in `benches/peers`: a program for what is Rust, which cargo builds, and a Python script.
//! This one starts them in turns and compares what they report.

mod contestant;
mod quiet;
mod report;
mod train;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// The zoo beside its peers: side-by-side timings
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The same training step here, in PyTorch and in stock candle: time and memory
    Train(train::Args),
    /// Each convolution's share of what the machine can do at most
    Convolutions(Threads),
}

/// How many threads every contestant gets.
#[derive(clap::Args, Clone, Copy)]
struct Threads {
    /// Threads of every contestant [default: as many as the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Threads {
    fn count(self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Train(args) => train::run(args),
        What::Convolutions(threads) => convolutions(*threads),
    }
}

/// The table that `zoo-kernels`' example prints.
fn convolutions(threads: Threads) -> Result<ExitCode> {
    let status = cargo()
        .args(["run", "--release", "--quiet", "--package", "zoo-kernels", "--example", "convolutions"])
        .env("RAYON_NUM_THREADS", threads.count().to_string())
        .status()
        .context(NO_CARGO)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const NO_CARGO: &str = "cargo can't be started; run this as `cargo xtask peers`";

/// cargo, in this repository wherever it is called from.
fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
