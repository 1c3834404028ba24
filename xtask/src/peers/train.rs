//! `cargo xtask peers train`: all contestants in turns, round by round, a process for each case.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::contestant::{self, Case, Field, Layout, Measured, Outcome, Peer};
use super::quiet::Clock;
use super::report::{Row, table};
use super::{Threads, convolutions};

const EXAMPLES: &str = "\
Examples:
  cargo xtask peers train                                     every case, beside every peer
  cargo xtask peers train --case resnet18_b4 --peer pytorch   one of them
  cargo xtask peers train --format json --rounds 5            for a program

PyTorch is looked for in --python, $ZOO_PYTHON, or python3: `pip install torch` brings it. A peer that can't
run a case has a row that says why. Under 1, a ratio says that the zoo is faster.";

/// What `peers train` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// A case; may be repeated [default: all]
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// A peer; may be repeated [default: all]
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<Peer>,
    /// How often each contestant has its turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Timed steps in each turn, at least
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Seconds of timed steps in each turn, at least
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    threads: Threads,
    /// A Python that has PyTorch
    #[arg(long, value_name = "PATH")]
    python: Option<OsString>,
    /// How PyTorch lays out pictures and weights
    #[arg(long, value_enum, default_value_t = Layout::Contiguous)]
    layout: Layout,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    match (0.0..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("give 0 to 3600 seconds".into()),
    }
}

/// Of the machine, taken by other processes: more than this, and times say little.
const DISTURBED: f64 = 0.05;

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let named = args.python.clone().or_else(|| std::env::var_os("ZOO_PYTHON"));
    if let Some(python) = &named
        && let Err(error) = contestant::starts(python)
    {
        let python = python.display();
        say(&format!(
            "error: `{python}` can't be started ({error}); name a Python that has torch with --python or ZOO_PYTHON"
        ))?;
        return Ok(ExitCode::from(2));
    }
    let field = Field {
        program: contestant::build()?,
        python: named.unwrap_or_else(|| "python3".into()),
        layout: args.layout,
        threads: args.threads.count(),
        steps: args.steps.into(),
        seconds: args.seconds,
    };
    let cases = if args.cases.is_empty() { Case::value_variants() } else { &args.cases };
    let peers = if args.peers.is_empty() { Peer::value_variants() } else { &args.peers };
    let before = Clock::now();
    let mut rows = Vec::new();
    for &case in cases {
        rows.extend(compare(&field, case, peers, args.rounds)?);
    }
    let disturbed = before.zip(Clock::now()).map_or(0.0, |(before, now)| before.others(now));
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
        Format::Table => write!(out, "{}", table(&rows))?,
    }
    if disturbed > DISTURBED {
        say(&format!(
            "warning: others took {:.0} % of the machine meanwhile: repeat this on a quiet one",
            100.0 * disturbed
        ))?;
    }
    if args.format == Format::Table && args.cases.is_empty() {
        writeln!(out)?;
        return convolutions(args.threads);
    }
    Ok(ExitCode::SUCCESS)
}

/// One case: in every round a turn for the zoo and one for each peer that could run it so far.
fn compare(field: &Field, case: Case, peers: &[Peer], rounds: u16) -> Result<Vec<Row>> {
    let mut here: Vec<Measured> = Vec::new();
    let mut theirs: Vec<Vec<Outcome>> = vec![Vec::new(); peers.len()];
    for round in 1..=rounds {
        let progress = |who: &str| match io::stderr().is_terminal() {
            true => say(&format!("{case}  round {round} of {rounds}  {who}")),
            false => Ok(()),
        };
        progress("here")?;
        match field.here(case)? {
            Outcome::Measured(measured) => here.push(measured),
            Outcome::Cannot { reason } => bail!("the zoo can't run `{case}`: {reason}"),
        }
        for (&peer, outcomes) in peers.iter().zip(&mut theirs) {
            if !matches!(outcomes.last(), Some(Outcome::Cannot { .. })) {
                progress(&peer.to_string())?;
                outcomes.push(field.peer(peer, case)?);
            }
        }
    }
    Ok(peers.iter().zip(&theirs).map(|(&peer, theirs)| Row::new(case, peer, &here, theirs)).collect())
}

/// Results go to standard output, all else here.
fn say(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}
