//! `cargo xtask ci`: what must pass before a change is sent.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::peers::root;

/// Format, lints, docs and tests, as CI runs them (`.ci/run`)
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<ExitCode> {
    let status = Command::new("bash")
        .arg(root().join(".ci/run"))
        .status()
        .context("`bash` can't be started; `.ci/run` names the four steps")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
