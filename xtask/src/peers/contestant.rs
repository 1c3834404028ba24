//! Who takes part, and how a process of theirs runs a case.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Deserialize;

use super::simd::{self, Simd};
use super::{NO_CARGO, cargo, named, root, say};

/// What is trained for a step; `benches/peers` describes each, in Rust and in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Case {
    Lenet5B64,
    Resnet18B4,
    Resnet50B4,
    MobilenetBlock,
    XceptionBlock,
}

/// Whom the zoo is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// PyTorch as PyPI has it
    Pytorch,
    /// candle's own layers
    Candle,
}

/// How PyTorch lays out pictures and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Layout {
    /// Channel by channel, PyTorch's default
    Contiguous,
    /// Pixel by pixel, faster for some networks
    ChannelsLast,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

/// Who takes a turn of his own: PyTorch with each of its layouts, candle as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contestant {
    pub(super) peer: Peer,
    /// PyTorch's.
    pub(super) layout: Option<Layout>,
}

impl Contestant {
    /// All turns of a peer.
    pub(super) fn of(peer: Peer, layouts: &[Layout]) -> Vec<Self> {
        match peer {
            Peer::Pytorch => layouts.iter().map(|layout| Self { peer, layout: Some(*layout) }).collect(),
            Peer::Candle => vec![Self { peer, layout: None }],
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layout {
            Some(layout) => write!(f, "{}, {layout}", self.peer),
            None => self.peer.fmt(f),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

/// What a process printed: its last line.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub(super) enum Outcome {
    Measured(Measured),
    Cannot { reason: String },
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Measured {
    /// Learned numbers.
    pub(super) params: u64,
    /// Of the first steps.
    pub(super) losses: Vec<f64>,
    pub(super) step_ms: Vec<f64>,
    /// The most memory, less what there was before the first step.
    pub(super) peak_mib: Option<f64>,
    /// The instruction set in use, where the process knows it.
    pub(super) simd: Option<String>,
}

/// How processes are started.
pub(super) struct Field {
    /// The program that runs what is Rust.
    pub(super) program: PathBuf,
    pub(super) python: OsString,
    /// What all are held to; else each takes the best that it knows.
    pub(super) simd: Option<Simd>,
    pub(super) threads: usize,
    /// Timed steps at least, and seconds of them.
    pub(super) steps: usize,
    pub(super) seconds: f64,
}

impl Field {
    /// One process of the zoo's.
    pub(super) fn here(&self, case: Case) -> Result<Outcome> {
        outcome(self.rust("here", case).output().context("the program `peers` can't be started")?)
    }

    /// One process of a peer's. That it can't be run is an outcome too.
    pub(super) fn peer(&self, contestant: Contestant, case: Case) -> Result<Outcome> {
        match contestant.layout {
            None => {
                outcome(self.rust("candle", case).output().context("the program `peers` can't be started")?)
            }
            Some(layout) => match self.pytorch(case, layout).output() {
                Ok(output) => outcome(output),
                Err(error) => {
                    let python = self.python.display();
                    let reason = format!(
                        "`{python}` can't be started ({error}); install Python and `pip install torch`, or \
                         name one that has it with --python"
                    );
                    Ok(Outcome::Cannot { reason })
                }
            },
        }
    }

    fn rust(&self, who: &str, case: Case) -> Command {
        let mut command = Command::new(&self.program);
        command.args([who, &case.to_string()]);
        command.args(["--steps", &self.steps.to_string(), "--seconds", &self.seconds.to_string()]);
        // A trace of calls would be no part of the reason.
        command.env("RUST_LIB_BACKTRACE", "0").env("RAYON_NUM_THREADS", self.threads.to_string());
        command.stdin(Stdio::null());
        simd::hold(&mut command, self.simd);
        command
    }

    fn pytorch(&self, case: Case, layout: Layout) -> Command {
        let mut command = Command::new(&self.python);
        let threads = self.threads.to_string();
        command.arg(root().join("benches/peers/step.py"));
        command.args([&case.to_string(), &threads, &self.steps.to_string(), &self.seconds.to_string()]);
        command.arg(layout.to_string());
        command.env("OMP_NUM_THREADS", &threads).env("MKL_NUM_THREADS", threads).stdin(Stdio::null());
        simd::hold(&mut command, self.simd);
        command
    }
}

/// Whether `python` can be started at all.
fn starts(python: &OsStr) -> io::Result<()> {
    let mut command = Command::new(python);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(|_| ())
}

/// What a process said with its last line; if that can't be read, how it ended.
fn outcome(output: Output) -> Result<Outcome> {
    Ok(match last_line(&output) {
        Ok(line) => serde_json::from_value(line)?,
        Err(reason) => Outcome::Cannot { reason },
    })
}

/// The JSON of a process's last line; if that is none, how the process ended, as a sentence.
pub(super) fn last_line(output: &Output) -> Result<serde_json::Value, String> {
    let last = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_string()
    };
    serde_json::from_str(&last(&output.stdout)).map_err(|_| {
        let (status, said) = (output.status, last(&output.stderr));
        let said = if said.is_empty() { "without a word".into() } else { format!("saying: {said}") };
        format!("the process ended with {status}, {said}")
    })
}

/// The Python that a caller named, in the environment perhaps, or the usual one. Nothing, and a sentence that says so, if
/// the named one can't be started; `what` it should have.
pub(super) fn python(named: Option<&OsString>, what: &str) -> Result<Option<OsString>> {
    let named = named.cloned().or_else(|| std::env::var_os("ZOO_PYTHON"));
    if let Some(python) = &named
        && let Err(error) = starts(python)
    {
        let python = python.display();
        say(&format!(
            "error: `{python}` can't be started ({error}); name a Python that has {what} with --python or ZOO_PYTHON"
        ))?;
        return Ok(None);
    }
    Ok(Some(named.unwrap_or_else(|| "python3".into())))
}

/// Builds a program of `benches/peers`, as fast as it gets, and says where it is.
pub(super) fn build(name: &str) -> Result<PathBuf> {
    let output = cargo()
        .args(["build", "--release", "--quiet", "--package", "zoo-bench", "--bin", name])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .context(NO_CARGO)?;
    ensure!(output.status.success(), "the program `{name}` of zoo-bench doesn't build");
    let built = String::from_utf8_lossy(&output.stdout).lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    built.with_context(|| format!("cargo doesn't say where it put the program `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(script: &str) -> Outcome {
        outcome(Command::new("sh").args(["-c", script]).output().unwrap()).unwrap()
    }

    #[test]
    fn the_last_line_is_the_outcome() {
        let line = r#"echo chatter; echo '{"params":3,"losses":[1.5],"step_ms":[2.0],"peak_mib":null,"simd":"avx2"}'"#;
        let simd = Some("avx2".to_string());
        let measured = Measured { params: 3, losses: vec![1.5], step_ms: vec![2.0], peak_mib: None, simd };
        assert_eq!(said(line), Outcome::Measured(measured));
        let cannot = said(r#"echo '{"reason":"no gradient"}'; exit 1"#);
        assert_eq!(cannot, Outcome::Cannot { reason: "no gradient".into() });
    }

    #[test]
    fn a_process_that_breaks_off_is_told() {
        let Outcome::Cannot { reason } = said("echo half a line; echo out of memory >&2; exit 9") else {
            panic!("it measured nothing");
        };
        assert!(reason.contains("exit status: 9") && reason.contains("out of memory"), "{reason}");
    }

    #[test]
    fn cases_are_called_what_the_documents_call_them() {
        let names: Vec<String> = Case::value_variants().iter().map(Case::to_string).collect();
        let documented = "lenet5_b64 resnet18_b4 resnet50_b4 mobilenet_block xception_block";
        assert_eq!(names.join(" "), documented);
    }
}
