//! `zoo completions`: what a shell needs to complete calls.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::arguments::Cli;

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        zoo completions bash > ~/.local/share/bash-completion/completions/zoo\n  \
                        zoo completions zsh > ~/.zfunc/_zoo\n  \
                        zoo completions fish > ~/.config/fish/completions/zoo.fish")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "zoo", &mut script);
        Ok(String::from_utf8(script)?)
    }
}
