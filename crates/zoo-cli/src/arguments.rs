//! The command line as clap sees it.

use clap::{Args, Parser, Subcommand, ValueEnum};
use zoo_report::Format;

use crate::commands;

/// The convolutional networks that made deep vision: what they cost, what they see.
#[derive(Debug, Parser)]
#[command(name = "zoo", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(commands::list::Arguments),
    Summary(commands::summary::Arguments),
    Compare(commands::compare::Arguments),
    Advise(commands::advise::Arguments),
    Diagram(commands::diagram::Arguments),
    Predict(commands::predict::Arguments),
    Segment(commands::segment::Arguments),
    Features(commands::features::Arguments),
    Explain(commands::explain::Arguments),
    Train(commands::train::Arguments),
    Finetune(commands::finetune::Arguments),
    Eval(commands::eval::Arguments),
    Bench(commands::bench::Arguments),
    Convert(commands::convert::Arguments),
    Export(commands::export::Arguments),
    Fetch(commands::fetch::Arguments),
    Completions(commands::completions::Arguments),
    Man(commands::man::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> anyhow::Result<String> {
        match self {
            Self::List(arguments) => arguments.run(),
            Self::Summary(arguments) => arguments.run(),
            Self::Compare(arguments) => arguments.run(),
            Self::Advise(arguments) => arguments.run(),
            Self::Diagram(arguments) => arguments.run(),
            Self::Predict(arguments) => arguments.run(),
            Self::Segment(arguments) => arguments.run(),
            Self::Features(arguments) => arguments.run(),
            Self::Explain(arguments) => arguments.run(),
            Self::Train(arguments) => arguments.run(),
            Self::Finetune(arguments) => arguments.run(),
            Self::Eval(arguments) => arguments.run(),
            Self::Bench(arguments) => arguments.run(),
            Self::Convert(arguments) => arguments.run(),
            Self::Export(arguments) => arguments.run(),
            Self::Fetch(arguments) => arguments.run(),
            Self::Completions(arguments) => arguments.run(),
            Self::Man(arguments) => arguments.run(),
        }
    }
}

/// How tables are printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatName {
    Table,
    Json,
    /// Plain numbers: bytes, and shares of 1
    Csv,
    Markdown,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FormatArgument {
    /// How to print
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: FormatName,
}

impl From<FormatArgument> for Format {
    fn from(argument: FormatArgument) -> Self {
        argument.format.into()
    }
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Table => Self::Table,
            FormatName::Json => Self::Json,
            FormatName::Csv => Self::Csv,
            FormatName::Markdown => Self::Markdown,
        }
    }
}

/// How commands print that have something to say of each picture.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StreamFormatName {
    Table,
    Json,
    /// A JSON object on a line for each picture, as soon as it is known
    Jsonl,
    /// Plain numbers: shares of 1
    Csv,
    Markdown,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct StreamFormatArgument {
    /// How to print
    #[arg(long, value_enum, default_value = "table", value_name = "FORMAT")]
    format: StreamFormatName,
}

impl StreamFormatArgument {
    /// The format of all that is printed at the end; none if each line is printed when it is known.
    pub(crate) fn at_the_end(self) -> Option<Format> {
        Some(match self.format {
            StreamFormatName::Table => Format::Table,
            StreamFormatName::Json => Format::Json,
            StreamFormatName::Jsonl => return None,
            StreamFormatName::Csv => Format::Csv,
            StreamFormatName::Markdown => Format::Markdown,
        })
    }
}
