//! The zoo's chores, one file for each command.

mod average;
mod ci;
mod docs;
#[cfg(test)]
mod documented;
mod fetch_data;
mod fetch_weights;
mod goldens;
mod memory;
mod peers;
mod screen;
mod snapshots;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The zoo's chores", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Average(average::Args),
    Ci(ci::Args),
    Docs(docs::Args),
    /// Fetch or list data sets that have a public address
    FetchData(fetch_data::Args),
    /// Fetch, list or verify published weights
    FetchWeights(fetch_weights::Args),
    Goldens(goldens::Args),
    Memory(memory::Args),
    Peers(peers::Args),
    Snapshots(snapshots::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Average(args) => average::run(&args),
        Command::Ci(args) => ci::run(&args),
        Command::Docs(args) => docs::run(&args),
        Command::FetchData(args) => fetch_data::run(&args),
        Command::FetchWeights(args) => fetch_weights::run(&args),
        Command::Goldens(args) => goldens::run(&args),
        Command::Memory(args) => memory::run(&args),
        Command::Peers(args) => peers::run(&args),
        Command::Snapshots(args) => snapshots::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        // Whoever reads our output has read enough.
        let cause = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if cause == Some(std::io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        print_error(&error);
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stderr)]
fn print_error(error: &anyhow::Error) {
    eprintln!("error: {}", screen::in_our_words(&format!("{error:#}")));
}
