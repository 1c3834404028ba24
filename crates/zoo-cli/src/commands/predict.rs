//! `zoo predict`: what is in a picture.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use candle_core::Tensor;
use clap::Args;
use serde::Serialize;
use zoo::{Guess, Network};
use zoo_report::{Align, Format, Table};

use crate::{
    arguments::FormatArgument,
    failure::InPart,
    output,
    pictures::{self, Place},
    running::RunArguments,
};

/// Pictures that run through the network at once.
const BATCH: usize = 16;

/// Say what is in pictures
///
/// Pictures that can't be read are named and the others are done all the same.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo predict lenet5 assets/digits/7.png\n  \
                        zoo predict lenet5 assets/digits --format csv\n  \
                        cat photo.jpg | zoo predict resnet50 --weights resnet50.safetensors -")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// Pictures, folders of pictures, or - for standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Classes to show, the likeliest first
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    format: FormatArgument,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Answer { path: String, model: String, top: Vec<Class> },
    Failed { path: String, error: String },
}

#[derive(Serialize)]
struct Class {
    index: usize,
    label: String,
    probability: f32,
}

impl From<Guess> for Class {
    fn from(guess: Guess) -> Self {
        Self { index: guess.index, label: guess.label, probability: guess.probability }
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = self.run.model(&self.model)?;
        let network = self.run.load(&model)?;
        let places = pictures::places(&self.images)?;
        let bar = output::bar(places.len() as u64, "pictures");
        let mut lines = Vec::new();
        for batch in places.chunks(BATCH) {
            lines.extend(self.batch(&network, batch)?);
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
        let failed = lines.iter().filter(|line| matches!(line, Line::Failed { .. })).count();
        let printed = self.print(&lines)?;
        match failed {
            0 => Ok(printed),
            _ => Err(InPart { printed, error: complaint(&lines, failed) }.into()),
        }
    }

    /// Answers for one batch, in order; pictures that can't be read among them.
    fn batch(&self, network: &Network, places: &[Place]) -> Result<Vec<Line>> {
        let prepare = |place: &Place| -> Result<Tensor> {
            Ok(network.prepare().picture(&place.read()?, &place.name())?)
        };
        let tensors: Vec<Result<Tensor>> = places.iter().map(prepare).collect();
        let good: Vec<&Tensor> = tensors.iter().flatten().collect();
        let mut answers = match good.is_empty() {
            true => Vec::new(),
            false => network.answers(&Tensor::cat(&good, 0)?, usize::from(self.top))?,
        }
        .into_iter();
        let mut lines = Vec::new();
        for (place, tensor) in places.iter().zip(tensors) {
            let path = place.name();
            lines.push(match tensor {
                Err(error) => Line::Failed { path, error: format!("{error:#}") },
                Ok(_) => {
                    let answer =
                        answers.next().ok_or_else(|| anyhow!("{path}: the network gave no answer"))?;
                    let top = answer.top.into_iter().map(Class::from).collect();
                    Line::Answer { path, model: self.model.clone(), top }
                }
            });
        }
        Ok(lines)
    }

    fn print(&self, lines: &[Line]) -> Result<String> {
        let format: Format = self.format.into();
        let columns = [
            ("picture", Align::Left),
            ("rank", Align::Right),
            ("class", Align::Left),
            ("probability", Align::Right),
        ];
        let mut table = Table::new(&columns, 2);
        for line in lines {
            match line {
                Line::Answer { path, top, .. } => {
                    for (rank, class) in top.iter().enumerate() {
                        // A person reads the path once; a program reads it on every line.
                        let path = if rank > 0 && format == Format::Table { "" } else { path };
                        let probability = match format {
                            Format::Csv => class.probability.to_string(),
                            _ => format!("{:.2} %", class.probability * 100.0),
                        };
                        table.push([path, &(rank + 1).to_string(), &class.label, &probability]);
                    }
                }
                Line::Failed { path, .. } => table.push([path.as_str(), "", "could not be read"]),
            }
        }
        let json = || Ok(serde_json::to_string_pretty(lines)?);
        output::table(format, &table, json, String::new)
    }
}

/// What went wrong, one line for each picture.
fn complaint(lines: &[Line], failed: usize) -> anyhow::Error {
    let faults: Vec<&str> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Failed { error, .. } => Some(error.as_str()),
            Line::Answer { .. } => None,
        })
        .collect();
    match faults.as_slice() {
        [only] if lines.len() == 1 => anyhow!("{only}"),
        _ => anyhow!("{failed} of {} pictures could not be read:\n  {}", lines.len(), faults.join("\n  ")),
    }
}
