//! `zoo eval`: how well a network tells pictures apart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use zoo::{Model, Network};
use zoo_data::{Dataset, Finding, Listing, Part, Skipped, Split, Subset, Views, mask, match_classes, shown};
use zoo_report::{Align, Cell, Table};
use zoo_train::Confusion;

use crate::{
    arguments::StreamFormatArgument,
    failure::OrWrongCall,
    learning::{Looks, check_pictures, judge, judge_pixels, open_to_judge, pixels, score, tell},
    options::OptionArguments,
    output,
    running::{RunArguments, taught},
    size::parse_size,
};

/// Say how well a network tells pictures apart
///
/// On pictures in folders, a table, IDX or CIFAR files: the share whose class was the likeliest, and among the five
/// likeliest, for each class too, the confusion and the calibration error. Classes are matched by name; ImageNet's synset
/// names are known. Pictures that can't be read are listed and don't count. With --format jsonl there is a line for each
/// picture as soon as it is known, {"path", "model", "label", "rank", "top"} or {"path", "error"}, in the data's order.
///
/// Of a network for segmentation and pictures with masks: the share of pixels that were given their class, its mean over
/// the classes, and the intersection over union of each class, their mean, and weighted by the classes' pixels (Long et al.
/// 2015, section 5). Pictures are answered whole, in their own size. Lines of --format jsonl have the same figures for each.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo eval resnet50 --data imagenet/val\n  \
                        zoo eval run/best.safetensors --data photos/ --split run/split.json\n  \
                        zoo eval lenet5 --data mnist/ --format json\n  \
                        zoo eval alexnet --data imagenet/val --crops 10\n  \
                        zoo eval resnet50 --data photos/ --format jsonl\n  \
                        zoo eval fcn_resnet50 --data VOCdevkit/VOC2012 --part validation\n  \
                        zoo eval digits")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// A folder with a folder for each class (or with train, val and test), a CSV of paths and labels, IDX or CIFAR files;
    /// for segmentation a folder with images and masks, or as PASCAL VOC's; without it the 1,000 test digits inside the program,
    /// or 500 scenes of them
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// How a run parted the data: its split.json
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    /// Which part [default: test if there is one, else all]
    #[arg(long, value_enum, value_name = "PART")]
    part: Option<PartName>,
    /// Answer with the mean over each picture and its mirror image
    #[arg(long)]
    flip: bool,
    /// Answer with the mean over so many pieces of each picture: 1 the centre, 5 the corners and the centre, 10 those and
    /// their mirror images
    #[arg(long, default_value = "1", value_name = "1|5|10", value_parser = parse_crops)]
    crops: u8,
    /// Pictures at once [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: Option<u32>,
    /// Of segmentation: the memory that an answer may take beside the weights [default: 2GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    memory: Option<u64>,
    /// End at the first picture that can't be read, instead of counting them
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    format: StreamFormatArgument,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PartName {
    Train,
    Validation,
    Test,
    All,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = self.options.asked(self.run.model(&self.model)?).or_wrong_call()?;
        let whole = open_to_judge(self.data.as_deref(), &model)?;
        let (data, findings) = part(whole, self.part, self.split.as_deref())?;
        tell(findings.iter(), self.strict)?;
        let left_out = left_out(&findings);
        if data.has_masks() {
            return self.pixels(&model, &*data, &left_out);
        }
        model.check_classifies().or_wrong_call()?;
        if self.memory.is_some() {
            return Err(anyhow!("`--memory` is for networks that give every pixel a class; leave it out"))
                .or_wrong_call();
        }
        check_pictures(&model.graph().or_wrong_call()?, self.batch())?;
        let network = self.run.load(&model)?;
        taught(&network, self.options.layers.classes)?;
        let classes = network.prepare().classes().to_vec();
        check_names(&network, &self.model).or_wrong_call()?;
        let meant = match_classes(data.classes(), &classes).map_err(|error| match self.data {
            Some(_) => error.into(),
            None => anyhow!("{error}; without `--data` it is asked about the digits inside the program"),
        })?;
        let Some(format) = self.format.at_the_end() else {
            let mut say = |line| output::say(&(serde_json::to_string(&line)? + "\n"));
            let (scorer, skipped) = judge(&network, &self.model, data, &meant, self.looks(), Some(&mut say))?;
            left_out.iter().try_for_each(|line| output::say(&format!("{line}\n")))?;
            let result = scorer.score();
            output::note(&format!(
                "{} pictures, {} not read; top-1 {:.2} %, top-5 {:.2} %",
                result.pictures,
                skipped.len() + left_out.len(),
                result.accuracy() * 100.0,
                result.accuracy5() * 100.0
            ));
            return Ok(String::new());
        };
        let (scorer, skipped) = judge(&network, &self.model, data, &meant, self.looks(), None)?;
        let result = scorer.score();
        let name = self.data.as_deref().map_or_else(|| "digits".into(), shown);
        let json = || {
            let mut json = json!({"model": self.model, "data": name});
            if let (Some(json), Some(more)) = (json.as_object_mut(), score(&result, &classes).as_object()) {
                json.extend(more.clone());
            }
            json["errors"] = errors(&skipped, &left_out);
            Ok(serde_json::to_string_pretty(&json)?)
        };
        let columns = [
            ("class", Align::Left),
            ("pictures", Align::Right),
            ("precision", Align::Right),
            ("recall", Align::Right),
        ];
        let mut table = Table::new(&columns, 0);
        for (index, class) in classes.iter().enumerate() {
            let pictures: usize = result.confusion[index].iter().sum();
            if pictures > 0 || classes.len() <= 100 {
                let (precision, recall) = result.precision_and_recall(index);
                table.push([class.into(), pictures.to_string().into(), cell(precision), cell(recall)]);
            }
        }
        let after = || {
            let mut lines = format!(
                "\npictures           {}\ntop-1              {:.2} %\ntop-5              {:.2} %\ncalibration error  {:.4}\n",
                result.pictures,
                result.accuracy() * 100.0,
                result.accuracy5() * 100.0,
                result.ece
            );
            let unread = skipped.len() + left_out.len();
            if unread > 0 {
                lines += &format!("not read           {unread}\n");
            }
            lines
        };
        note(&skipped);
        output::table(format, &table, json, after)
    }

    /// The same of pictures whose pixels have classes.
    fn pixels(&self, model: &Model, data: &dyn Dataset, left_out: &[Value]) -> Result<String> {
        let (flip, crops) = (self.flip.then_some("--flip"), (self.crops > 1).then_some("--crops"));
        if let Some(flag) = flip.or(crops).or(self.batch.map(|_| "--batch")) {
            return Err(anyhow!("`{flag}` is for networks that give a picture one class; leave it out"))
                .or_wrong_call();
        }
        let network = self.run.load(model)?;
        taught(&network, self.options.layers.classes)?;
        let classes = network.prepare().classes().to_vec();
        let meant = meant(data, &classes)?;
        let mut say = |path: String, seen: Result<&Confusion, &str>| match (self.format.at_the_end(), seen) {
            (Some(_), _) => Ok(()),
            (None, Ok(seen)) => output::say(&format!("{}\n", pixels_of(path, &self.model, seen, &classes))),
            (None, Err(error)) => output::say(&format!("{}\n", json!({"path": path, "error": error}))),
        };
        let how = (self.strict, self.memory.unwrap_or(zoo::SEGMENT_MEMORY));
        let (confusion, skipped) = judge_pixels(&network, data, &meant, how, &mut say)?;
        let (pictures, unread) = (data.len() - skipped.len(), skipped.len() + left_out.len());
        let Some(format) = self.format.at_the_end() else {
            left_out.iter().try_for_each(|line| output::say(&format!("{line}\n")))?;
            output::note(&format!(
                "{pictures} pictures, {unread} not read; mean IoU {}",
                share(confusion.mean_iou())
            ));
            return Ok(String::new());
        };
        let things = || match classes.first().is_some_and(|first| mask::is_background(first)) {
            true => confusion.mean_iou_of(1..classes.len()),
            false => None,
        };
        let name = self.data.as_deref().map_or_else(|| "scenes".into(), shown);
        let json = || {
            let mut json = json!({"model": self.model, "data": name, "pictures": pictures});
            if let (Some(json), Some(more)) = (json.as_object_mut(), pixels(&confusion, &classes).as_object())
            {
                json.extend(more.clone());
            }
            json["mean_iou_without_background"] = json!(things());
            json["errors"] = errors(&skipped, left_out);
            Ok(serde_json::to_string_pretty(&json)?)
        };
        let mut table =
            Table::new(&[("class", Align::Left), ("pixels", Align::Right), ("IoU", Align::Right)], 0)
                .keys(&["class", "pixels", "iou"]);
        let rows = confusion.rows();
        for (class, name) in classes.iter().enumerate() {
            let pixels: usize = rows[class].iter().sum();
            table.push([name.into(), pixels.to_string().into(), cell(confusion.iou(class))]);
        }
        let after = || {
            let mut lines = format!(
                "\npictures                {pictures}\npixel accuracy          {}\nmean accuracy           {}\n\
                 mean IoU                {}\nfrequency weighted IoU  {}\n",
                share(confusion.pixel_accuracy()),
                share(confusion.mean_accuracy()),
                share(confusion.mean_iou()),
                share(confusion.frequency_weighted_iou())
            );
            if let Some(things) = things() {
                lines += &format!("without background      {}\n", share(Some(things)));
            }
            if unread > 0 {
                lines += &format!("not read                {unread}\n");
            }
            lines
        };
        note(&skipped);
        output::table(format, &table, json, after)
    }

    fn batch(&self) -> usize {
        self.batch.unwrap_or(32) as usize
    }

    fn looks(&self) -> Looks {
        let (views, mirrored) = match self.crops {
            10 => (Views::Five, true),
            5 => (Views::Five, false),
            _ => (Views::Centre, false),
        };
        Looks { views, flip: self.flip || mirrored, batch: self.batch(), strict: self.strict }
    }
}

