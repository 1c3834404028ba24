//! One contestant's training steps of one case, timed: `cargo xtask peers train` runs this in a process of its
//! own for each. It prints one line of JSON.

mod case;
mod here;
mod stock;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;

use case::Case;
use here::Here;
use stock::Stock;
use zoo_bench::memory::Memory;

/// Steps before the first timed one; their losses are reported.
const WARM_UP: usize = 3;

#[derive(Parser)]
#[command(about = "Times one contestant's training steps of one case and prints a line of JSON")]
struct Cli {
    /// Whose step
    contestant: Contestant,
    /// Of what
    case: Case,
    /// Timed steps at least
    #[arg(long, default_value_t = 5)]
    steps: usize,
    /// Seconds of timed steps at least
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Contestant {
    /// The zoo's own layers
    Here,
    /// candle's own layers
    Candle,
}

/// A network with its optimizer and its batch.
trait Step {
    /// Learned numbers.
    fn params(&self) -> usize;

    /// Forward, loss, backward, update. Gives the case's loss if `check` asks for it (see `case::Loss`).
    fn step(&mut self, check: bool) -> Result<Option<f64>>;
}

/// What is printed: the harness compares `params` and `losses` before it compares times.
#[derive(Serialize)]
struct Measured {
    params: usize,
    /// Of the first steps.
    losses: Vec<f64>,
    step_ms: Vec<f64>,
    peak_mib: Option<f64>,
    /// The instruction set in use; candle's products choose theirs without telling.
    simd: Option<&'static str>,
}

fn main() -> ExitCode {
    if let Some(warning) = &zoo_kernels::selection().warning {
        // Nothing is left to do if even this can't be written.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    match measured(&Cli::parse()) {
        Ok(measured) => print(&serde_json::json!(measured), ExitCode::SUCCESS),
        // That a contestant can't run a case is a result too.
        Err(error) => print(&serde_json::json!({ "reason": format!("{error:#}") }), ExitCode::FAILURE),
    }
}

fn print(line: &serde_json::Value, code: ExitCode) -> ExitCode {
    writeln!(std::io::stdout(), "{line}").map_or(ExitCode::FAILURE, |()| code)
}

fn measured(cli: &Cli) -> Result<Measured> {
    match cli.contestant {
        Contestant::Here => {
            let simd = Some(zoo_kernels::Isa::current().name());
            Ok(Measured { simd, ..run(&mut Here::new(cli.case)?, cli)? })
        }
        Contestant::Candle => run(&mut Stock::new(cli.case)?, cli),
    }
}

fn run(contestant: &mut impl Step, cli: &Cli) -> Result<Measured> {
    let memory = Memory::before();
    let mut losses = Vec::with_capacity(WARM_UP);
    for _ in 0..WARM_UP {
        losses.extend(contestant.step(true)?);
    }
    ensure!(losses.iter().all(|loss| loss.is_finite()), "the loss went to {losses:?}");
    let least = Duration::try_from_secs_f64(cli.seconds)?;
    let start = Instant::now();
    let mut step_ms = Vec::new();
    while step_ms.len() < cli.steps.max(1) || start.elapsed() < least {
        let start = Instant::now();
        contestant.step(false)?;
        step_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let peak_mib = memory.and_then(|memory| memory.peak_mib());
    Ok(Measured { params: contestant.params(), losses, step_ms, peak_mib, simd: None })
}
