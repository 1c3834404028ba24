//! `cargo xtask fetch-weights`: the weights that are published, brought here.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use zoo_weights::{Digest, Event, FetchError, Fetcher, Manifest, Place, Settings, Source, Verified, Weights};

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
            let how = here.verified.map_or("was here", verified);
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
        screen.line(&format!("{}  is not here", weights.tag))?;
    }
    let mut all_well = true;
    for file in checked {
        match file.verdict {
            Ok(by) => screen.line(&format!("{}  {}  {}", weights.tag, verified(by), file.path.display()))?,
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
    let wanted = |tag: &str| parts.is_empty() || parts.iter().any(|part| tag.contains(part.as_str()));
    let mut rows =
        vec![["TAG", "HERE", "MB", "ACCURACY", "CHECKED BY", "LICENCE", "SOURCES"].map(String::from)];
    for weights in manifest.weights.iter().filter(|weights| wanted(&weights.tag)) {
        let first = weights.sources.first();
        let here = weights.built_in() || fetcher.locate(weights).is_some();
        let sources: Vec<_> = weights.sources.iter().map(host).collect();
        rows.push([
            weights.tag.clone(),
            if here { "yes" } else { "-" }.into(),
            first.and_then(|source| source.mib).map_or("-".into(), |mib| format!("{:.1}", mib * 1.048_576)),
            accuracy(weights),
            first.map_or("built in".into(), checked_by),
            weights.licence.clone(),
            sources.join(", "),
        ]);
    }
    if rows.len() == 1 {
        screen.error(&format!("no tag contains {}; without a name --list shows all", parts.join(" or ")))?;
        return Ok(ExitCode::from(WRONG_CALL));
    }
    screen.table(&rows)?;
    Ok(ExitCode::SUCCESS)
}

fn accuracy(weights: &Weights) -> String {
    let accuracy = &weights.accuracy;
    match (accuracy.top1, accuracy.miou) {
        (Some(top1), _) => format!("{top1:.3}"),
        (None, Some(miou)) => format!("{miou:.1} mIoU"),
        (None, None) => "-".into(),
    }
}

/// What will tell that the first source's file is the right one.
fn checked_by(source: &Source) -> String {
    match (&source.digest, &source.place) {
        (Some(Digest::Sha256(digits)), _) if digits.len() == 64 => "sha256".into(),
        (Some(Digest::Sha256(digits)), _) => format!("sha256 {digits}…"),
        (Some(Digest::Md5(_)), _) => "md5".into(),
        (None, Place::Hub { .. }) => "the hub's hash".into(),
        (None, Place::Url(_)) => "nothing".into(),
    }
}

fn host(source: &Source) -> String {
    match &source.place {
        // Neither the commit nor the content is fixed: what the branch has at the time is what comes.
        Place::Hub { repo, revision, .. } if revision == "main" && source.digest.is_none() => {
            format!("hub:{repo} (not pinned)")
        }
        Place::Hub { repo, .. } => format!("hub:{repo}"),
        Place::Url(url) => url.split('/').nth(2).unwrap_or(url).to_string(),
    }
}

fn verified(by: Verified) -> &'static str {
    match by {
        Verified::Publisher => "has the publisher's checksum",
        Verified::Hub => "has the hub's hash",
        Verified::Nobody => "is whole, and nobody publishes a checksum",
    }
}

/// Results go to standard output; what happens meanwhile and errors to standard error, with one line that is
/// written over where that is a terminal.
struct Screen {
    live: bool,
    /// Characters of the line that stands there.
    width: usize,
}

impl Screen {
    fn new() -> Self {
        Self { live: io::stderr().is_terminal(), width: 0 }
    }

    fn event(&mut self, tag: &str, event: &Event<'_>) {
        let text = match event {
            Event::Progress(_) if !self.live => return,
            Event::Progress(progress) => format!("{tag}  {progress}"),
            Event::Waiting => format!("{tag}  another process fetches it: waiting"),
            Event::Connecting { url } => format!("{tag}  {url}"),
            Event::Retrying { why, pause } => format!("{tag}  {why}: trying again in {} s", pause.as_secs()),
            Event::NextSource { why } => format!("{tag}  {why}: trying the next source"),
            _ => return,
        };
        // A screen that is gone is no reason to stop a transfer.
        let _ = self.overwrite(&text);
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

    fn clear(&mut self) -> io::Result<()> {
        if self.width > 0 {
            self.overwrite("")?;
            write!(io::stderr(), "\r")?;
            self.width = 0;
        }
        Ok(())
    }

    fn line(&mut self, text: &impl ToString) -> io::Result<()> {
        self.clear()?;
        writeln!(io::stdout(), "{}", text.to_string())
    }

    fn error(&mut self, text: &(impl ToString + ?Sized)) -> io::Result<()> {
        self.clear()?;
        writeln!(io::stderr(), "error: {}", text.to_string())
    }

    fn table(&mut self, rows: &[[String; 7]]) -> io::Result<()> {
        let mut widths = [0; 7];
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
