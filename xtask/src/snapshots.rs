//! `cargo xtask snapshots`: names, shapes and totals of every architecture, as blessed and as published.
//!
//! The comparison itself is the test `published` of `zoo`: it needs graphs, which this program does not compile.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Check or bless the parameter snapshots, and compare the totals with the published ones
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Take what the graphs say now as right, where it differs; totals that were published are still compared
    #[arg(long)]
    bless: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--quiet", "--package", "architecture-zoo", "--test", "it", "published::"])
        .env("INSTA_UPDATE", if args.bless { "always" } else { "no" })
        .status()
        .context("cargo can't be started; run this as `cargo xtask snapshots`")?;
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