/// What is measured of a picture's pixels, its line of `--format jsonl`: of the classes those that it shows or was given.
fn pixels_of(path: String, model: &str, seen: &Confusion, classes: &[String]) -> Value {
    let mut line = json!({"path": path, "model": model});
    if let (Some(line), Some(more)) = (line.as_object_mut(), pixels(seen, classes).as_object()) {
        line.extend(more.clone());
    }
    if let Some(classes) = line["classes"].as_array_mut() {
        classes.retain(|class| !class["iou"].is_null());
    }
    line
}

/// That there are classes to tell apart: a single output without two names is a score, and no class's probability.
fn check_names(network: &Network, model: &str) -> Result<()> {
    let graph = network.graph();
    let outputs = graph.get(graph.main_output().node).output.channels();
    if outputs == 1 && network.prepare().classes().len() != 2 {
        return Err(anyhow!(
            "`{model}` gives one score and tells no classes apart; if it decides between two, name them with `zoo convert \
             --classes`"
        ));
    }
    Ok(())
}

/// The network's class for each of those of masks. Where nobody has named them, a number is the class's place.
fn meant(data: &dyn Dataset, network: &[String]) -> Result<Vec<usize>> {
    let count = data.classes().len();
    if data.has_named_classes() || data.classes() == network {
        return Ok(match_classes(data.classes(), network)?);
    }
    if count > network.len() {
        return Err(anyhow!(
            "the masks have labels up to {}, and the network tells {} classes apart, 0 to {}; give masks whose values are \
             classes (255 doesn't count), or the network that learned from these",
            count - 1,
            network.len(),
            network.len().saturating_sub(1)
        ));
    }
    let first: Vec<&str> = network.iter().take(3).map(String::as_str).collect();
    output::note(&format!(
        "the masks' classes have no names, which a file classes.txt beside the folders would give: their numbers are taken \
         for the network's classes in order, {}{}",
        first.join(", "),
        if network.len() > first.len() { ", …" } else { "" }
    ));
    Ok((0..count).collect())
}

