//! `zoo train`: a network from nothing.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use zoo_data::{Digits, Part, shown};
use zoo_train::{Recipe, Run};

use crate::{
    failure::{OrWrongCall, WrongCall},
    output,
    running::{self, MachineArguments},
};

/// Train a network on handwritten digits
///
/// From fresh weights, with the recipe found for it. Without --data it learns from the 8,000 digits inside the
/// program and is tested on 1,000 others. The same seed gives the same file, bit for bit.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo train lenet5 -o lenet5.safetensors\n  \
                        zoo train mnist_convnet --data mnist/ --epochs 5 --seed 7\n\nThe folder holds MNIST's own \
                        files, gzipped or not: train-images-idx3-ubyte, train-labels-idx1-ubyte, \
                        t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte.")]
pub(crate) struct Arguments {
    /// lenet5, lenet5_paper or mnist_convnet
    model: String,
    /// A folder of IDX files to learn from
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Passes over the digits
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: Option<u32>,
    /// What everything random is drawn from
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// The file to write [default: MODEL.safetensors]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    machine: MachineArguments,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let device = self.machine.settle()?;
        let model = running::model(&self.model)?;
        let name = model.architecture().name;
        let mut recipe = Recipe::for_model(name).ok_or_else(|| {
            WrongCall(anyhow!(
                "there is no recipe for training `{name}` from nothing; `lenet5`, `lenet5_paper` and \
                 `mnist_convnet` have one"
            ))
        })?;
        if let Some(epochs) = self.epochs {
            recipe.epochs = epochs as usize;
            recipe.warmup_epochs = recipe.warmup_epochs.min(recipe.epochs.saturating_sub(1));
        }
        recipe.check().or_wrong_call()?;
        let path = self.output.unwrap_or_else(|| PathBuf::from(format!("{name}.safetensors")));
        let destination = running::writable(&path)?;
        let (digits, test) = match &self.data {
            Some(folder) => (Digits::read(folder, Part::Train)?, Digits::read(folder, Part::Test)?),
            None => zoo_data::digits::bundled()?,
        };
        let run = Run {
            graph: model.graph(),
            digits: &digits,
            test: &test,
            recipe: &recipe,
            seed: self.seed,
            device: &device,
        };
        let bar = output::bar(recipe.epochs as u64, "epochs");
        let trained = run.train(|progress| {
            if let Some(score) = progress.test {
                bar.inc(1);
                let accuracy = score.accuracy() * 100.0;
                bar.set_message(format!("epochs, loss {:.4}, {accuracy:.2} % right", progress.loss));
            }
        })?;
        bar.finish_and_clear();
        trained.save(&path)?;
        let score = trained.score();
        let printed = format!(
            "{name}: {} of {} test digits right, {:.2} %\n{}\n",
            score.correct,
            score.digits,
            score.accuracy() * 100.0,
            shown(&path)
        );
        Ok(running::written(&destination, printed))
    }
}
