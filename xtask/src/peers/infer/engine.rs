//! Who answers, and how a process of theirs is started.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::Deserialize;

use super::super::contestant::last_line;
use super::super::simd::{self, Simd};
use super::super::{named, root};

/// Whom the zoo is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum Engine {
    /// ONNX Runtime
    Onnxruntime,
    /// OpenVINO
    Openvino,
    /// ncnn, its network made by pnnx
    Ncnn,
    /// MNN, its network made by mnnconvert
    Mnn,
    /// PyTorch's eager mode, memory laid out channel by channel
    Pytorch,
    /// The same, pixel by pixel
    PytorchChannelsLast,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        named(self, f)
    }
}

impl Engine {
    /// Whether it is made for answering, so that the zoo's time is held against its own.
    pub(super) const fn is_engine(self) -> bool {
        !matches!(self, Self::Pytorch | Self::PytorchChannelsLast)
    }

    /// What of it `--simd` can't hold, as the rest of a sentence; nothing if it can.
    pub(super) const fn not_held(self) -> Option<&'static str> {
        match self {
            Self::Onnxruntime => Some("chooses for itself: its library of kernels, MLAS, has no switch"),
            Self::Ncnn | Self::Mnn => Some("chooses for itself: it has no switch"),
            Self::Openvino => {
                Some("is held in convolutions and pools (oneDNN), not in reductions and dense layers")
            }
            Self::Pytorch | Self::PytorchChannelsLast => None,
        }
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
    pub(super) run_ms: Vec<f64>,
    /// The most memory, less what there was before the network was loaded.
    pub(super) peak_mib: Option<f64>,
    /// The most of the whole process.
    pub(super) process_mib: Option<f64>,
    /// What it calls itself.
    pub(super) version: Option<String>,
    /// The instruction set in use, where the process knows it.
    pub(super) simd: Option<String>,
}

/// How processes are started.
pub(super) struct Field {
    /// The zoo's program.
    pub(super) program: PathBuf,
    pub(super) python: OsString,
    /// What all are held to, as far as they can be; else each takes the best that it knows.
    pub(super) simd: Option<Simd>,
    pub(super) threads: usize,
    /// Timed answers at least, and seconds of them.
    pub(super) runs: usize,
    pub(super) seconds: f64,
}

impl Field {
    /// Asks whether the zoo knows these networks.
    pub(super) fn check(&self, networks: &[String]) -> Result<()> {
        let output = Command::new(&self.program).arg("check").args(networks).output();
        match read::<serde_json::Value>(output.context(UNSTARTED)?)? {
            Ok(_) => Ok(()),
            Err(reason) => bail!("{reason}"),
        }
    }

    /// Writes a network for all engines.
    pub(super) fn prepare(&self, network: &str, batch: u16, folder: &Path) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["prepare", network]).arg(folder).args(["--batch", &batch.to_string()]);
        match read::<serde_json::Value>(command.output().context(UNSTARTED)?)? {
            Ok(_) => Ok(()),
            Err(reason) => bail!("`{network}` can't be written: {reason}"),
        }
    }

    /// One process of the zoo's.
    pub(super) fn here(&self, network: &str, folder: &Path) -> Result<Measured> {
        let mut command = Command::new(&self.program);
        command.args(["run", network]).arg(folder);
        command.args(["--runs", &self.runs.to_string(), "--seconds", &self.seconds.to_string()]);
        // A trace of calls would be no part of the reason.
        command.env("RUST_LIB_BACKTRACE", "0").env("RAYON_NUM_THREADS", self.threads.to_string());
        command.stdin(Stdio::null());
        simd::hold(&mut command, self.simd);
        match read(command.output().context(UNSTARTED)?)? {
            Ok(measured) => Ok(measured),
            Err(reason) => bail!("the zoo can't answer with `{network}`: {reason}"),
        }
    }

    /// Makes of the network what an engine reads. The reason if that can't be done.
    pub(super) fn convert(&self, engine: Engine, folder: &Path) -> Result<(), String> {
        let mut command = self.script("convert", engine, folder);
        let output = command.output().map_err(|error| self.unstarted(&error))?;
        match read::<serde_json::Value>(output) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(reason)) => Err(reason),
            Err(error) => Err(error.to_string()),
        }
    }

    /// One process of an engine's. That it can't be run is an outcome too.
    pub(super) fn run(&self, engine: Engine, folder: &Path) -> Result<Outcome> {
        let mut command = self.script("run", engine, folder);
        command.args([self.threads.to_string(), self.runs.to_string(), self.seconds.to_string()]);
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return Ok(Outcome::Cannot { reason: self.unstarted(&error) }),
        };
        Ok(match read(output)? {
            Ok(measured) => Outcome::Measured(measured),
            Err(reason) => Outcome::Cannot { reason },
        })
    }

    fn script(&self, what: &str, engine: Engine, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(root().join("benches/peers/infer.py")).args([what, &engine.to_string()]).arg(folder);
        let threads = self.threads.to_string();
        command.env("OMP_NUM_THREADS", &threads).env("MKL_NUM_THREADS", threads).stdin(Stdio::null());
        simd::hold(&mut command, self.simd);
        command
    }

    fn unstarted(&self, error: &std::io::Error) -> String {
        let python = self.python.display();
        format!("`{python}` can't be started ({error}); name a Python that has the engines with --python")
    }
}

const UNSTARTED: &str = "the program `infer` can't be started";

/// What a process said with its last line, or why it said nothing of the kind.
fn read<T: for<'a> Deserialize<'a>>(output: std::process::Output) -> Result<Result<T, String>> {
    let line: serde_json::Value = match last_line(&output) {
        Ok(line) => line,
        Err(reason) => return Ok(Err(reason)),
    };
    if let Some(reason) = line["reason"].as_str() {
        return Ok(Err(reason.to_string()));
    }
    Ok(Ok(serde_json::from_value(line)?))
}
