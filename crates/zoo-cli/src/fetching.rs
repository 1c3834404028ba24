//! Transfers as people see them: a bar on a terminal, lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use zoo_weights::Event;

use crate::output;

/// Shows what a transfer tells.
pub(crate) struct Screen {
    bar: ProgressBar,
    live: bool,
    /// Whether there is something to be told where no bar can be shown.
    talks: bool,
}

impl Screen {
    /// For a command that fetches by the way: without a terminal it is silent.
    pub(crate) fn by_the_way() -> Self {
        Self { talks: false, ..Self::new() }
    }

    /// For a command that only fetches: without a terminal it tells all but the progress, line by line.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        style(&bar, "{spinner} {wide_msg}");
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { bar, live: stderr().is_terminal(), talks: true }
    }

    /// Shows what happens to the weights called `tag`.
    pub(crate) fn event(&self, tag: &str, event: &Event<'_>) {
        match event {
            Event::Progress(progress) if self.live => {
                if progress.total.is_some() {
                    style(&self.bar, "{bar:30} {wide_msg}");
                }
                self.bar.set_length(progress.total.unwrap_or_default());
                self.bar.set_position(progress.done);
                self.bar.set_message(format!("{tag}  {progress}"));
            }
            Event::Progress(_) => {}
            Event::Retrying { .. } | Event::NextSource { .. } if self.live => {
                self.bar.println(format!("{tag}  {event}"));
            }
            _ if self.live => self.bar.set_message(format!("{tag}  {event}")),
            _ if self.talks => output::note(&format!("{tag}  {event}")),
            _ => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// What does not fit the terminal's line is cut.
fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// The address of a mirror.
pub(crate) fn parse_mirror(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        Some(("http" | "https", host)) if !host.is_empty() => Ok(text.into()),
        _ => Err("write the address of a server, http://host:port or https://host".into()),
    }
}
