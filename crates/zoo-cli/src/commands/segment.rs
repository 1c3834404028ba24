//! `zoo segment`: a class for each pixel of a picture.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use zoo::{Network, Picture};
use zoo_data::{mask, shown};
use zoo_report::{Align, Cell, Format, Table};
use zoo_weights::Destination;

use crate::{
    arguments::StreamFormatArgument,
    failure::{InPart, OrWrongCall, sentence},
    options::OptionArguments,
    output,
    pictures::{self, PictureArguments, Place},
    running::{RunArguments, check_named, taught},
    size::parse_size,
};

/// Say what is at each pixel of pictures
///
/// For each picture NAME it writes NAME.mask.png, a PNG of indices in PASCAL VOC's palette whose values are the classes'
/// numbers, and NAME.overlay.png, the picture in the classes' colours with a legend, and tells each class's share of the
/// pixels. Masks have the picture's own size, whatever it is. A picture whose answer takes more than --memory is answered in
/// tiles that overlap by as much as a pixel's answer depends on, so that the mask is the same.
///
/// Strides tell a network what is there and lose where: of 32 pixels it knows one. Scores of earlier layers, added on the
/// way back up, win the place back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo segment digits assets/scenes/3.png -o out/\n  \
                        zoo segment fcn_resnet50 photos/ -o masks/         (fetches the weights once)\n  \
                        zoo segment fcn8s --weights run/best.safetensors street.jpg -o out/ --memory 1GiB\n  \
                        find photos -type f | zoo segment fcn_resnet50 --files-from - -o masks/ --format jsonl")]
pub(crate) struct Arguments {
    /// Name of an architecture, `digits`, or a .safetensors file that names its own
    model: String,
    #[command(flatten)]
    pictures: PictureArguments,
    /// The folder for masks and overlays; it is made if it isn't there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// The memory that an answer may take beside the weights
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_size, allow_negative_numbers = true)]
    memory: u64,
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
        width: usize,
        height: usize,
        mask: String,
        overlay: String,
        classes: Vec<Area>,
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

/// A class that is in a picture.
#[derive(Serialize)]
struct Area {
    index: usize,
    label: String,
    pixels: usize,
    share: f64,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = self.options.asked(self.run.model(&self.model)?).or_wrong_call()?;
        model.check_segments().or_wrong_call()?;
        let network = self.run.load(&model)?;
        taught(&network, self.options.layers.classes)?;
        check_named(&self.output)?;
        let folder = self.output.clone();
        let new: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("the folder {} can't be made; name one that can", shown(&folder)))?;
        let told = self.each(&network);
        for folder in new {
            // Goes only if it is empty: where no picture could be read.
            let _ = std::fs::remove_dir(folder);
        }
        told
    }

    fn each(self, network: &Network) -> Result<String> {
        let (mut places, count) = self.pictures.places()?;
        if count.is_some() {
            let all: Vec<Place> = places.collect();
            check_all_apart(&all, &self.output).or_wrong_call()?;
            places = Box::new(all.into_iter());
        }
        let mut work = Work {
            network,
            model: &self.model,
            folder: &self.output,
            memory: self.memory,
            taken: HashSet::new(),
        };
        let Some(format) = self.format.at_the_end() else {
            let (mut failed, mut all) = (0, 0);
            for place in places {
                let line = work.line(&place);
                all += 1;
                failed += usize::from(matches!(line, Line::Failed { .. }));
                output::say(&(serde_json::to_string(&line)? + "\n"))?;
            }
            return match failed {
                0 => Ok(String::new()),
                _ => Err(anyhow!("{failed} of {all} pictures have no mask; their lines say why")),
            };
        };
        let bar = output::bar(count.map(|count| count as u64), "pictures");
        let mut lines = Vec::new();
        for place in places {
            lines.push(work.line(&place));
            bar.inc(1);
        }
        bar.finish_and_clear();
        all_at_once(format, &lines)
    }
}

/// What every picture is answered with.
struct Work<'a> {
    network: &'a Network,
    model: &'a str,
    folder: &'a Path,
    memory: u64,
    /// Names of masks that are written.
    taken: HashSet<String>,
}

