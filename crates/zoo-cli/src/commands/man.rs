//! `zoo man`: manual pages, one for the program and one for each command.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_mangen::Man;
use zoo_data::shown;

use crate::{arguments::Cli, running::writable};

/// Write the manual's pages into a folder
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        zoo man ~/.local/share/man/man1     (then: man zoo, man zoo-predict)")]
pub(crate) struct Arguments {
    /// The folder; it is made if it isn't there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        std::fs::create_dir_all(&self.folder)
            .with_context(|| format!("the folder {} can't be made; name another", shown(&self.folder)))?;
        // Built, the commands know their whole names: `zoo-predict`.
        let mut program = Cli::command();
        program.build();
        let commands = program.get_subcommands().filter(|command| command.get_name() != "help").cloned();
        let pages: Vec<clap::Command> = std::iter::once(program.clone()).chain(commands).collect();
        let mut written = String::new();
        for page in pages {
            let name = page.get_display_name().unwrap_or(page.get_name());
            let path = self.folder.join(format!("{name}.1"));
            let mut text = Vec::new();
            Man::new(page).render(&mut text)?;
            writable(&path)?
                .write(|out| out.write_all(&text))
                .with_context(|| format!("{} can't be written", shown(&path)))?;
            written += &format!("{}\n", shown(&path));
        }
        Ok(written)
    }
}
