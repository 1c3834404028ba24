//! `zoo list`: what there is.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use zoo::ARCHITECTURES;
use zoo_report::{Align, Format, Options, Summary, Table, count, thousands};

use crate::{
    arguments::FormatArgument,
    facts::{Facts, dims},
    output,
};

/// List the architectures
///
/// With the year, parameters, multiply-accumulates for one picture, input size, published accuracy and weights.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo list\n  zoo list 'resnet*'\n  zoo list --format json")]
pub(crate) struct Arguments {
    /// Only names that hold this; `*` stands for anything
    pattern: Option<String>,
    #[command(flatten)]
    format: FormatArgument,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    facts: Facts,
    params: u64,
    macs: u64,
    input: Vec<usize>,
    weights: Vec<Weights>,
}

#[derive(Serialize)]
struct Weights {
    tag: String,
    here: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let published = zoo::Published::new(true)?;
        let mut lines = Vec::new();
        for architecture in ARCHITECTURES.iter().filter(|line| self.wants(line.name)) {
            let graph = architecture.graph()?;
            let summary = Summary::of(&graph, &Options::default())?;
            let weights = published.of(architecture.name);
            lines.push(Line {
                facts: Facts::of(architecture),
                params: summary.params.total,
                macs: summary.macs,
                input: graph.input().dims(),
                weights: weights.into_iter().map(|w| Weights { tag: w.tag, here: w.here }).collect(),
            });
        }
        let format = self.format.into();
        let json = || Ok(serde_json::to_string_pretty(&lines)?);
        output::table(format, &table(&lines, format), json, || legend(&lines))
    }

    fn wants(&self, name: &str) -> bool {
        self.pattern.as_deref().is_none_or(|pattern| match pattern.contains('*') {
            true => matches(pattern, name),
            false => name.contains(pattern),
        })
    }
}

/// The table; people get authors, ideas and sources below it instead of in columns.
fn table(lines: &[Line], format: Format) -> Table {
    let columns = [
        ("name", Align::Left),
        ("family", Align::Left),
        ("year", Align::Right),
        ("parameters", Align::Right),
        ("MACs", Align::Right),
        ("input", Align::Right),
        ("top-1", Align::Right),
        ("weights", Align::Left),
        ("authors", Align::Left),
        ("idea", Align::Left),
        ("accuracy", Align::Left),
        ("source", Align::Left),
    ];
    let columns = if format == Format::Table { &columns[..8] } else { &columns };
    let mut table = Table::new(columns, 7);
    for Line { facts, params, macs, input, weights } in lines {
        let weights = weights.iter().map(|w| format!("{}{}", w.tag, if w.here { " (here)" } else { "" }));
        let mut cells = vec![
            facts.name.to_string(),
            facts.family.into(),
            facts.year.to_string(),
            thousands(*params),
            count(*macs),
            dims(input),
            facts.top1.map(|top1| format!("{top1:.2}")).unwrap_or_default(),
            weights.collect::<Vec<_>>().join(", "),
        ];
        if format != Format::Table {
            cells.extend([facts.authors.into(), facts.idea.into()]);
            cells.push(facts.accuracy.map_or(String::new(), |accuracy| accuracy.text()));
            cells.push(facts.accuracy.map_or(String::new(), |accuracy| accuracy.source.into()));
        }
        table.push(cells);
    }
    table
}

/// Each family's year, authors and idea, and where its accuracies are published.
fn legend(lines: &[Line]) -> String {
    if lines.is_empty() {
        return "nothing matches; `zoo list` without a pattern shows all\n".into();
    }
    let mut text = String::new();
    let mut families: Vec<&str> = Vec::new();
    for Facts { family, year, authors, idea, .. } in lines.iter().map(|line| &line.facts) {
        if families.contains(family) {
            continue;
        }
        families.push(family);
        text += &format!("\n{family} ({year}), {authors}: {idea}\n");
        let mut sources: Vec<&str> = Vec::new();
        let own = lines.iter().filter(|line| line.facts.family == *family);
        for accuracy in own.filter_map(|line| line.facts.accuracy) {
            if !sources.contains(&accuracy.source) {
                sources.push(accuracy.source);
            }
        }
        if !sources.is_empty() {
            text += &format!("  accuracy: {}\n", sources.join("; "));
        }
    }
    text
}

/// Whether `pattern`, in which `*` stands for anything, is the whole of `name`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            rest.char_indices().map(|(i, _)| i).chain([rest.len()]).any(|i| matches(tail, &rest[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_anything() {
        assert!(matches("resnet*", "resnet50") && matches("*_cifar", "resnet20_cifar") && matches("*", ""));
        assert!(matches("re*net*", "resnet50") && !matches("resnet*", "wide_resnet50_2"));
    }
}