impl Work<'_> {
    fn line(&mut self, place: &Place) -> Line {
        let (path, name) = (place.path(), place.name());
        match self.answer(place, &name) {
            Ok(line) => line,
            Err(error) => Line::Failed { path, error: sentence(&error), name },
        }
    }

    fn answer(&mut self, place: &Place, name: &str) -> Result<Line> {
        let picture: Picture = place.read_any()?;
        let answer = self.network.segment(&picture, self.memory).with_context(|| name.to_string())?;
        let [mask, overlay] = files(place, self.folder, &mut self.taken);
        let names = self.network.prepare().classes();
        let shown_over = mask::overlay(&picture, &answer.mask, names)?;
        write(&mask, |out| mask::write(&answer.mask, out))?;
        write(&overlay, |out| shown_over.write_png(out))?;
        let all = picture.width() * picture.height();
        let areas = answer.areas.iter().enumerate().filter(|(_, pixels)| **pixels > 0);
        let area = |(index, &pixels): (usize, &usize)| Area {
            index,
            label: self.network.prepare().class(index),
            pixels,
            share: pixels as f64 / all as f64,
        };
        Ok(Line::Answer {
            path: place.path(),
            model: self.model.into(),
            width: picture.width(),
            height: picture.height(),
            mask: pictures::exact(&mask),
            overlay: pictures::exact(&overlay),
            classes: areas.map(area).collect(),
            name: name.into(),
        })
    }
}

/// A picture's mask and overlay. They are called as it is, without the ending, and by a number if others have that name.
fn files(place: &Place, folder: &Path, taken: &mut HashSet<String>) -> [PathBuf; 2] {
    let stem = match place {
        Place::File(path) | Place::Lost(path, _) => {
            path.file_stem().map_or_else(|| "picture".into(), |stem| shown(stem.as_ref()))
        }
        Place::StandardInput => "picture".into(),
    };
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let free = std::iter::once(stem.clone()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or(stem);
    let named = ["mask", "overlay"].map(|kind| folder.join(format!("{free}.{kind}.png")));
    taken.insert(free);
    named
}

/// That no picture is where another one's mask or overlay is to be.
fn check_all_apart(places: &[Place], folder: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().ok();
    let read: HashSet<PathBuf> = places.iter().filter_map(Place::file).filter_map(real).collect();
    let mut taken = HashSet::new();
    let mut written = places.iter().flat_map(|place| files(place, folder, &mut taken));
    match written.find(|path| real(path).is_some_and(|path| read.contains(&path))) {
        Some(path) => Err(anyhow!(
            "{} is one of the pictures, and would be written over; name another folder with `-o`",
            shown(&path)
        )),
        None => Ok(()),
    }
}

/// Writes a file whole, or not at all.
fn write(path: &Path, content: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Result<()> {
    let mut bytes = Vec::new();
    content(&mut bytes)
        .and_then(|()| Destination::of(path)?.write(|out| std::io::Write::write_all(out, &bytes)))
        .with_context(|| format!("{} can't be written", shown(path)))
}

/// Prints all lines in a table or an array.
fn all_at_once(format: Format, lines: &[Line]) -> Result<String> {
    let columns =
        [("picture", Align::Left), ("class", Align::Left), ("pixels", Align::Right), ("share", Align::Right)];
    let mut table = Table::new(&columns, 1);
    let mut faults = Vec::new();
    for line in lines {
        match line {
            Line::Answer { name, classes, .. } => {
                for (place, area) in classes.iter().enumerate() {
                    // A person reads the path once; a program reads it on every line.
                    let name = if place > 0 && format == Format::Table { "" } else { name };
                    let share = Cell::share(area.share, 2);
                    table.push([name.into(), (&area.label).into(), area.pixels.to_string().into(), share]);
                }
            }
            Line::Failed { name, error, .. } => {
                faults.push(error.as_str());
                // For people; a program would take it for a class.
                table.push([name.into(), Cell::number("", "no mask"), Cell::default(), Cell::default()]);
            }
        }
    }
    let json = || Ok(serde_json::to_string_pretty(lines)?);
    let after = || {
        let mut written = lines.iter().filter_map(|line| match line {
            Line::Answer { overlay, .. } => Some(shown(overlay.as_ref())),
            Line::Failed { .. } => None,
        });
        written.next_back().map_or(String::new(), |last| {
            format!("\nwritten beside each other: masks, and overlays such as {last}\n")
        })
    };
    let printed = output::table(format, &table, json, after)?;
    match faults.is_empty() {
        true => Ok(printed),
        false => Err(InPart { printed, error: pictures::complaint(&faults, lines.len(), "pictures") }.into()),
    }
}
