//! `zoo fetch`: published weights, brought here.

use anyhow::{Result, anyhow, bail};
use clap::Args;
use zoo_data::shown;
use zoo_report::{Align, Format, Table};
use zoo_weights::{FetchError, Fetcher, Listed, Manifest, Settings, Weights};

use crate::{
    arguments::FormatName,
    failure::{OrWrongCall, WrongCall, sentence},
    fetching::{Screen, parse_mirror},
    output,
};

/// Fetch published weights, list or verify them
///
/// They are checked while they come, gone on with after an interruption, and land where other tools of the field
/// look: files of the hub in the Hugging Face cache (HF_HOME), .pth files in $TORCH_HOME/hub/checkpoints, .h5 files
/// in $KERAS_HOME/models. HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY and NO_PROXY are honoured.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        zoo fetch resnet50                    the default weights of an architecture\n  \
                        zoo fetch resnet50.tv2_in1k           the weights of a tag\n  \
                        zoo fetch --list resnet               what is published, and what is here\n  \
                        zoo fetch --verify                    read what is here again and check it")]
pub(crate) struct Arguments {
    /// Architectures or tags; with --list, parts of tags
    #[arg(value_name = "MODEL|TAG")]
    names: Vec<String>,
    /// List the weights that are published
    #[arg(long, conflicts_with_all = ["verify", "all"])]
    list: bool,
    /// Read the weights that are here again, and check them
    #[arg(long, conflicts_with = "all")]
    verify: bool,
    /// Fetch the weights of every tag
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Never use the network
    #[arg(long)]
    offline: bool,
    /// Take every file from this server
    #[arg(long, value_name = "URL", value_parser = parse_mirror)]
    mirror: Option<String>,
    /// How to print the list
    #[arg(long, value_enum, value_name = "FORMAT", requires = "list")]
    format: Option<FormatName>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let manifest = Manifest::published()?;
        let mut settings = Settings::from_env()?.with_mirror(self.mirror.clone());
        settings.offline |= self.offline;
        let fetcher = Fetcher::new(settings);
        if self.list {
            return self.list(&fetcher.list(&manifest, &self.names));
        }
        let chosen: Vec<&Weights> = match self.names.is_empty() {
            true if self.all || self.verify => manifest.weights.iter().collect(),
            true => {
                return Err(anyhow!("name an architecture or a tag, or ask for --all or --list"))
                    .or_wrong_call();
            }
            false => {
                let found: Result<Vec<_>, _> = self.names.iter().map(|name| manifest.find(name)).collect();
                found.or_wrong_call()?
            }
        };
        let mut faults = Vec::new();
        for weights in chosen {
            let screen = Screen::new();
            let outcome = match self.verify {
                true => self.verify(weights, &fetcher),
                false => fetch(weights, &fetcher, &screen),
            };
            screen.clear();
            // What is done is told at once: the next may take an hour.
            match outcome {
                Ok(line) => output::say(&line)?,
                Err(error) => faults.push(sentence(&error)),
            }
        }
        match faults.as_slice() {
            [] => Ok(String::new()),
            [only] => bail!("{only}"),
            all => bail!("{} of the weights are not well:\n  {}", all.len(), all.join("\n  ")),
        }
    }

    fn list(&self, lines: &[Listed]) -> Result<String> {
        if lines.is_empty() {
            let parts = self.names.join(" or ");
            return Err(WrongCall(anyhow!("no tag contains {parts}; without a name --list shows all")).into());
        }
        let format: Format = self.format.unwrap_or(FormatName::Table).into();
        let table = match format {
            Format::Csv => records(lines),
            Format::Table | Format::Markdown | Format::Json => table(lines),
        };
        let json = || Ok(serde_json::to_string_pretty(lines)?);
        output::table(format, &table, json, String::new)
    }

    /// What a second look at the weights finds: a line for each file.
    fn verify(&self, weights: &Weights, fetcher: &Fetcher) -> Result<String> {
        let tag = &weights.tag;
        let checked = fetcher.verify(weights)?;
        if checked.is_empty() && !self.names.is_empty() {
            return Ok(format!("{tag}  {}\n", weights.absence()));
        }
        let mut lines = String::new();
        for file in checked {
            let path = shown(&file.path);
            match &file.verdict {
                Ok(_) => lines += &format!("{tag}  {file}  {path}\n"),
                Err(why) => bail!("{path} is spoilt: {why}; remove it and fetch `{tag}` again"),
            }
        }
        Ok(lines)
    }
}

/// The list for people.
fn table(lines: &[Listed]) -> Table {
    let align = |name: &str| if matches!(name, "MB" | "accuracy") { Align::Right } else { Align::Left };
    let mut table = Table::new(&Listed::HEAD.map(|name| (name, align(name))), 6);
    for line in lines {
        table.push(line.cells());
    }
    table
}

/// The list for programs: JSON's fields, empty where there is nothing; sources with what checks them, apart by semicolons.
fn records(lines: &[Listed]) -> Table {
    let names = ["tag", "here", "megabytes", "top1", "miou", "accuracy_source", "licence", "sources"];
    let mut table = Table::new(&names.map(|name| (name, Align::Left)), 0);
    let number = |value: &Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for Listed { tag, here, megabytes, top1, miou, accuracy_source, licence, sources } in lines {
        let sources = sources.iter().map(|source| format!("{} ({})", source.at, source.checked_by));
        table.push([
            tag.clone(),
            here.to_string(),
            number(megabytes),
            number(top1),
            number(miou),
            accuracy_source.clone().unwrap_or_default(),
            licence.clone(),
            sources.collect::<Vec<_>>().join("; "),
        ]);
    }
    table
}

fn fetch(weights: &Weights, fetcher: &Fetcher, screen: &Screen) -> Result<String> {
    let tag = &weights.tag;
    match fetcher.fetch(weights, &mut |event| screen.event(tag, &event)) {
        Ok(here) => {
            let how = here.verified.map_or_else(|| "was here".into(), |by| by.to_string());
            Ok(format!("{tag}  {how}  {}\n", shown(&here.path)))
        }
        Err(error @ FetchError::BuiltIn { .. }) => Ok(format!("{error}\n")),
        Err(error) => Err(error.into()),
    }
}
