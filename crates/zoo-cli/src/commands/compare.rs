//! `zoo compare`: networks side by side.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use clap::Args;
use serde::Serialize;
use zoo_data::shown;
use zoo_engine::Engine;
use zoo_layers::Graph;
use zoo_report::{Align, Format, Memory, Options, Summary, Table, bytes, count, thousands};

use crate::{
    arguments::FormatArgument,
    facts::{Facts, dims},
    failure::OrWrongCall,
    options::{OptionArguments, cut},
    output, plot,
    running::{self, MachineArguments, writable_as, written},
    size,
};

/// Forward passes that are measured: as many as fit into two seconds, between these.
const RUNS: std::ops::RangeInclusive<usize> = 3..=15;
const ENOUGH: Duration = Duration::from_secs(2);

/// Show networks side by side
///
/// Year, authors, idea, parameters, multiply-accumulates, memory and published accuracy with its source; with --time
/// how long an answer takes on this machine, and with --plot as a picture. No weights are needed. CSV and JSON have a line for each network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo compare alexnet vgg16 resnet50\n  \
                        zoo compare resnet50 mobilenet_v2 --time --threads 1\n  \
                        zoo compare seresnet50 xception --output-stride 8 --format markdown\n  \
                        zoo compare resnet18 resnet34 --small-images --classes 10 --batch 128\n  \
                        zoo compare --plot accuracy.svg\n  \
                        zoo compare vgg16 resnet50 xception mobilenet_v2 --time --plot latency.svg")]
pub(crate) struct Arguments {
    /// Names of architectures, or .safetensors files that name their own
    #[arg(required_unless_present = "plot", value_name = "MODEL")]
    models: Vec<String>,
    /// Draw published accuracy over multiply-accumulates, or with --time over latency, a bubble's area for the
    /// parameters; without MODEL, all that have a top-1 accuracy on ImageNet
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Measure an answer's latency with fresh weights: the median of several, after a first one
    #[arg(long)]
    time: bool,
    /// Pictures at once; memory and latency are for so many
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    #[command(flatten)]
    options: OptionArguments,
    /// Only what this layer, scope or output needs
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
    #[command(flatten)]
    machine: MachineArguments,
    #[command(flatten)]
    format: FormatArgument,
}

#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// As it was named: an architecture, or a file.
    pub(crate) model: String,
    #[serde(flatten)]
    pub(crate) facts: Facts,
    input: Vec<usize>,
    pub(crate) params: u64,
    params_auxiliary: u64,
    pub(crate) macs: u64,
    memory: Memory,
    pub(crate) latency_ms: Option<f64>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let device = self.machine.settle()?;
        let plot = self
            .plot
            .as_ref()
            .map(|path| Ok::<_, anyhow::Error>((path, writable_as(path, "an SVG", &["svg"])?)))
            .transpose()?;
        let all = zoo::ARCHITECTURES
            .iter()
            .filter(|one| plot::data(one.accuracy) == Some((zoo::Metric::Top1, "ImageNet")));
        let models = match self.models.as_slice() {
            [] => all.map(|one| one.name.to_string()).collect(),
            named => named.to_vec(),
        };
        let mut entries = Vec::new();
        let mut graphs = Vec::new();
        for name in &models {
            let model = running::model(name)?;
            let asked = self.options.asked(model).and_then(|model| cut(model, self.at.as_ref()));
            let graphed = asked.and_then(|model| Ok((model.graph()?, model)));
            let (graph, model) = graphed.with_context(|| name.clone()).or_wrong_call()?;
            let options = Options { batch: self.batch as usize, ..Options::default() };
            let summary = Summary::of(&graph, &options)?;
            entries.push(Entry {
                model: name.clone(),
                facts: Facts::of_model(&model),
                input: graph.input().dims(),
                params: summary.params.total,
                params_auxiliary: summary.params.auxiliary,
                macs: summary.macs,
                memory: summary.memory,
                latency_ms: None,
            });
            graphs.push(graph);
        }
        if self.time {
            let bar = output::bar(Some(graphs.len() as u64), "networks timed");
            bar.tick();
            for (entry, graph) in entries.iter_mut().zip(&graphs) {
                has_room(graph.name(), &entry.memory).or_wrong_call()?;
                let latency = latency(graph, self.batch as usize, &device)?;
                // Microseconds are as fine as a clock of this kind is worth.
                entry.latency_ms = Some(latency.as_micros() as f64 / 1e3);
                bar.inc(1);
            }
            bar.finish_and_clear();
        }
        let mut below = String::new();
        if let Some((path, destination)) = plot {
            let (drawn, notes) = plot::drawn(&entries)?;
            notes.iter().for_each(|note| output::note(note));
            destination
                .write(|out| out.write_all(drawn.as_bytes()))
                .with_context(|| format!("{} can't be written", shown(path)))?;
            below = written(
                &destination,
                format!("\n{}: {} drawn\n", shown(path), networks(entries.len() - notes.len())),
            );
            if self.models.is_empty() && matches!(self.format.into(), Format::Table) {
                return Ok(below.trim_start().into());
            }
        }
        let format = self.format.into();
        let (first, rest) = beside(&entries, output::width());
        let table = match format {
            Format::Csv => lines(&entries),
            Format::Markdown => side_by_side(&entries, usize::MAX),
            Format::Table | Format::Json => side_by_side(first, cell_width(first.len())),
        };
        let json = || Ok(serde_json::to_string_pretty(&entries)?);
        let rest = || {
            let tables =
                rest.iter().map(|some| side_by_side(some, cell_width(some.len())).text(output::width()));
            tables.map(|table| format!("\n{table}")).collect::<String>() + &below
        };
        output::table(format, &table, json, rest)
    }
}

