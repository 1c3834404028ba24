//! `cargo xtask memory`: what training steps take at most, measured beside what is predicted.
//!
//! Each step runs in a process of its own, `benches/memory.rs`, so that nothing of one is left in another.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// The networks, each with two batches and the side of its pictures if it isn't the usual.
const NETWORKS: &[(&str, [u16; 2], Option<usize>)] = &[
    ("resnet50", [4, 8], None),
    ("mobilenet_v2", [4, 16], None),
    ("fcn_resnet50", [1, 2], Some(256)),
    ("vgg16", [2, 4], None),
    ("xception", [2, 4], None),
];

/// The ways, with the flags that ask for them.
const WAYS: &[(&str, &[&str])] =
    &[("plain", &[]), ("checkpointing", &["--recompute", "all"]), ("bf16", &["--keep-bf16"])];

/// How far measured and predicted may lie apart.
const TOLERANCE: f64 = 0.15;

/// What training takes at most, measured beside what is predicted
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask memory\n  cargo xtask memory --model resnet50 --write")]
pub(crate) struct Args {
    /// A network; may be repeated [default: all five]
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Steps, the first of which does not count for the time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=1000))]
    steps: u16,
    /// The program `memory` of zoo-bench, built already [default: cargo builds it]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// A column of times as well, beside the plain way's: of a machine that does nothing else
    #[arg(long)]
    times: bool,
    /// Put the table into docs/MEMORY.md, in the place of the one that is there
    #[arg(long)]
    write: bool,
}

/// What a process reports.
#[derive(Clone, Debug, Deserialize)]
struct Measured {
    predicted_bytes: f64,
    measured_bytes: f64,
    kept_share: f64,
    step_ms: f64,
}

impl Measured {
    fn is_near(&self) -> bool {
        (self.measured_bytes / self.predicted_bytes - 1.0).abs() <= TOLERANCE
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let known = |name: &String| NETWORKS.iter().any(|(known, ..)| known == name);
    if let Some(name) = args.models.iter().find(|name| !known(name)) {
        let names: Vec<&str> = NETWORKS.iter().map(|(name, ..)| *name).collect();
        bail!("`{name}` is not measured; give {}", names.join(", "));
    }
    let program = args.program.clone().map_or_else(build, Ok)?;
    let mut table = match args.times {
        true => format!("{HEAD} time |\n{RULE}---:|\n"),
        false => format!("{HEAD}\n{RULE}\n"),
    };
    let mut are_near = true;
    for (model, batches, side) in NETWORKS {
        if !args.models.is_empty() && !args.models.iter().any(|name| name == model) {
            continue;
        }
        for batch in batches {
            let mut plain = None;
            for (way, flags) in WAYS {
                let measured = measure(&program, model, *batch, *side, flags, args.steps)?;
                let time = measured.step_ms / plain.get_or_insert_with(|| measured.clone()).step_ms;
                are_near &= measured.is_near();
                let line = row(model, *batch, way, &measured, args.times.then_some(time));
                write!(io::stderr(), "{line}")?;
                table += &line;
            }
        }
    }
    match args.write {
        true => put(&crate::peers::root().join("docs/MEMORY.md"), &table)?,
        false => write!(io::stdout(), "{table}")?,
    }
    ensure!(are_near, "some measured peak is more than {:.0} % from the predicted one", 100.0 * TOLERANCE);
    Ok(ExitCode::SUCCESS)
}

const HEAD: &str = "| network | batch | way | kept | predicted | measured | measured / predicted |";
const RULE: &str = "|---|---:|---|---:|---:|---:|---:|";

fn row(model: &str, batch: u16, way: &str, measured: &Measured, time: Option<f64>) -> String {
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let Measured { predicted_bytes, measured_bytes, kept_share, .. } = measured;
    format!(
        "| {model} | {batch} | {way} | {:.0} % | {:.0} MiB | {:.0} MiB | {:.2} |{}\n",
        100.0 * kept_share,
        mib(*predicted_bytes),
        mib(*measured_bytes),
        measured_bytes / predicted_bytes,
        time.map_or(String::new(), |time| format!(" {time:.2} |"))
    )
}

/// Builds the program, as `cargo build` does: what computes is optimised in every profile.
fn build() -> Result<PathBuf> {
    let output = crate::peers::cargo()
        .args(["build", "--quiet", "--workspace", "--bin", "memory"])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context("cargo can't be started")?;
    ensure!(output.status.success(), "the program `memory` of zoo-bench doesn't build");
    let built = String::from_utf8_lossy(&output.stdout).lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    built.context("cargo doesn't say where it put the program `memory`")
}

fn measure(
    program: &Path,
    model: &str,
    batch: u16,
    side: Option<usize>,
    flags: &[&str],
    steps: u16,
) -> Result<Measured> {
    let mut command = Command::new(program);
    command.args([model, "--batch", &batch.to_string(), "--steps", &steps.to_string()]).args(flags);
    if let Some(side) = side {
        command.args(["--side", &side.to_string()]);
    }
    let output = command.stderr(Stdio::inherit()).output().with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{model}, batch {batch} {}: {}", flags.join(" "), said.trim());
    serde_json::from_str(&said).with_context(|| format!("{model} said {said}"))
}

/// Puts the table between the page's marks.
fn put(page: &Path, table: &str) -> Result<()> {
    const MARKS: [&str; 2] = ["<!-- measured: begin -->\n", "<!-- measured: end -->\n"];
    let shown = page.display();
    let text = std::fs::read_to_string(page).with_context(|| shown.to_string())?;
    let [begin, end] = MARKS.map(|mark| text.find(mark));
    let (Some(begin), Some(end)) = (begin, end) else { bail!("{shown} lacks the marks of the table") };
    let text = format!("{}{table}{}", &text[..begin + MARKS[0].len()], &text[end..]);
    let destination = zoo_weights::Destination::of(page).with_context(|| shown.to_string())?;
    destination.write(|file| file.write_all(text.as_bytes())).with_context(|| shown.to_string())
}
