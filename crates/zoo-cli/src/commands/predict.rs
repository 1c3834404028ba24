//! `zoo predict`: what is in a picture.

use std::path::PathBuf;

use anyhow::Result;
use candle_core::Tensor;
use clap::Args;
use serde::Serialize;
use zoo::{Guess, Network};
use zoo_report::{Align, Format, Table};

use crate::{
    arguments::FormatArgument,
    failure::{InPart, OrWrongCall, sentence},
    output, parallel,
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
                        zoo predict resnet50 photos/                    (fetches the weights once)\n  \
                        cat photo.jpg | zoo predict resnet50 --weights resnet50.pth -")]
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
        model.check_classifies().or_wrong_call()?;
        let network = self.run.load(&model)?;
        let places = pictures::places(&self.images)?;
        let bar = output::bar(places.len() as u64, "pictures");
        let mut lines = Vec::with_capacity(places.len());
        let mut batch = Batch::default();
        let prepare = |place: &Place| -> Result<Tensor> {
            Ok(network.prepare().picture(&place.read()?, &place.name())?)
        };
        parallel::in_order(&places, parallel::threads(), prepare, |place, outcome| {
            let path = place.name();
            match outcome {
                Err(error) => lines.push(Line::Failed { path, error: sentence(&error) }),
                Ok(picture) => {
                    if !batch.takes(&picture) {
                        self.answer(&network, &mut batch, &mut lines)?;
                    }
                    batch.places.push(lines.len());
                    batch.pictures.push(picture);
                    lines.push(Line::Answer { path, model: self.model.clone(), top: Vec::new() });
                }
            }
            bar.inc(1);
            Ok(())
        })?;
        self.answer(&network, &mut batch, &mut lines)?;
        bar.finish_and_clear();
        let failed = lines.iter().filter(|line| matches!(line, Line::Failed { .. })).count();
        let printed = self.print(&lines)?;
        match failed {
            0 => Ok(printed),
            _ => Err(InPart { printed, error: complaint(&lines) }.into()),
        }
    }

    /// Runs the pictures that wait, and writes the answers into their lines.
    fn answer(&self, network: &Network, batch: &mut Batch, lines: &mut [Line]) -> Result<()> {
        let Batch { places, pictures } = std::mem::take(batch);
        if pictures.is_empty() {
            return Ok(());
        }
        let answers = network.answers(&Tensor::cat(&pictures, 0)?, usize::from(self.top))?;
        for (place, answer) in places.into_iter().zip(answers) {
            if let Some(Line::Answer { top, .. }) = lines.get_mut(place) {
                *top = answer.top.into_iter().map(Class::from).collect();
            }
        }
        Ok(())
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

/// Pictures that wait for others, to run through the network together.
#[derive(Default)]
struct Batch {
    /// Their lines.
    places: Vec<usize>,
    pictures: Vec<Tensor>,
}

impl Batch {
    /// Whether there is room for one more, of this size.
    fn takes(&self, picture: &Tensor) -> bool {
        self.pictures.len() < BATCH
            && self.pictures.first().is_none_or(|first| first.dims() == picture.dims())
    }
}

/// What went wrong, one line for each picture.
fn complaint(lines: &[Line]) -> anyhow::Error {
    let faults: Vec<&str> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Failed { error, .. } => Some(error.as_str()),
            Line::Answer { .. } => None,
        })
        .collect();
    pictures::complaint(&faults, lines.len(), "pictures")
}
