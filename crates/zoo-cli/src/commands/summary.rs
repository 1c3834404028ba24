//! `zoo summary`: what a network is made of and what it costs.

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use zoo_layers::{Graph, Shape};
use zoo_report::{Optimizer, Options, Summary, bytes, count, layer_table, thousands};

use crate::{arguments::FormatArgument, failure::OrWrongCall, output, running};

/// Show what a network is made of and what it costs
///
/// Layers as a tree, with output shapes, parameters and multiply-accumulates, and the memory that answering and
/// training need. No weights are needed. JSON and CSV list every layer, whatever --depth.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo summary resnet50\n  zoo summary resnet50 --depth 3 --input 3x288x288\n  \
                  zoo summary three_convs --batch 50 --train"
)]
pub(crate) struct Arguments {
    /// Name of an architecture, as `zoo list` shows them, or a .safetensors file that names its own
    model: String,
    /// Picture size, channels x height x width
    #[arg(long, value_name = "CxHxW", value_parser = parse_input)]
    input: Option<[usize; 3]>,
    /// Pictures at once; memory is for so many
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
    /// Levels of names to show
    #[arg(long, default_value_t = 2, value_name = "N")]
    depth: usize,
    /// Show the memory that training needs
    #[arg(long)]
    train: bool,
    /// What trains, for its memory
    #[arg(long, value_enum, default_value = "sgd", value_name = "NAME")]
    optimizer: OptimizerName,
    /// Classes to tell apart instead of the network's own
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    #[command(flatten)]
    format: FormatArgument,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerName {
    /// Plain gradient descent: no state
    Sgd,
    /// Gradient descent with momentum: one number for each parameter
    Momentum,
    /// Adam and AdamW: two numbers for each parameter
    Adamw,
}

fn parse_input(text: &str) -> Result<[usize; 3], String> {
    let sides: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match sides.as_deref() {
        Ok(&[c, h, w]) if c > 0 && h > 0 && w > 0 => Ok([c, h, w]),
        _ => Err("write channels x height x width, 3x224x224 for example".into()),
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let graph = self.graph(running::model(&self.model)?.graph().clone()).or_wrong_call()?;
        let optimizer = match self.optimizer {
            OptimizerName::Sgd => Optimizer::Sgd,
            OptimizerName::Momentum => Optimizer::Momentum,
            OptimizerName::Adamw => Optimizer::AdamW,
        };
        let summary = Summary::of(&graph, &Options { batch: self.batch as usize, optimizer });
        let depth = match self.format.into() {
            zoo_report::Format::Csv => usize::MAX,
            _ => self.depth,
        };
        let table = layer_table(&summary, depth);
        let json = || Ok(serde_json::to_string_pretty(&summary)?);
        output::table(self.format.into(), &table, json, || self.totals(&summary))
    }

    fn graph(&self, mut graph: Graph) -> Result<Graph> {
        if let Some(classes) = self.classes {
            graph = graph.with_num_classes(classes)?;
        }
        let Some([channels, height, width]) = self.input else { return Ok(graph) };
        graph.at(Shape::map(channels, height, width)).map_err(|error| {
            let nominal = graph.input();
            let smallest = smallest_side(&graph).filter(|side| height.min(width) < *side);
            match smallest {
                Some(side) => anyhow!(
                    "{error}. The smallest square picture `{}` takes is {}x{side}x{side}",
                    self.model,
                    nominal.channels()
                ),
                None => anyhow!(error),
            }
        })
    }

    /// The lines below the table.
    fn totals(&self, summary: &Summary) -> String {
        let params = &summary.params;
        let memory = &summary.memory;
        let mut lines = vec![
            ("parameters".into(), thousands(params.total)),
            ("MACs".into(), format!("{} a picture", count(summary.macs))),
        ];
        if params.buffers > 0 {
            lines[0].1 += &format!(", and {} in buffers", thousands(params.buffers));
        }
        if params.auxiliary > 0 {
            lines[0].1 += &format!(", {} in auxiliary heads", thousands(params.auxiliary));
            lines[1].1 += &format!(", {} in auxiliary heads", count(summary.macs_auxiliary));
        }
        let plural = if self.batch == 1 { "" } else { "s" };
        let total = memory.weights_bytes + memory.inference_peak_bytes;
        lines.push((format!("memory, {} picture{plural}", self.batch), String::new()));
        lines.push(("  weights".into(), bytes(memory.weights_bytes)));
        lines.push(("  input".into(), bytes(memory.input_bytes)));
        lines.push(("  all outputs".into(), bytes(memory.activations_bytes)));
        let peak = format!("{} at once, {} with weights", bytes(memory.inference_peak_bytes), bytes(total));
        lines.push(("  to answer".into(), peak));
        if self.train {
            let what = match self.optimizer {
                OptimizerName::Sgd => "gradients and kept outputs included",
                _ => "gradients, optimizer, kept outputs included",
            };
            lines.push(("  to train".into(), format!("{}, {what}", bytes(memory.training_bytes))));
        }
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        lines.iter().fold("\n".into(), |text, (name, value)| {
            text + format!("{name:width$}  {value}").trim_end() + "\n"
        })
    }
}

/// The side of the smallest square picture the network takes, up to its nominal one.
fn smallest_side(graph: &Graph) -> Option<usize> {
    let [height, width] = graph.input().size();
    let nominal = height.max(width);
    (1..=nominal).find(|&side| graph.at_size(side, side).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_three_positive_numbers() {
        assert_eq!(parse_input("3x224x320"), Ok([3, 224, 320]));
        for wrong in ["", "3", "3x224", "3x0x5", "3x-1x5", "axbxc", "3x1x1x1"] {
            assert!(parse_input(wrong).is_err(), "`{wrong}` was taken");
        }
    }

    #[test]
    fn the_smallest_picture_is_found() -> Result<()> {
        assert_eq!(smallest_side(&zoo::find("resnet18")?.graph()?), Some(1));
        assert_eq!(smallest_side(&zoo::find("lenet5_paper")?.graph()?), Some(32));
        Ok(())
    }
}