/// What was no picture from the beginning, a file that isn't there for example, as a line of its own.
fn left_out(findings: &[Finding]) -> Vec<Value> {
    let line = |finding: &Finding| match finding {
        Finding::LeftOut(left_out) => {
            Some(json!({"path": shown(&left_out.path), "error": left_out.to_string()}))
        }
        _ => None,
    };
    findings.iter().filter_map(line).collect()
}

/// What could not be read or taken, for a program.
fn errors(skipped: &[Skipped], left_out: &[Value]) -> Value {
    let skipped = skipped.iter().map(|skipped| json!({"path": skipped.name, "error": skipped.why}));
    skipped.chain(left_out.iter().cloned()).collect()
}

/// What could not be read, for people.
fn note(skipped: &[Skipped]) {
    for skipped in skipped {
        output::note(&skipped.why);
    }
}

/// A share in per cent; a dash for one of nothing.
fn share(share: Option<f64>) -> String {
    share.map_or("-".into(), |share| format!("{:.2} %", share * 100.0))
}

/// The same in a table; what can't be told is empty where programs read it.
fn cell(part: Option<f64>) -> Cell {
    Cell::number(part.map_or_else(String::new, |part| part.to_string()), share(part))
}

fn parse_crops(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "5" => Ok(5),
        "10" => Ok(10),
        _ => Err("there are 1, 5 or 10 crops".into()),
    }
}

/// The part of the data that is asked for.
fn part(
    data: Arc<dyn Dataset>,
    part: Option<PartName>,
    split: Option<&Path>,
) -> Result<(Arc<dyn Dataset>, Vec<Finding>)> {
    let mut findings = data.findings().to_vec();
    let split = match split {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| shown(path))?;
            let listing: Listing = serde_json::from_str(&text).with_context(|| shown(path))?;
            let found = data.fingerprint()?;
            if found != listing.fingerprint {
                output::note(&format!(
                    "{}: was made of other data (its fingerprint is {}, and this data's is {found}): what was learned from \
                     may have changed",
                    shown(path),
                    listing.fingerprint
                ));
            }
            let (split, unsplit) = listing.resolve(&*data)?;
            findings.extend(unsplit);
            split
        }
        None => {
            let mut split = Split::default();
            for index in 0..data.len() {
                match data.part(index) {
                    Some(Part::Test) => split.test.push(index),
                    Some(Part::Validation) => split.validation.push(index),
                    _ => split.train.push(index),
                }
            }
            split
        }
    };
    let usual = if split.test.is_empty() { PartName::All } else { PartName::Test };
    let chosen = match part.unwrap_or(usual) {
        PartName::All => return Ok((data, findings)),
        PartName::Train => split.train,
        PartName::Validation => split.validation,
        PartName::Test => split.test,
    };
    if chosen.is_empty() {
        return Err(anyhow!("there are no pictures in that part; `--part all` takes all")).or_wrong_call();
    }
    Ok((Arc::new(Subset::new(data, chosen)?), findings))
}
