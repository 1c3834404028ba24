//! Pictures with their classes, in parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use zoo::Model;
use zoo_data::{
    Dataset, Finding, Listing, Part, Pattern, Pipeline, Scenes, Shares, Split, Stored, bundled_digits,
    scenes, shown,
};
use zoo_train::RunFolder;

use super::StagePlan;
use crate::{failure::OrWrongCall, output, running};

/// Where a split is written down.
const SPLIT: &str = "split.json";

/// Which pictures, and how they are parted.
#[derive(Clone, Debug, Args)]
pub(crate) struct DataArguments {
    /// A folder with a folder for each class (or with train, val and test), a CSV of paths and labels, IDX or CIFAR files;
    /// for segmentation a folder with images and masks, or as PASCAL VOC's
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
    /// Says which of the shares that were asked for don't count, since the data has that part.
    pub(crate) fn tell_unused(&self, data: &dyn Dataset) {
        let asked = [("--validation", Part::Validation, self.validation), ("--test", Part::Test, self.test)];
        for (flag, part, _) in asked.into_iter().filter(|(.., share)| share.is_some()) {
            if (0..data.len()).any(|index| data.part(index) == Some(part)) {
                output::note(&format!(
                    "the data has a {part} part, which stays as it is: `{flag}` doesn't count"
                ));
            }
        }
    }

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

/// Whatever data lies at a path; without one, the digits inside the program, or for a network that gives each pixel a class
/// scenes of them, of the network's size whatever the plan's.
pub(crate) fn open(path: Option<&Path>, model: &Model, scenes: scenes::Plan) -> Result<Arc<dyn Dataset>> {
    open_by(path, model, scenes, zoo_data::open)
}

/// The same for a network that has learned: pictures of one class will do.
pub(crate) fn open_to_judge(path: Option<&Path>, model: &Model) -> Result<Arc<dyn Dataset>> {
    open_by(path, model, scenes::Plan::default(), zoo_data::open_any)
}

fn open_by(
    path: Option<&Path>,
    model: &Model,
    scenes: scenes::Plan,
    open: fn(&Path) -> zoo_data::Result<Arc<dyn Dataset>>,
) -> Result<Arc<dyn Dataset>> {
    let segments = model.check_segments().is_ok();
    let data: Arc<dyn Dataset> = match path {
        Some(path) => open(path)?,
        None if segments => {
            let [height, width] = model.graph()?.input().size();
            Arc::new(Scenes::new(scenes::Plan { size: (height, width), ..scenes })?)
        }
        None => Arc::new(bundled_digits()?),
    };
    let (name, place) = (model.architecture().name, path.map_or_else(|| "the program".into(), shown));
    match (data.has_masks(), segments) {
        (true, false) => Err(anyhow!(
            "the pictures in {place} have masks, a class for each pixel, and `{name}` gives a picture one class; take a \
             network for segmentation (`fcn8s`, `fcn_resnet50`, `fcn_digits`), or a folder with a folder for each class"
        ))
        .or_wrong_call(),
        (false, true) => Err(anyhow!(
            "`{name}` gives each pixel a class, and the pictures in {place} have no masks; give pictures with masks, in \
             `images` and `masks` or as PASCAL VOC has them, in `JPEGImages` and `SegmentationClass`"
        ))
        .or_wrong_call(),
        _ => Ok(data),
    }
}

/// That classes can be drawn alike often, where a recipe wants that.
pub(crate) fn check_sampling(data: &dyn Dataset, stages: &[StagePlan]) -> Result<()> {
    match data.has_masks() && stages.iter().any(|stage| stage.recipe.balanced) {
        true => Err(anyhow!(
            "`--balanced` draws pictures by their class, and these have a class for each pixel; `--weigh-classes` lets classes \
             count alike"
        ))
        .or_wrong_call(),
        false => Ok(()),
    }
}

/// Reads every picture once where that saves a run: one that is `strict` would end at the first bad picture, be it of the test
/// part when all is learned, and a mask that doesn't fit is found only then. Tells what is wrong. What is made, and not read,
/// is well.
pub(crate) fn check_readable(data: &dyn Dataset, strict: bool) -> Result<()> {
    let is_file = |data: &dyn Dataset| matches!(data.stored(0), Ok(Stored::File(_)) | Err(_));
    if data.is_empty() || !(strict || data.has_masks()) || !is_file(data) {
        return Ok(());
    }
    let faults = zoo_data::unreadable(data, running::threads());
    if let (Some(first), true) = (faults.first(), strict || faults.len() == data.len()) {
        return Err(anyhow!(
            "{} of {} pictures can't be learned from; the first: {}",
            faults.len(),
            data.len(),
            first.why
        ));
    }
    for fault in faults.iter().take(running::REPORTED) {
        output::note(&format!("left out: {}", fault.why));
    }
    if faults.len() > running::REPORTED {
        output::note(&format!("left out: {} pictures more", faults.len() - running::REPORTED));
    }
    Ok(())
}

/// A data set in its parts.
pub(crate) struct Parts {
    pub(crate) data: Arc<dyn Dataset>,
    pub(crate) listing: Listing,
    split: Split,
}

impl Parts {
    /// Parts the data as the folder's split says, or as `shares` does.
    pub(crate) fn new(
        data: Arc<dyn Dataset>,
        shares: &Shares,
        folder: Option<&RunFolder>,
        strict: bool,
    ) -> Result<Self> {
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
        tell(data.findings().iter().chain(&findings), strict)?;
        Ok(Self { data, listing, split })
    }

    /// Writes down how the data was parted where a run that was killed had no time to.
    pub(crate) fn write_missing(&self, folder: &RunFolder) -> Result<()> {
        if folder.path().join(SPLIT).exists() { Ok(()) } else { self.write(folder) }
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

/// Tells what is worth saying of data; of what can't be taken, the first is an error for whoever is strict.
pub(crate) fn tell<'f>(findings: impl Iterator<Item = &'f Finding>, strict: bool) -> Result<()> {
    for finding in findings {
        if let (Finding::LeftOut(left_out), true) = (finding, strict) {
            return Err(anyhow!("{left_out}"));
        }
        output::note(&finding.to_string());
    }
    Ok(())
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
