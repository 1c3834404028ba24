//! `cargo xtask fetch-weights`: the weights that are published, brought here.

use std::process::ExitCode;

use anyhow::Result;
use zoo_weights::{FetchError, Fetcher, Listed, Manifest, Settings, Weights};

use crate::screen::Screen;

const EXAMPLES: &str = "\
Examples:
  cargo xtask fetch-weights resnet50              the default weights of an architecture
  cargo xtask fetch-weights resnet50.tv2_in1k     the weights of a tag
  cargo xtask fetch-weights --list resnet         what is published, and what is here
  cargo xtask fetch-weights --verify              read what is here again and check it

Hub files land in the Hugging Face cache (HF_HOME), .pth files in $TORCH_HOME/hub/checkpoints.
HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY and NO_PROXY are honoured.";

/// What `fetch-weights` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Tags or architectures; with --list, parts of tags
    #[arg(value_name = "TAG|MODEL")]
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
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
}

/// The call was wrong, as opposed to: the work failed.
const WRONG_CALL: u8 = 2;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let manifest = Manifest::published()?;
    let mut settings = Settings::from_env()?.with_mirror(args.mirror.clone());
    settings.offline |= args.offline;
    let fetcher = Fetcher::new(settings);
    let mut screen = Screen::new();
    if args.list {
        return list(&manifest, &fetcher, &args.names, &mut screen);
    }
    let chosen = if args.names.is_empty() {
        if !args.all && !args.verify {
            screen.error("name a tag or an architecture, or ask for --all or --list")?;
            return Ok(ExitCode::from(WRONG_CALL));
        }
        manifest.weights.iter().collect()
    } else {
        let found: Result<Vec<_>, _> = args.names.iter().map(|name| manifest.find(name)).collect();
        match found {
            Ok(found) => found,
            Err(unknown) => {
                screen.error(&unknown)?;
                return Ok(ExitCode::from(WRONG_CALL));
            }
        }
    };
    let mut all_well = true;
    for weights in chosen {
        all_well &= if args.verify {
            verify(weights, &fetcher, args.names.is_empty(), &mut screen)?
        } else {
            fetch(weights, &fetcher, &mut screen)?
        };
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fetch(weights: &Weights, fetcher: &Fetcher, screen: &mut Screen) -> Result<bool> {
    let outcome = fetcher.fetch(weights, &mut |event| screen.event(&weights.tag, &event));
    screen.clear()?;
    match outcome {
        Ok(here) => {
            let how = here.verified.map_or_else(|| "was here".into(), |by| by.to_string());
            screen.line(&format!("{}  {how}  {}", weights.tag, here.path.display()))?;
            Ok(true)
        }
        Err(error @ FetchError::BuiltIn { .. }) => {
            screen.line(&error)?;
            Ok(true)
        }
        Err(error) => {
            screen.error(&error)?;
            Ok(false)
        }
    }
}

fn verify(weights: &Weights, fetcher: &Fetcher, silent_if_absent: bool, screen: &mut Screen) -> Result<bool> {
    let checked = fetcher.verify(weights)?;
    if checked.is_empty() && !silent_if_absent {
        screen.line(&format!("{}  {}", weights.tag, weights.absence()))?;
    }
    let mut all_well = true;
    for file in checked {
        match &file.verdict {
            Ok(_) => screen.line(&format!("{}  {file}  {}", weights.tag, file.path.display()))?,
            Err(why) => {
                all_well = false;
                let path = file.path.display();
                screen.error(&format!(
                    "{path} is spoilt: {why}; remove it and fetch `{}` again",
                    weights.tag
                ))?;
            }
        }
    }
    Ok(all_well)
}

fn list(manifest: &Manifest, fetcher: &Fetcher, parts: &[String], screen: &mut Screen) -> Result<ExitCode> {
    let lines = fetcher.list(manifest, parts);
    if lines.is_empty() {
        screen.error(&format!("no tag contains {}; without a name --list shows all", parts.join(" or ")))?;
        return Ok(ExitCode::from(WRONG_CALL));
    }
    let head = Listed::HEAD.map(String::from);
    let rows: Vec<_> = std::iter::once(head).chain(lines.iter().map(Listed::cells)).collect();
    screen.table(&rows)?;
    Ok(ExitCode::SUCCESS)
}
