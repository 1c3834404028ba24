//! `zoo list`: what there is.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use zoo::ARCHITECTURES;
use zoo_report::{Align, Options, Summary, Table, count, thousands};

use crate::{arguments::FormatArgument, output};

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
    name: &'static str,
    family: &'static str,
    year: u16,
    params: u64,
    macs: u64,
    input: Vec<usize>,
    top1: Option<f64>,
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
            let summary = Summary::of(&graph, &Options::default());
            let weights = published.of(architecture.name);
            lines.push(Line {
                name: architecture.name,
                family: architecture.family.name,
                year: architecture.family.year,
                params: summary.params.total,
                macs: summary.macs,
                input: graph.input().dims(),
                top1: architecture.accuracy.map(|accuracy| accuracy.top1),
                weights: weights.into_iter().map(|w| Weights { tag: w.tag, here: w.here }).collect(),
            });
        }
        let columns = [
            ("name", Align::Left),
            ("family", Align::Left),
            ("year", Align::Right),
            ("parameters", Align::Right),
            ("MACs", Align::Right),
            ("input", Align::Right),
            ("top-1", Align::Right),
            ("weights", Align::Left),
        ];
        let mut table = Table::new(&columns, 7);
        for line in &lines {
            let input = line.input.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
            let weights =
                line.weights.iter().map(|w| format!("{}{}", w.tag, if w.here { " (here)" } else { "" }));
            table.push([
                line.name.to_string(),
                line.family.into(),
                line.year.to_string(),
                thousands(line.params),
                count(line.macs),
                input,
                line.top1.map(|top1| format!("{top1:.2}")).unwrap_or_default(),
                weights.collect::<Vec<_>>().join(", "),
            ]);
        }
        let json = || Ok(serde_json::to_string_pretty(&lines)?);
        let after = || match lines.is_empty() {
            true => "nothing matches; `zoo list` without a pattern shows all\n".into(),
            false => String::new(),
        };
        output::table(self.format.into(), &table, json, after)
    }

    fn wants(&self, name: &str) -> bool {
        self.pattern.as_deref().is_none_or(|pattern| match pattern.contains('*') {
            true => matches(pattern, name),
            false => name.contains(pattern),
        })
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
