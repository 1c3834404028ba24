//! What all commands share that run a network: its weights, threads and device.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use zoo::{Cut, Model, Network};

use crate::failure::{OrWrongCall, WrongCall};

/// Which weights, how many threads, where.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// A file of weights, instead of the published or built-in ones
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Use only what is on this machine
    #[arg(long)]
    #[expect(dead_code, reason = "nothing is fetched yet, so everything is offline")]
    offline: bool,
    #[command(flatten)]
    machine: MachineArguments,
}

/// How many threads, where.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArguments {
    /// Threads to compute with; all cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// cpu, cuda:N or metal
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
}

/// What the thread pools read, once, before their first use.
const THREADS: &str = "RAYON_NUM_THREADS";

impl MachineArguments {
    /// Settles threads and device; to be called before anything is computed.
    pub(crate) fn settle(&self) -> Result<candle_core::Device> {
        if let Some(threads) = self.threads {
            restart_with(threads)?;
        }
        let unavailable = |feature: &str| {
            WrongCall(anyhow!(
                "this program was built without `{feature}`, so `--device {}` can't be had; build it with \
                 `--features {feature}`, or leave the flag out",
                self.device
            ))
        };
        match self.device.split_once(':').unwrap_or((&self.device, "0")) {
            ("cpu", _) => Ok(candle_core::Device::Cpu),
            ("cuda", _) if !candle_core::utils::cuda_is_available() => Err(unavailable("cuda").into()),
            ("metal", _) if !candle_core::utils::metal_is_available() => Err(unavailable("metal").into()),
            ("cuda", ordinal) => {
                let ordinal =
                    ordinal.parse().context("write the device as cuda:0, cuda:1, …").or_wrong_call()?;
                Ok(candle_core::Device::new_cuda(ordinal)?)
            }
            ("metal", _) => Ok(candle_core::Device::new_metal(0)?),
            _ => Err(WrongCall(anyhow!(
                "there is no device `{}`; give `cpu`, `cuda:0` or `metal`",
                self.device
            ))
            .into()),
        }
    }
}

/// The thread pools take their size from the environment at first use, so the program starts over with it set.
fn restart_with(threads: u16) -> Result<()> {
    if std::env::var(THREADS).is_ok_and(|value| value == threads.to_string()) {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe().context("the program can't find itself")?);
    command.args(std::env::args_os().skip(1)).env(THREADS, threads.to_string());
    let status =
        command.status().context("the program can't be started again with another number of threads")?;
    std::process::exit(status.code().unwrap_or(1));
}

/// The model a caller named.
pub(crate) fn model(name: &str) -> Result<Model> {
    zoo::model(name).map_err(|error| match error {
        zoo::Error::UnknownModel { .. } => WrongCall(error.into()).into(),
        other => other.into(),
    })
}

impl RunArguments {
    /// Settles the machine and finds the model that a caller named.
    pub(crate) fn model(&self, name: &str) -> Result<Model> {
        let device = self.machine.settle()?;
        Ok(model(name)?.on(device))
    }

    /// The whole network with its weights.
    pub(crate) fn load(&self, model: &Model) -> Result<Network> {
        Ok(match &self.weights {
            Some(path) => model.weights(path)?,
            None => model.pretrained()?,
        })
    }

    /// A part of a network with its weights.
    pub(crate) fn load_cut(&self, cut: &Cut<'_>) -> Result<Network> {
        Ok(match &self.weights {
            Some(path) => cut.weights(path)?,
            None => cut.pretrained()?,
        })
    }
}

/// A path as people read it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
