//! Pictures with their classes, in parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use zoo_data::{Dataset, Finding, Listing, Part, Pattern, Pipeline, Shares, Split, bundled_digits, shown};
use zoo_train::RunFolder;

use crate::output;

/// Where a split is written down.
const SPLIT: &str = "split.json";

/// Which pictures, and how they are parted.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArguments {
    /// A folder with a folder for each class (or with train, val and test), a CSV of paths and labels, IDX or CIFAR files
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// The share of the pictures that the best network is chosen by
    #[arg(long, value_name = "SHARE")]
    validation: Option<f64>,
    /// The share of the pictures that it is tested on, once, at the end
    #[arg(long, value_name = "SHARE")]
    test: Option<f64>,
    /// What files have in common that belong together, in parentheses: "*-(*).png" keeps google-1f600.png and
    /// twitter-1f600.png on one side
    #[arg(long, value_name = "PATTERN")]
    group_by: Option<Pattern>,
    /// End at the first picture that can't be read, instead of counting them
    #[arg(long)]
    pub(crate) strict: bool,
}

impl DataArguments {
    /// How the pictures are parted. Digits have parts of their own, and nothing to choose by unless it is asked for.
    pub(crate) fn shares(&self, seed: u64) -> Shares {
        let usual = Shares::default();
        let validation = if self.data.is_none() { 0.0 } else { usual.validation };
        Shares {
            validation: self.validation.unwrap_or(validation),
            test: self.test.unwrap_or(usual.test),
            seed,
            group_by: self.group_by.clone(),
        }
    }
}

/// Whatever data lies at a path; without one, the digits inside the program.
pub(crate) fn open(path: Option<&Path>) -> Result<Arc<dyn Dataset>> {
    match path {
        Some(path) => Ok(zoo_data::open(path)?),
        None => Ok(Arc::new(bundled_digits()?)),
    }
}

/// A data set in its parts.
pub(crate) struct Parts {
    pub(crate) data: Arc<dyn Dataset>,
    pub(crate) listing: Listing,
    split: Split,
}

impl Parts {
    /// Parts the data as the folder's split says, or as `shares` does.
    pub(crate) fn new(data: Arc<dyn Dataset>, shares: &Shares, folder: Option<&RunFolder>) -> Result<Self> {
        let path = folder.map(|folder| folder.path().join(SPLIT));
        let (listing, split, findings) = match path.filter(|path| path.exists()) {
            Some(path) => {
                let text = std::fs::read_to_string(&path).with_context(|| shown(&path))?;
                let listing: Listing = serde_json::from_str(&text).with_context(|| shown(&path))?;
                let found = data.fingerprint()?;
                if found != listing.fingerprint {
                    return Err(anyhow!(
                        "the data has changed since the run began (its fingerprint is {found}, and was {}); bring it \
                         back, or begin another run",
                        listing.fingerprint
                    ));
                }
                let (split, findings) = listing.resolve(&*data)?;
                (listing, split, findings)
            }
            None => {
                let (split, findings) = Split::draw(&*data, shares)?;
                (split.listing(&*data, shares)?, split, findings)
            }
        };
        for finding in data.findings().iter().chain(&findings) {
            say(finding);
        }
        Ok(Self { data, listing, split })
    }

    /// Writes down how the data was parted.
    pub(crate) fn write(&self, folder: &RunFolder) -> Result<()> {
        Ok(folder.write(SPLIT, &(serde_json::to_string_pretty(&self.listing)? + "\n"))?)
    }

    /// How many pictures a part has.
    pub(crate) fn count(&self, part: Part) -> usize {
        self.split.part(part).len()
    }

    /// A part's pictures; none if there are none.
    pub(crate) fn part(&self, part: Part) -> Result<Option<Arc<dyn Dataset>>> {
        match self.split.part(part).is_empty() {
            true => Ok(None),
            false => Ok(Some(Arc::new(self.split.subset(self.data.clone(), part)?))),
        }
    }
}

fn say(finding: &Finding) {
    output::note(&finding.to_string());
}

/// A loader for tests: every picture once, in order.
pub(crate) fn testing(
    data: Arc<dyn Dataset>,
    pipeline: Pipeline,
    batch: usize,
    strict: bool,
) -> Result<zoo_data::Loader> {
    let options = zoo_data::LoaderOptions {
        strict,
        workers: crate::running::threads(),
        ..zoo_data::LoaderOptions::testing(batch)
    };
    Ok(zoo_data::Loader::new(data, pipeline, options)?)
}
