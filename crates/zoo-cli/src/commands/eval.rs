//! `zoo eval`: how well a network tells pictures apart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use candle_core::{Device, Tensor};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;
use zoo::Network;
use zoo_data::{Batch, Dataset, Listing, Loader, Part, Place, Skipped, Split, Subset, match_classes, shown};
use zoo_report::{Align, Table};
use zoo_train::Scorer;

use super::predict::Class;
use crate::{
    arguments::StreamFormatArgument,
    failure::OrWrongCall,
    learning::{open, score, testing},
    options::OptionArguments,
    output,
    running::RunArguments,
};

/// Classes that a picture's line shows.
const TOP: usize = 5;

/// Say how well a network tells pictures apart
///
/// On pictures in folders, a table, IDX or CIFAR files: the share whose class was the likeliest, and among the five
/// likeliest, for each class too, the confusion and the calibration error. Classes are matched by name; ImageNet's synset
/// names are known. Pictures that can't be read are listed and don't count. With --format jsonl there is a line for each
/// picture as soon as it is known, {"path", "class", "right", "top"} or {"path", "error"}, and the totals go beside
/// them, to standard error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo eval resnet50 --data imagenet/val\n  \
                        zoo eval run/best.safetensors --data photos/ --split run/split.json\n  \
                        zoo eval lenet5 --data mnist/ --format json\n  \
                        zoo eval resnet50 --data val/ --format jsonl | grep '\"right\":false'")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// A folder with a folder for each class (or with train, val and test), a CSV of paths and labels, IDX or CIFAR files;
    /// without it the 1,000 test digits inside the program
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
    /// Pictures at once
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
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

/// What came of one picture.
#[derive(Serialize)]
#[serde(untagged)]
enum Line<'a> {
    Answer { path: String, class: String, right: bool, top: Vec<Class> },
    Failed { path: &'a str, error: &'a str },
}

