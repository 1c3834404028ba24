//! `cargo xtask peers train`: all contestants in turns, round by round, a process for each case.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::ValueEnum;

use super::contestant::{self, Case, Contestant, Field, Layout, Measured, Outcome, Peer};
use super::quiet::{Clock, DISTURBED};
use super::report::{Row, Sets, table};
use super::simd::{self, Simd};
use super::{Machine, convolutions, say};

const EXAMPLES: &str = "\
Examples:
  cargo xtask peers train                                     every case, beside every peer
  cargo xtask peers train --case resnet18_b4 --peer pytorch   one of them
  cargo xtask peers train --simd avx2                         as on a machine without AVX-512
  cargo xtask peers train --format json --rounds 5            for a program

PyTorch is looked for in --python, $ZOO_PYTHON, or python3: `pip install torch` brings it. A peer that can't
run a case has a row that says why. Under 1, a ratio says that the zoo is faster; PyTorch's is to the better of
its two layouts.";

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
    pub(super) machine: Machine,
    /// A Python that has PyTorch
    #[arg(long, value_name = "PATH")]
    python: Option<OsString>,
    /// How PyTorch lays out pictures and weights; may be repeated [default: both, and the better counts]
    #[arg(long = "layout", value_name = "NAME")]
    layouts: Vec<Layout>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
}

/// A time on the command line.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    match (0.0..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("give 0 to 3600 seconds".into()),
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let Some(python) = contestant::python(args.python.as_ref(), "torch")? else {
        return Ok(ExitCode::from(2));
    };
    let field = Field {
        program: contestant::build("peers")?,
        python,
        simd: args.machine.simd,
        threads: args.machine.threads(),
        steps: args.steps.into(),
        seconds: args.seconds,
    };
    let cases = if args.cases.is_empty() { Case::value_variants() } else { &args.cases };
    let peers = if args.peers.is_empty() { Peer::value_variants() } else { &args.peers };
    let layouts = if args.layouts.is_empty() { Layout::value_variants() } else { &args.layouts };
    let contestants: Vec<_> = peers.iter().flat_map(|&peer| Contestant::of(peer, layouts)).collect();
    let pytorch = match peers.contains(&Peer::Pytorch) {
        true => simd::of_pytorch(&field.python, field.simd),
        false => None,
    };
    let mut rows = Vec::new();
    let mut disturbed: f64 = 0.0;
    for &case in cases {
        let (rounds, others) = compare(&field, case, &contestants, args.rounds.into())?;
        rows.extend(peers.iter().map(|&peer| row(case, peer, &contestants, &rounds, pytorch.as_ref())));
        disturbed = disturbed.max(others);
    }
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
        Format::Table => write!(out, "{}", table(&rows))?,
    }
    if disturbed > DISTURBED {
        say(&format!(
            "warning: others took up to {:.0} % of the machine meanwhile: repeat this on a quiet one",
            100.0 * disturbed
        ))?;
    }
    if args.format == Format::Table && args.cases.is_empty() {
        writeln!(out)?;
        return convolutions(args.machine);
    }
    Ok(ExitCode::SUCCESS)
}

/// What one round of a case gave.
struct Round {
    /// The share of the machine that others took meanwhile.
    disturbed: f64,
    here: Measured,
    /// One for each contestant.
    theirs: Vec<Outcome>,
}

/// One case: in every round a turn for the zoo and one for each contestant that could run it so far. Rounds that
/// others disturbed are repeated, up to as many as were asked for; the quietest count. Also says how quiet these were.
fn compare(field: &Field, case: Case, all: &[Contestant], wanted: usize) -> Result<(Vec<Round>, f64)> {
    let mut rounds: Vec<Round> = Vec::new();
    let quiet = |rounds: &[Round]| rounds.iter().filter(|round| round.disturbed <= DISTURBED).count();
    while quiet(&rounds) < wanted && rounds.len() < 2 * wanted {
        let progress = |who: &str| match io::stderr().is_terminal() {
            true => say(&format!("{case}  round {} of {wanted}  {who}", quiet(&rounds) + 1)),
            false => Ok(()),
        };
        let before = Clock::now();
        progress("here")?;
        let here = match field.here(case)? {
            Outcome::Measured(measured) => measured,
            Outcome::Cannot { reason } => bail!("the zoo can't run `{case}`: {reason}"),
        };
        let mut theirs = Vec::new();
        for (index, &contestant) in all.iter().enumerate() {
            theirs.push(match rounds.last().map(|round| &round.theirs[index]) {
                Some(cannot @ Outcome::Cannot { .. }) => cannot.clone(),
                _ => {
                    progress(&contestant.to_string())?;
                    field.peer(contestant, case)?
                }
            });
        }
        let disturbed = before.zip(Clock::now()).map_or(0.0, |(before, now)| before.others(now));
        rounds.push(Round { disturbed, here, theirs });
    }
    rounds.sort_by(|a, b| a.disturbed.total_cmp(&b.disturbed));
    rounds.truncate(wanted);
    let disturbed = rounds.last().map_or(0.0, |round| round.disturbed);
    Ok((rounds, disturbed))
}

/// What the rounds say of one peer, in whichever layouts it took its turns.
fn row(case: Case, peer: Peer, all: &[Contestant], rounds: &[Round], pytorch: Option<&String>) -> Row {
    let here: Vec<_> = rounds.iter().map(|round| round.here.clone()).collect();
    let of_peer = all.iter().enumerate().filter(|(_, contestant)| contestant.peer == peer);
    let theirs: Vec<_> = of_peer
        .map(|(index, contestant)| {
            (*contestant, rounds.iter().map(|round| round.theirs[index].clone()).collect())
        })
        .collect();
    let simd = Sets {
        here: here.first().and_then(|measured| measured.simd.clone()),
        peer: pytorch.filter(|_| peer == Peer::Pytorch).cloned(),
        machine: Simd::available().iter().map(Simd::to_string).collect(),
    };
    Row::new(case, peer, &here, &theirs, simd)
}
