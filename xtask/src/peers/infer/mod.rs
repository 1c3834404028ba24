//! `cargo xtask peers infer`: answers here and in other engines, in turns, round by round, a process for each.

mod engine;
mod report;

use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::contestant;
use super::quiet::{Clock, DISTURBED};
use super::train::{Format, seconds};
use super::{Machine, root, say};
use engine::{Engine, Field, Measured, Outcome};
use report::{Row, table};

const EXAMPLES: &str = "\
Examples:
  cargo xtask peers infer                                  the networks below, one picture
  cargo xtask peers infer resnet50 --batch 1 --batch 8     one of them, one picture and eight
  cargo xtask peers infer vgg16 --peer mnn --peer ncnn     beside two engines
  cargo xtask peers infer --simd avx2 --threads 1          held to AVX2, as far as each can be
  cargo xtask peers infer --format json                    for a program

Engines are looked for in --python, $ZOO_PYTHON, or python3: `pip install onnx onnxruntime openvino ncnn pnnx mnn torch`
brings them. One that isn't there, can't run a network or answers something else has a line that says so. Under 1, a ratio
says that the zoo is faster; it is to the best of onnxruntime, openvino, ncnn and mnn.";

/// What is compared if nothing is named.
const NETWORKS: [&str; 11] = [
    "alexnet",
    "vgg16",
    "googlenet",
    "inception_v3",
    "resnet18",
    "resnet50",
    "seresnet50",
    "senet154",
    "xception",
    "mobilenet_v2",
    "fcn_resnet50",
];

/// What `peers infer` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Networks by name [default: eleven, a few of each family]
    #[arg(value_name = "MODEL")]
    networks: Vec<String>,
    /// Pictures at once; may be repeated [default: 1]
    #[arg(long = "batch", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    batches: Vec<u16>,
    /// An engine; may be repeated [default: all]
    #[arg(long = "peer", value_name = "NAME")]
    engines: Vec<Engine>,
    /// How often each has its turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Timed answers in each turn, at least
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    runs: u16,
    /// Seconds of timed answers in each turn, at least
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    pub(super) machine: Machine,
    /// A Python that has the engines
    #[arg(long, value_name = "PATH")]
    python: Option<OsString>,
    /// Keep the networks as the engines read them in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let Some(python) = contestant::python(args.python.as_ref(), "the engines")? else {
        return Ok(ExitCode::from(2));
    };
    let field = Field {
        program: contestant::build("infer")?,
        python,
        simd: args.machine.simd,
        threads: args.machine.threads(),
        runs: args.runs.into(),
        seconds: args.seconds,
    };
    let networks = match args.networks.is_empty() {
        true => NETWORKS.map(String::from).to_vec(),
        false => args.networks.clone(),
    };
    field.check(&networks)?;
    let engines = if args.engines.is_empty() { Engine::value_variants() } else { &args.engines };
    let batches = if args.batches.is_empty() { &[1][..] } else { &args.batches };
    let (mut rows, mut disturbed) = (Vec::new(), 0f64);
    for network in &networks {
        for &batch in batches {
            let folder = Folder::new(args.keep.as_deref(), network, batch)?;
            let (row, others) = compare(&field, network, batch, engines, &folder.path, args.rounds.into())?;
            disturbed = disturbed.max(others);
            rows.push(row);
        }
    }
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?,
        Format::Table => write!(out, "{}", table(&rows, engines, field.simd))?,
    }
    if disturbed > DISTURBED {
        say(&format!(
            "warning: others took up to {:.0} % of the machine meanwhile: repeat this on a quiet one",
            100.0 * disturbed
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where a network lies as the engines read it; gone with this value unless it was asked for.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn new(keep: Option<&Path>, network: &str, batch: u16) -> Result<Self> {
        let usual = root().join("target/peers-infer");
        let path = keep.unwrap_or(&usual).join(format!("{network}-b{batch}"));
        fs::create_dir_all(&path).with_context(|| format!("{} can't be made", path.display()))?;
        Ok(Self { path: path.canonicalize()?, kept: keep.is_some() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // What is left lies in `target`, and the next run writes over it.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// What one round of a network gave.
struct Round {
    /// The share of the machine that others took meanwhile.
    disturbed: f64,
    here: Measured,
    /// One for each engine.
    theirs: Vec<Outcome>,
}

/// One network: in every round a turn for the zoo and one for each engine that could run it so far. Rounds that others
/// disturbed are repeated, up to as many as were asked for; the quietest count. Also says how quiet these were.
fn compare(
    field: &Field,
    network: &str,
    batch: u16,
    engines: &[Engine],
    folder: &Path,
    wanted: usize,
) -> Result<(Row, f64)> {
    let progress = |what: &str| match io::stderr().is_terminal() {
        true => say(&format!("{network}, batch {batch}  {what}")),
        false => Ok(()),
    };
    progress("is written")?;
    field.prepare(network, batch, folder)?;
    let mut broken: Vec<Option<String>> = Vec::with_capacity(engines.len());
    for engine in engines {
        progress(&format!("is converted for {engine}"))?;
        broken.push(field.convert(*engine, folder).err());
    }
    let mut rounds: Vec<Round> = Vec::new();
    let quiet = |rounds: &[Round]| rounds.iter().filter(|round| round.disturbed <= DISTURBED).count();
    while quiet(&rounds) < wanted && rounds.len() < 2 * wanted {
        let before = Clock::now();
        progress(&format!("round {} of {wanted}  here", quiet(&rounds) + 1))?;
        let here = field.here(network, folder)?;
        let mut theirs = Vec::with_capacity(engines.len());
        for (engine, broken) in engines.iter().zip(&mut broken) {
            theirs.push(match broken {
                Some(reason) => Outcome::Cannot { reason: reason.clone() },
                None => {
                    progress(&format!("round {} of {wanted}  {engine}", quiet(&rounds) + 1))?;
                    let outcome = field.run(*engine, folder)?;
                    if let Outcome::Cannot { reason } = &outcome {
                        *broken = Some(reason.clone());
                    }
                    outcome
                }
            });
        }
        let disturbed = before.zip(Clock::now()).map_or(0.0, |(before, now)| before.others(now));
        rounds.push(Round { disturbed, here, theirs });
    }
    rounds.sort_by(|a, b| a.disturbed.total_cmp(&b.disturbed));
    rounds.truncate(wanted);
    let disturbed = rounds.last().map_or(0.0, |round| round.disturbed);
    let here: Vec<Measured> = rounds.iter().map(|round| round.here.clone()).collect();
    let theirs = engines.iter().enumerate().map(|(place, engine)| {
        let outcomes = rounds.iter().map(|round| round.theirs[place].clone()).collect();
        let deviation = report::deviation(&folder.join("here.f32"), &folder.join(format!("{engine}.f32")));
        (*engine, outcomes, deviation)
    });
    Ok((Row::new(network, batch, field.threads, &here, theirs), disturbed))
}
