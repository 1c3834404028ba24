//! `zoo`, the architecture zoo on the command line.
//!
//! A command is a file in `commands`: its arguments, and a function that does the work and returns what to
//! print. Only this file and `output` print.

mod arguments;
mod commands;
#[cfg(test)]
mod documented;
mod facts;
mod failure;
mod fetching;
mod hints;
mod learning;
mod options;
mod output;
mod pictures;
mod plot;
mod running;
mod size;
mod triton;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = match arguments::Cli::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return output::usage(&error),
    };
    if let Some(warning) = &zoo_kernels::selection().warning {
        output::note(&format!("warning: {warning}"));
    }
    output::finish(arguments.command.run())
}