/// Is given the lines, in the data's order.
type Sink<'s> = &'s mut dyn FnMut(&Line<'_>) -> Result<()>;

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
        model.check_classifies().or_wrong_call()?;
        let whole = open(self.data.as_deref())?;
        let data = part(whole, self.part, self.split.as_deref())?;
        let network = self.run.load(&model)?;
        let classes = network.prepare().classes().to_vec();
        if network.net().graph().get(network.net().graph().main_output().node).output.channels() == 1
            && classes.len() != 2
        {
            return Err(anyhow!(
                "`{}` gives one score and tells no classes apart; if it decides between two, name them with `zoo convert \
                 --classes`",
                self.model
            ))
            .or_wrong_call();
        }
        let meant = match_classes(data.classes(), &classes)?;
        let pipeline = network.prepare().pipeline()?;
        let loader = testing(data.clone(), pipeline, self.batch as usize, self.strict)?;
        let mut print = |line: &Line<'_>| output::say(&(serde_json::to_string(line)? + "\n"));
        let format = self.format.at_the_end();
        let sink: Option<Sink<'_>> = if format.is_none() { Some(&mut print) } else { None };
        let (scorer, skipped) = self.answers(&network, &loader, (&*data, &meant), sink)?;
        let result = scorer.score();
        let name = self.data.as_deref().map_or_else(|| "digits".into(), shown);
        let json = || {
            let mut json = json!({"model": self.model, "data": name});
            if let (Some(json), Some(more)) = (json.as_object_mut(), score(&result, &classes).as_object()) {
                json.extend(more.clone());
            }
            let errors = skipped.iter().map(|skipped| json!({"path": skipped.name, "error": skipped.why}));
            json["errors"] = errors.collect();
            Ok(serde_json::to_string_pretty(&json)?)
        };
        let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{:.2} %", share * 100.0));
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
                table.push([class.clone(), pictures.to_string(), share(precision), share(recall)]);
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
            if !skipped.is_empty() {
                lines += &format!("not read           {}\n", skipped.len());
            }
            lines
        };
        let Some(format) = format else {
            output::note(after().trim());
            return Ok(String::new());
        };
        for skipped in &skipped {
            output::note(&skipped.why);
        }
        output::table(format, &table, json, after)
    }

    /// Counts the answers to all pictures of `data`, of whose classes each means one of the network's; `sink` is told of
    /// each picture.
    fn answers(
        &self,
        network: &Network,
        loader: &Loader,
        (data, meant): (&dyn Dataset, &[usize]),
        mut sink: Option<Sink<'_>>,
    ) -> Result<(Scorer, Vec<Skipped>)> {
        let mut scorer = Scorer::new(network.prepare().classes().len());
        let bar = output::bar(data.len() as u64, "pictures");
        let mut batches = loader.batches(Place::default(), 1)?;
        let mut told = 0;
        while let Some(batch) = batches.next() {
            let Batch { values, shape, indices, labels, .. } = batch?;
            bar.inc(labels.len() as u64);
            let labels: Option<Vec<usize>> = labels.iter().map(|&label| meant.get(label).copied()).collect();
            let labels = labels.context("a label is none of the data's classes")?;
            let logits = match labels.is_empty() {
                true => None,
                false => {
                    Some(self.logits(network, &Tensor::from_vec(values, shape.as_slice(), &Device::Cpu)?)?)
                }
            };
            if let Some(logits) = &logits {
                scorer.add(logits, &labels)?;
            }
            let Some(sink) = &mut sink else { continue };
            let tops = logits.map(|logits| tops(&logits, network)).transpose()?.unwrap_or_default();
            let until = data.len().min(told + self.batch as usize);
            let skipped = if tops.len() < until - told { batches.skipped() } else { Vec::new() };
            let mut answers = indices.iter().zip(labels).zip(tops).peekable();
            for index in told..until {
                if let Some(((_, label), top)) = answers.next_if(|((answered, _), _)| **answered == index) {
                    let right = top.first().is_some_and(|first| first.index == label);
                    sink(&Line::Answer {
                        path: data.name(index),
                        class: network.prepare().class(label),
                        right,
                        top,
                    })?;
                } else if let Some(Skipped { name, why, .. }) =
                    skipped.iter().find(|lost| lost.index == index)
                {
                    sink(&Line::Failed { path: name, error: why })?;
                }
            }
            told = until;
        }
        bar.finish_and_clear();
        Ok((scorer, batches.skipped()))
    }

    /// A number for each class of each picture; where one output decides between two classes, one for each of those.
    fn logits(&self, network: &Network, pictures: &Tensor) -> Result<Tensor> {
        let of = |pictures: &Tensor| -> Result<Tensor> {
            let logits = network.logits(pictures)?;
            match logits.dims() {
                // The sigmoid of a score is the softmax of nothing and the score.
                [_, 1] => Ok(Tensor::cat(&[&logits.zeros_like()?, &logits], 1)?),
                _ => Ok(logits),
            }
        };
        let logits = of(pictures)?;
        if !self.flip {
            return Ok(logits);
        }
        let mirrored = of(&pictures.flip(&[3])?)?;
        Ok(((zoo::softmax(&logits)? + zoo::softmax(&mirrored)?)? * 0.5)?.log()?)
    }
}

/// The likeliest classes of each picture, the first first.
fn tops(logits: &Tensor, network: &Network) -> Result<Vec<Vec<Class>>> {
    let rows: Vec<Vec<f32>> = zoo::softmax(logits)?.to_vec2()?;
    let top = |row: &Vec<f32>| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        // Of equal ones the first class comes first.
        order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        let class = |index| Class { index, label: network.prepare().class(index), probability: row[index] };
        order.into_iter().take(TOP).map(class).collect()
    };
    Ok(rows.iter().map(top).collect())
}

/// The part of the data that is asked for.
fn part(data: Arc<dyn Dataset>, part: Option<PartName>, split: Option<&Path>) -> Result<Arc<dyn Dataset>> {
    let split = match split {
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| shown(path))?;
            let listing: Listing = serde_json::from_str(&text).with_context(|| shown(path))?;
            listing.resolve(&*data)?.0
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
        PartName::All => return Ok(data),
        PartName::Train => split.train,
        PartName::Validation => split.validation,
        PartName::Test => split.test,
    };
    if chosen.is_empty() {
        return Err(anyhow!("there are no pictures in that part; `--part all` takes all")).or_wrong_call();
    }
    Ok(Arc::new(Subset::new(data, chosen)?))
}
