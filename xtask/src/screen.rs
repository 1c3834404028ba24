//! What is shown while something is fetched.

use std::io::{self, IsTerminal, Write};

use zoo_weights::Event;

/// What the library calls by its functions, and this program by a flag or a command.
const WORDS: [(&str, &str); 3] = [
    ("`Settings::mirror`", "--mirror"),
    ("`Manifest::published`", "`cargo xtask fetch-weights --list`"),
    ("`Fetcher::fetch`", "`cargo xtask fetch-weights`"),
];

/// The library's sentence in those words.
pub(crate) fn in_our_words(text: &str) -> String {
    WORDS.iter().fold(text.to_string(), |text, (theirs, ours)| text.replace(theirs, ours))
}

/// Results go to standard output; what happens meanwhile and errors to standard error, with one line that is
/// written over where that is a terminal.
pub(crate) struct Screen {
    live: bool,
    /// Characters of the line that stands there.
    width: usize,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { live: io::stderr().is_terminal(), width: 0 }
    }

    pub(crate) fn event(&mut self, tag: &str, event: &Event<'_>) {
        if matches!(event, Event::Progress(_)) && !self.live {
            return;
        }
        // A screen that is gone is no reason to stop a transfer.
        let _ = self.overwrite(&format!("{tag}  {event}"));
    }

    fn overwrite(&mut self, text: &str) -> io::Result<()> {
        let mut err = io::stderr().lock();
        if !self.live {
            return writeln!(err, "{text}");
        }
        let width = text.chars().count();
        write!(err, "\r{text}{}", " ".repeat(self.width.saturating_sub(width)))?;
        self.width = width;
        err.flush()
    }

    pub(crate) fn clear(&mut self) -> io::Result<()> {
        if self.width > 0 {
            self.overwrite("")?;
            write!(io::stderr(), "\r")?;
            self.width = 0;
        }
        Ok(())
    }

    pub(crate) fn line(&mut self, text: &impl ToString) -> io::Result<()> {
        self.clear()?;
        writeln!(io::stdout(), "{}", text.to_string())
    }

    pub(crate) fn error(&mut self, text: &(impl ToString + ?Sized)) -> io::Result<()> {
        self.clear()?;
        writeln!(io::stderr(), "error: {}", in_our_words(&text.to_string()))
    }

    pub(crate) fn table<const N: usize>(&mut self, rows: &[[String; N]]) -> io::Result<()> {
        let mut widths = [0; N];
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            self.line(&line.trim_end())?;
        }
        Ok(())
    }
}
