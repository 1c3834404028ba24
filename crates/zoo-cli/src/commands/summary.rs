//! `zoo summary`: what a network is made of and what it costs.

use anyhow::Result;
use clap::{Args, ValueEnum};
use zoo_report::{Optimizer, Options, Summary, bytes, count, layer_lines, layer_table, thousands};

use crate::{
    arguments::FormatArgument,
    failure::OrWrongCall,
    options::{OptionArguments, cut},
    output, running,
};

/// Show what a network is made of and what it costs
///
/// Layers as a tree, with output shapes, parameters and multiply-accumulates, and the memory that answering and
/// training need. No weights are needed. JSON and CSV list every layer, whatever --depth.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo summary resnet50\n  zoo summary resnet50 --depth 3 --input 3x288x288\n  \
                  zoo summary three_convs --batch 50 --train\n  \
                  zoo summary seresnet18 --small-images --classes 10 --in-channels 1\n  \
                  zoo summary xception --output-stride 16 --at block12\n  \
                  zoo summary vgg16 --convolutional --input 3x384x384"
)]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
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
    #[command(flatten)]
    options: OptionArguments,
    /// Only what this layer, scope or output needs
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
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

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = running::model(&self.model)?;
        let model =
            self.options.asked(model).and_then(|model| cut(model, self.at.as_ref())).or_wrong_call()?;
        let graph = model.graph().or_wrong_call()?;
        let optimizer = match self.optimizer {
            OptimizerName::Sgd => Optimizer::Sgd,
            OptimizerName::Momentum => Optimizer::Momentum,
            OptimizerName::Adamw => Optimizer::AdamW,
        };
        let summary = Summary::of(&graph, &Options { batch: self.batch as usize, optimizer })?;
        let table = match self.format.into() {
            zoo_report::Format::Csv => layer_lines(&summary),
            _ => layer_table(&summary, self.depth),
        };
        let json = || Ok(serde_json::to_string_pretty(&summary)?);
        output::table(self.format.into(), &table, json, || self.totals(&summary))
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
            let peak = format!("{} with the gradients of outputs", bytes(memory.training_peak_bytes));
            lines.push(("  in a step".into(), peak));
        }
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        lines.iter().fold("\n".into(), |text, (name, value)| {
            text + format!("{name:width$}  {value}").trim_end() + "\n"
        })
    }
}
