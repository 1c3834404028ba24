//! `cargo xtask docs`: the generated parts of the book.
//!
//! The work is done by the test `book` of `zoo-cli`: it needs the program `zoo`, which this one does not compile.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Write the generated parts of the book anew, or check them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only say what is stale
    #[arg(long)]
    check: bool,
    /// Also what is made by training, or depends on the machine in its last digits; takes minutes
    #[arg(long, conflicts_with = "check")]
    slow: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let wanted = match (args.check, args.slow) {
        (true, _) => "check",
        (_, true) => "slow",
        _ => "write",
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--quiet", "--package", "zoo-cli", "--test", "it", "book::"])
        .env("ZOO_BOOK", wanted)
        .status()
        .context("cargo can't be started; run this as `cargo xtask docs`")?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
