//! `zoo predict`: what is in a picture.

use anyhow::{Result, anyhow};
use candle_core::Tensor;
use clap::Args;
use serde::Serialize;
use zoo::{Answer, Guess, Network, Prepare};
use zoo_report::{Align, Cell, Format, Table};

use crate::{
    arguments::StreamFormatArgument,
    failure::{InPart, OrWrongCall, sentence},
    learning::check_pictures,
    options::OptionArguments,
    output,
    pictures::{self, PictureArguments, Place},
    running::{RunArguments, taught},
};

/// Say what is in pictures
///
/// Pictures that can't be read are named and the others are done all the same. With --format jsonl there is a line
/// for each picture as soon as it is known, {"path", "model", "top"} or {"path", "error"}, and no more than a few
/// pictures are in memory, however many come. A network with one output gives its "score", or the probabilities of
/// two classes if its file names two.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo predict lenet5 assets/digits/7.png\n  \
                        zoo predict lenet5 assets/digits --format csv\n  \
                        zoo predict resnet50 photos/                    (fetches the weights once)\n  \
                        cat photo.jpg | zoo predict resnet50 --weights resnet50.pth -\n  \
                        find photos -type f | zoo predict resnet50 --files-from - --format jsonl")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    #[command(flatten)]
    pictures: PictureArguments,
    /// Classes to show, the likeliest first
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    top: u16,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    format: StreamFormatArgument,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Answer {
        path: String,
        model: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        score: Option<f32>,
        top: Vec<Class>,
        /// The path as people read it.
        #[serde(skip)]
        name: String,
    },
    Failed {
        path: String,
        error: String,
        #[serde(skip)]
        name: String,
    },
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
        let model = self.options.asked(self.run.model(&self.model)?).or_wrong_call()?;
        model.check_classifies().or_wrong_call()?;
        check_pictures(&model.graph().or_wrong_call()?, 1)?;
        let network = self.run.load(&model)?;
        taught(&network, self.options.layers.classes)?;
        let (places, count) = self.pictures.places()?;
        match self.format.at_the_end() {
            Some(format) => {
                let mut lines = Vec::new();
                let bar = output::bar(count.map(|count| count as u64), "pictures");
                answers(&network, &self.model, self.top, places, |line| {
                    lines.push(line);
                    bar.inc(1);
                    Ok(())
                })?;
                bar.finish_and_clear();
                all_at_once(format, &lines)
            }
            None => line_by_line(|sink| answers(&network, &self.model, self.top, places, sink)),
        }
    }
}

/// Gives `sink` a line for each picture, in the pictures' order.
fn answers(
    network: &Network,
    model: &str,
    top: u16,
    places: impl Iterator<Item = Place> + Send + 'static,
    mut sink: impl FnMut(Line) -> Result<()>,
) -> Result<()> {
    let read = |place: &Place, prepare: &Prepare| -> Result<Tensor> {
        Ok(prepare.picture(&place.read()?, &place.name())?)
    };
    for next in network.stream(places, read).top(top.into()) {
        let (place, answer) = next?;
        let (path, name) = (place.path(), place.name());
        sink(match answer {
            Ok(Answer { top, score }) => {
                let top = top.into_iter().map(Class::from).collect();
                Line::Answer { path, model: model.into(), score, top, name }
            }
            Err(error) => Line::Failed { path, error: sentence(&error), name },
        })?;
    }
    Ok(())
}

/// Prints each line when it is known.
fn line_by_line(work: impl FnOnce(&mut dyn FnMut(Line) -> Result<()>) -> Result<()>) -> Result<String> {
    let (mut failed, mut all) = (0, 0);
    work(&mut |line| {
        all += 1;
        failed += usize::from(matches!(line, Line::Failed { .. }));
        output::say(&(serde_json::to_string(&line)? + "\n"))
    })?;
    match failed {
        0 => Ok(String::new()),
        _ => Err(anyhow!("{failed} of {all} pictures could not be read; their lines say why")),
    }
}

/// Prints all lines in a table or an array.
fn all_at_once(format: Format, lines: &[Line]) -> Result<String> {
    let faults = lines.iter().filter_map(|line| match line {
        Line::Failed { error, .. } => Some(error.as_str()),
        Line::Answer { .. } => None,
    });
    let faults: Vec<&str> = faults.collect();
    let json = || Ok(serde_json::to_string_pretty(lines)?);
    let printed = output::table(format, &table(format, lines), json, String::new)?;
    match faults.is_empty() {
        true => Ok(printed),
        false => Err(InPart { printed, error: pictures::complaint(&faults, lines.len(), "pictures") }.into()),
    }
}

/// Where classes are told apart, a row for each; else a row with each picture's score.
fn table(format: Format, lines: &[Line]) -> Table {
    let is_score = |line: &Line| matches!(line, Line::Answer { top, score: Some(_), .. } if top.is_empty());
    let scores = lines.iter().any(is_score);
    let columns: &[(&str, Align)] = match scores {
        true => &[("picture", Align::Left), ("score", Align::Right)],
        false => &[
            ("picture", Align::Left),
            ("rank", Align::Right),
            ("class", Align::Left),
            ("probability", Align::Right),
        ],
    };
    let mut table = Table::new(columns, if scores { 0 } else { 2 });
    // For people; a program would take it for a class.
    let unread = || Cell::number("", "could not be read");
    for line in lines {
        match line {
            Line::Answer { name, score: Some(score), .. } if scores => table.push([name, &score.to_string()]),
            Line::Answer { name, top, .. } => {
                for (rank, class) in top.iter().enumerate() {
                    // A person reads the path once; a program reads it on every line.
                    let name = if rank > 0 && format == Format::Table { "" } else { name };
                    let shown = format!("{:.2} %", class.probability * 100.0);
                    let probability = Cell::number(class.probability, shown);
                    table.push([
                        name.into(),
                        (rank + 1).to_string().into(),
                        (&class.label).into(),
                        probability,
                    ]);
                }
            }
            Line::Failed { name, .. } if scores => table.push([name.into(), unread()]),
            Line::Failed { name, .. } => table.push([name.into(), Cell::default(), unread()]),
        }
    }
    table
}