/// Refuses what no machine of this size can hold, before the allocator ends the program for it.
fn has_room(name: &str, memory: &Memory) -> Result<()> {
    let needed = memory.weights_bytes.saturating_add(memory.inference_peak_bytes);
    match size::has_room(needed) {
        true => Ok(()),
        false => bail!(
            "{name}: an answer needs {}, more than there is; give a smaller `--batch` or `--input`",
            bytes(needed)
        ),
    }
}

/// The median time of one answer: of the compiled network on a CPU, of candle's tensors elsewhere.
fn latency(graph: &Graph, batch: usize, device: &Device) -> Result<Duration> {
    let net = graph.init_on(0, DType::F32, device)?;
    let pictures = Tensor::ones(graph.input().with_batch(batch), DType::F32, device)?;
    let engine = match (device.is_cpu(), pictures.dims()) {
        (true, &[n, c, h, w]) => {
            Some(Engine::compile(graph, &net, [n, c, h, w], zoo_engine::Options::default())?)
        }
        _ => None,
    };
    let values = vec![1.0; pictures.elem_count()];
    let answer = || -> Result<Duration> {
        let start = Instant::now();
        match &engine {
            Some(engine) => drop(engine.run(&values)?),
            None => {
                net.answer(&pictures)?;
                device.synchronize()?;
            }
        }
        Ok(start.elapsed())
    };
    answer()?;
    let mut runs = Vec::new();
    while runs.len() < *RUNS.start() || (runs.len() < *RUNS.end() && runs.iter().sum::<Duration>() < ENOUGH) {
        runs.push(answer()?);
    }
    runs.sort_unstable();
    Ok(runs[runs.len() / 2])
}

/// Characters for each network where they stand beside each other in a terminal.
fn cell_width(networks: usize) -> usize {
    output::width().map_or(40, |width| (width.saturating_sub(NAMES) / networks).saturating_sub(2).max(NARROW))
}

/// What the first column takes.
const NAMES: usize = 12;
/// What a network's column takes at least.
const NARROW: usize = 16;

/// As many networks as stand beside each other in a terminal of this width, and the others, as many at a time.
fn beside(entries: &[Entry], width: Option<usize>) -> (&[Entry], Vec<&[Entry]>) {
    let Some(width) = width else { return (entries, Vec::new()) };
    let column = |entry: &Entry| entry.model.chars().count().max(NARROW) + 2;
    let mut parts: Vec<&[Entry]> = Vec::new();
    let (mut start, mut taken) = (0, NAMES);
    for (i, entry) in entries.iter().enumerate() {
        if i > start && taken + column(entry) > width {
            parts.push(&entries[start..i]);
            (start, taken) = (i, NAMES);
        }
        taken += column(entry);
    }
    parts.push(&entries[start..]);
    (parts.remove(0), parts)
}

