//! All that is printed, and the exit code.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    process::ExitCode,
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use zoo_report::{Format, Table};

use crate::failure::{InPart, WrongCall, sentence};

/// Characters in a line of the terminal, or `None` where there is none and nothing need be cut.
pub(crate) fn width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    match stdout().is_terminal() {
        true => columns.or_else(terminal),
        false => columns,
    }
}

/// A table in the wanted format; `json` gives its JSON value and `after` the lines below it for people.
pub(crate) fn table(
    format: Format,
    table: &Table,
    json: impl FnOnce() -> Result<String>,
    after: impl FnOnce() -> String,
) -> Result<String> {
    Ok(match format {
        Format::Json => json()? + "\n",
        Format::Csv => table.csv(),
        Format::Markdown => table.markdown(),
        Format::Table => table.text(width()) + &after(),
    })
}

/// Prints what a command returned, or why it failed, and tells the shell.
pub(crate) fn finish(outcome: Result<String>) -> ExitCode {
    match outcome {
        Ok(text) => print(&text),
        Err(error) => {
            if let Some(part) = error.downcast_ref::<InPart>() {
                print(&part.printed);
            }
            complain(&sentence(&error));
            ExitCode::from(if error.is::<WrongCall>() { 2 } else { 1 })
        }
    }
}

/// clap's own messages: help goes to stdout with 0, a wrong call to stderr with 2.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
        Err(_) => ExitCode::FAILURE,
    }
}

/// A bar for work that may take longer than a second; it shows on a terminal only.
pub(crate) fn bar(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.with_message(what)
}

/// A sign of life for work of which no one knows how long it takes.
pub(crate) fn spinner(what: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(std::time::Duration::from_millis(120));
    spinner
}

/// Prints a part of the result before the rest is done.
pub(crate) fn say(text: &str) {
    // A reader that is gone is no reason to stop the work.
    let _ = print(text);
}

/// A line for people beside the result.
pub(crate) fn note(text: &str) {
    let _ = writeln!(stderr(), "{text}");
}

fn print(text: &str) -> ExitCode {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough: `zoo list | head`.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(text: &str) {
    let red = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let head = if red { "\u{1b}[31merror:\u{1b}[0m" } else { "error:" };
    // Nothing is left to do if even this can't be written.
    let _ = writeln!(stderr(), "{head} {text}");
}
