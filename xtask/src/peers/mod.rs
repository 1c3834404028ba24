//! `cargo xtask peers`: the zoo's speed and memory beside those of others, in one run on one machine.
//!
//! What is timed lies in `benches/peers`: programs for what is Rust, which cargo builds, and Python scripts.
//! This one starts them in turns and compares what they report.

mod contestant;
mod data;
mod infer;
mod quiet;
mod report;
mod simd;
mod train;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::ValueEnum;

use simd::Simd;

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
    /// Answers here and in ONNX Runtime, OpenVINO, ncnn, MNN and PyTorch: time and memory
    Infer(infer::Args),
    /// A photograph made into an input, here and by Pillow and torchvision, on one core
    Data(data::Args),
    /// Each convolution's share of what the machine can do at most
    Convolutions(Machine),
}

/// How much of the machine every contestant gets.
#[derive(clap::Args, Clone, Copy)]
struct Machine {
    /// Threads of every contestant [default: as many as the machine has]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The instruction set that all are held to [default: the best that each knows]
    #[arg(long, value_name = "SET")]
    simd: Option<Simd>,
}

impl Machine {
    fn threads(self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(all, usize::from)
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let machine = match &args.what {
        What::Train(args) => args.machine,
        What::Infer(args) => args.machine,
        What::Data(args) => return data::run(args),
        What::Convolutions(machine) => *machine,
    };
    if let Some(refusal) = machine.simd.and_then(Simd::refusal) {
        say(&format!("error: {refusal}"))?;
        return Ok(ExitCode::from(2));
    }
    match &args.what {
        What::Train(args) => train::run(args),
        What::Infer(args) => infer::run(args),
        What::Data(args) => data::run(args),
        What::Convolutions(machine) => convolutions(*machine),
    }
}

/// The table that `zoo-kernels`' example prints.
fn convolutions(machine: Machine) -> Result<ExitCode> {
    let mut cargo = cargo();
    cargo.args(["run", "--release", "--quiet", "--package", "zoo-kernels", "--example", "convolutions"]);
    cargo.env("RAYON_NUM_THREADS", machine.threads().to_string());
    simd::hold(&mut cargo, machine.simd);
    let status = cargo.status().context(NO_CARGO)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

const NO_CARGO: &str = "cargo can't be started; run this as `cargo xtask peers`";

/// cargo, in this repository wherever it is called from.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// The Python that is named, that of `ZOO_PYTHON`, or the one that is found.
pub(crate) fn python(named: Option<&OsString>) -> OsString {
    named.cloned().or_else(|| std::env::var_os("ZOO_PYTHON")).unwrap_or_else(|| "python3".into())
}

/// Results go to standard output, all else here.
fn say(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}

/// As on the command line.
fn named(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(value.to_possible_value().as_ref().map_or("", |value| value.get_name()))
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