/// `2 networks`.
fn networks(count: usize) -> String {
    format!("{count} network{}", if count == 1 { "" } else { "s" })
}

/// A column for each network; words are wrapped to `width` characters.
fn side_by_side(entries: &[Entry], width: usize) -> Table {
    let mut columns = vec![("", Align::Left)];
    columns.extend(entries.iter().map(|entry| (entry.model.as_str(), Align::Left)));
    let mut table = Table::new(&columns, entries.len());
    let mut row = |name: &str, cell: &dyn Fn(&Entry) -> String| {
        let cells: Vec<Vec<String>> = entries.iter().map(|entry| wrapped(&cell(entry), width)).collect();
        let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
        for line in 0..lines {
            let name = if line == 0 { name } else { "" };
            let cells = cells.iter().map(|cell| cell.get(line).map_or("", String::as_str));
            table.push(std::iter::once(name).chain(cells));
        }
    };
    row("family", &|entry| entry.facts.family.into());
    row("year", &|entry| entry.facts.year.to_string());
    row("authors", &|entry| entry.facts.authors.into());
    row("idea", &|entry| entry.facts.idea.into());
    row("input", &|entry| dims(&entry.input));
    row("parameters", &|entry| thousands(entry.params));
    if entries.iter().any(|entry| entry.params_auxiliary > 0) {
        row("  auxiliary", &|entry| thousands(entry.params_auxiliary));
    }
    row("MACs", &|entry| count(entry.macs));
    row("memory", &|_| String::new());
    row("  weights", &|entry| bytes(entry.memory.weights_bytes));
    row("  to answer", &|entry| bytes(entry.memory.weights_bytes + entry.memory.inference_peak_bytes));
    row("  to train", &|entry| bytes(entry.memory.training_bytes));
    row("accuracy", &|entry| entry.facts.accuracy.map_or("-".into(), |accuracy| accuracy.text()));
    row("  source", &|entry| entry.facts.accuracy.map_or("-".into(), |accuracy| accuracy.source.into()));
    if entries.iter().any(|entry| entry.latency_ms.is_some()) {
        let text = |entry: &Entry| {
            entry.latency_ms.map_or(String::new(), |ms| match ms < 10.0 {
                true => format!("{ms:.2} ms"),
                false => format!("{ms:.1} ms"),
            })
        };
        row("latency", &text);
    }
    table
}

/// A line for each network.
fn lines(entries: &[Entry]) -> Table {
    let names = [
        "name",
        "family",
        "year",
        "authors",
        "idea",
        "input",
        "params",
        "params_auxiliary",
        "macs",
        "weights_bytes",
        "inference_peak_bytes",
        "training_bytes",
        "accuracy",
        "accuracy_metric",
        "accuracy_source",
        "latency_ms",
    ];
    let mut table = Table::new(&names.map(|name| (name, Align::Left)), 0);
    for Entry { model, facts, input, params, params_auxiliary, macs, memory, latency_ms } in entries {
        table.push([
            model.clone(),
            facts.family.into(),
            facts.year.to_string(),
            facts.authors.into(),
            facts.idea.into(),
            dims(input),
            params.to_string(),
            params_auxiliary.to_string(),
            macs.to_string(),
            memory.weights_bytes.to_string(),
            memory.inference_peak_bytes.to_string(),
            memory.training_bytes.to_string(),
            facts.accuracy.map_or(String::new(), |accuracy| accuracy.percent.to_string()),
            facts.accuracy.map_or(String::new(), |accuracy| accuracy.metric.into()),
            facts.accuracy.map_or(String::new(), |accuracy| accuracy.source.into()),
            latency_ms.map_or(String::new(), |ms| ms.to_string()),
        ]);
    }
    table
}

/// The words of `text` in lines of `width` characters; at least one line, and a longer word has a line of its own.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn words_are_wrapped_and_none_is_lost() {
        assert_eq!(wrapped("depth from 3x3 convolutions", 10), ["depth from", "3x3", "convolutions"]);
        assert_eq!(wrapped("", 10), [""]);
    }
}
