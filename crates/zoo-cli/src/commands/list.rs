//! `zoo list`: what there is.

use std::collections::HashSet;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use zoo::ARCHITECTURES;
use zoo_report::{Align, Cell, Format, Options, Summary, Table, count, thousands};

use super::compare::wrapped;
use crate::{
    arguments::FormatArgument,
    facts::{Facts, dims},
    output,
};

/// List the architectures
///
/// With parameters, multiply-accumulates for one picture, input size, published accuracy and weights, family by family.
/// A tag of weights is the name, a point and what stands in the last column: resnet50.tv_in1k.
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
        match self.format.into() {
            // A page is as wide as a terminal usually is, where there is none.
            Format::Table => Ok(page(&lines, output::width().unwrap_or(80))),
            format => {
                let json = || Ok(serde_json::to_string_pretty(&lines)?);
                output::table(format, &table(&lines), json, String::new)
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.pattern.as_deref().is_none_or(|pattern| match pattern.contains('*') {
            true => matches(pattern, name),
            false => name.contains(pattern),
        })
    }
}

/// A line for each architecture, with all that is known of it.
fn table(lines: &[Line]) -> Table {
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
    let keys = ["name", "family", "year", "params", "macs", "input", "top1"];
    let mut table = Table::new(&columns, 7).keys(&keys);
    for Line { facts, params, macs, input, weights } in lines {
        let weights = weights.iter().map(|w| format!("{}{}", w.tag, if w.here { " (here)" } else { "" }));
        table.push([
            facts.name.into(),
            facts.family.into(),
            facts.year.to_string().into(),
            Cell::number(params, thousands(*params)),
            Cell::number(macs, count(*macs)),
            dims(input).into(),
            facts.top1.map_or(Cell::default(), |top1| format!("{top1:.2}").into()),
            weights.collect::<Vec<_>>().join(", ").into(),
            facts.authors.into(),
            facts.idea.into(),
            facts.accuracy.map_or(Cell::default(), |accuracy| accuracy.text().into()),
            facts.accuracy.map_or(Cell::default(), |accuracy| accuracy.source.into()),
        ]);
    }
    table
}

/// What people read, `width` characters wide: families one after the other, each under its year, authors, idea and
/// the source of its accuracies, so that a line needs none of them. Of a tag there stands what follows the name. In a
/// narrow terminal columns are left out, the least needed first.
fn page(lines: &[Line], width: usize) -> String {
    type Column = (&'static str, Align, fn(&Line) -> String);
    const COLUMNS: [Column; 5] = [
        ("name", Align::Left, |line| line.facts.name.into()),
        ("parameters", Align::Right, |line| thousands(line.params)),
        ("MACs", Align::Right, |line| count(line.macs)),
        ("input", Align::Right, |line| dims(&line.input)),
        ("top-1", Align::Right, |line| line.facts.top1.map(|top1| format!("{top1:.2}")).unwrap_or_default()),
    ];
    if lines.is_empty() {
        return "nothing matches; `zoo list` without a pattern shows all\n".into();
    }
    let mut families: Vec<&'static str> = lines.iter().map(|line| line.facts.family).collect();
    let mut seen = HashSet::new();
    families.retain(|family| seen.insert(*family));
    let of = |family: &'static str| lines.iter().filter(move |line| line.facts.family == family);

    let taken = |(head, _, cell): &Column| {
        let longest = lines.iter().map(|line| cell(line).chars().count()).max();
        longest.unwrap_or(0).max(head.len()) + 2
    };
    let tags: Vec<String> = lines.iter().map(Line::weights).collect();
    let longest = tags.iter().flat_map(|tags| tags.split(' ')).map(|tag| tag.chars().count()).max();
    let longest = longest.unwrap_or(0).max("weights".len());
    let mut columns = COLUMNS.to_vec();
    for dropped in ["input", "MACs", "top-1", "parameters"] {
        if columns.iter().map(taken).sum::<usize>() + longest > width {
            columns.retain(|(head, ..)| *head != dropped);
        }
    }
    let room = width.saturating_sub(columns.iter().map(taken).sum()).max(longest);
    let heads = columns.iter().map(|(head, align, _)| (*head, *align)).chain([("weights", Align::Left)]);
    let mut table = Table::new(&heads.collect::<Vec<_>>(), columns.len());
    let mut rows = Vec::new();
    for family in &families {
        let mut count = 0;
        for line in of(family) {
            for (index, weights) in wrapped(&line.weights(), room).into_iter().enumerate() {
                let cells =
                    columns.iter().map(|(.., cell)| if index == 0 { cell(line) } else { String::new() });
                table.push(cells.chain([weights]));
                count += 1;
            }
        }
        rows.push(count);
    }

    let text = table.text(Some(width));
    let mut printed = text.lines();
    let mut page: Vec<String> = printed.by_ref().take(2).map(String::from).collect();
    for (family, rows) in families.iter().zip(rows) {
        let Some(Facts { year, authors, idea, .. }) = of(family).next().map(|line| &line.facts) else {
            continue;
        };
        let mut sources: Vec<&str> = Vec::new();
        for accuracy in of(family).filter_map(|line| line.facts.accuracy) {
            if !sources.contains(&accuracy.source) {
                sources.push(accuracy.source);
            }
        }
        let mut about = format!("{family} ({year}), {authors}: {idea}");
        if !sources.is_empty() {
            about += &format!(". Accuracy: {}", sources.join("; "));
        }
        page.push(String::new());
        page.extend(wrapped(&about, width));
        page.extend(printed.by_ref().take(rows).map(String::from));
    }
    page.join("\n") + "\n"
}

impl Line {
    /// The tags without the architecture's name.
    fn weights(&self) -> String {
        let tags = self.weights.iter().map(|weights| {
            let name = self.facts.name;
            let tag = weights.tag.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            format!("{}{}", tag.unwrap_or(&weights.tag), if weights.here { " (here)" } else { "" })
        });
        tags.collect::<Vec<_>>().join(", ")
    }
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
