//! All that is printed, and the exit code.

use std::{
    borrow::Cow,
    io::{ErrorKind, IsTerminal, Write, stderr, stdout},
    path::Path,
    process::ExitCode,
};

use anyhow::{Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use zoo_data::shown;
use zoo_report::{Format, Table};

use crate::failure::{InPart, ReaderGone, is_wrong_call, sentence};

/// Characters in a line of the terminal, or `None` where there is none and nothing need be cut.
pub(crate) fn width() -> Option<usize> {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    // A shell that doesn't know says 0.
    let columns = columns.filter(|&columns: &usize| columns > 0);
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
    let (printed, failure) = match outcome {
        Ok(text) => (text, None),
        Err(error) if error.is::<ReaderGone>() => return ExitCode::SUCCESS,
        Err(error) => match error.downcast::<InPart>() {
            Ok(part) => (part.printed, Some(part.error)),
            Err(error) => (String::new(), Some(error)),
        },
    };
    let unprinted = say(&printed).err().filter(|error| !error.is::<ReaderGone>());
    let failures: Vec<anyhow::Error> = failure.into_iter().chain(unprinted).collect();
    for error in &failures {
        complain(&sentence(error));
    }
    match failures.first() {
        None => ExitCode::SUCCESS,
        Some(error) if is_wrong_call(error) => ExitCode::from(2),
        Some(_) => ExitCode::FAILURE,
    }
}

/// clap's own messages: help goes to stdout with 0, a wrong call to stderr with 2.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => {
            complain(&sentence(&unwritable(&fault)));
            ExitCode::FAILURE
        }
        // Whoever asked for help and reads no further has had it.
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

/// A bar for work that may take longer than a second, a count where nobody knows how much there is; it shows on a terminal only.
pub(crate) fn bar(length: Option<u64>, what: &'static str) -> ProgressBar {
    let (bar, template) = match length {
        Some(length) => (ProgressBar::new(length), "{bar:30} {pos}/{len} {msg}, {eta} left"),
        None => (ProgressBar::new_spinner(), "{spinner} {pos} {msg}, {elapsed} so far"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
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
///
/// # Errors
/// [`ReaderGone`], or that the output can't be written to.
pub(crate) fn say(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(harmless(text).as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        Err(error) => Err(unwritable(&error)),
    }
}

/// A word of a call as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:@%+=,".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn unwritable(error: &std::io::Error) -> anyhow::Error {
    anyhow!(
        "standard output can't be written to ({error}); part of the result is lost, so let it go elsewhere"
    )
}

/// A line for people beside the result.
pub(crate) fn note(text: &str) {
    // Nothing is left to do if even this can't be written; so for `complain`.
    let _ = writeln!(stderr(), "{}", harmless(&with_arguments_shown(text)));
}

fn complain(text: &str) {
    let red = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let head = if red { "\u{1b}[31merror:\u{1b}[0m" } else { "error:" };
    let _ = writeln!(stderr(), "{head} {}", harmless(&with_arguments_shown(text)));
}

/// The text without what a terminal obeys: only ends of lines and tabs are left of the
/// control characters. Names of classes
/// and tensors come from files that anybody may have written.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_obeyed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let escaped = |letter: char| match is_obeyed(letter) {
        // As in JSON, which may be what this is.
        true => format!("\\u{:04x}", u32::from(letter)),
        false => letter.into(),
    };
    text.chars().map(escaped).collect::<String>().into()
}

/// A message in which paths from the command line that hold control characters stand as they are shown.
fn with_arguments_shown(text: &str) -> String {
    let odd = std::env::args_os().skip(1).filter_map(|argument| argument.into_string().ok());
    odd.filter(|argument| argument.contains(char::is_control))
        .fold(text.to_string(), |text, argument| text.replace(&argument, &shown(Path::new(&argument))))
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn a_terminal_is_given_nothing_to_obey() {
        assert_eq!(harmless("cat\u{1b}[2J\u{9b}1m\r\ndog"), "cat\\u001b[2J\\u009b1m\\u000d\ndog");
        assert_eq!(harmless("Möwe\n"), "Möwe\n");
    }
}
