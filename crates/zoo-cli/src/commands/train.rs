//! `zoo train`: a network from nothing.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use zoo_data::shown;
use zoo_train::{Recipe, RunFolder};

use crate::{
    failure::{OrWrongCall, WrongCall},
    learning::{DataArguments, Kind, Parts, Plan, Session, StagePlan, Thawed, open, place},
    options::OptionArguments,
    running::{self, MachineArguments},
};

/// Train a network from nothing
///
/// On pictures in folders, a table, IDX or CIFAR files; without --data on the 8,000 digits inside the program. The run's
/// folder keeps the best network by the validation part, the log, a report on the test part, and a checkpoint from which
/// --resume goes on: a run that was stopped or killed ends in the same bytes as one that wasn't.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo train lenet5 -o lenet5.safetensors\n  \
                        zoo train resnet18 --data photos/ --input 3x128x128 -o run/\n  \
                        zoo train mnist_convnet --data mnist/ --epochs 5 --seed 7\n  \
                        zoo train --resume run/\n\nMNIST's files are train-images-idx3-ubyte, \
                        train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, gzipped or not.")]
pub(crate) struct Arguments {
    /// Name of an architecture
    #[arg(required_unless_present = "resume")]
    model: Option<String>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    recipe: RecipeArguments,
    /// What everything random is drawn from
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    machine: MachineArguments,
}

/// What is changed of a recipe.
#[derive(Clone, Debug, Args)]
pub(crate) struct RecipeArguments {
    /// A recipe of your own, TOML
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Passes over the pictures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: Option<u32>,
    /// Pictures for each step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// The highest learning rate
    #[arg(long, value_name = "X")]
    rate: Option<f64>,
    /// Let classes count alike, however many pictures they have
    #[arg(long)]
    weigh_classes: bool,
    /// Draw classes alike often, however many pictures they have
    #[arg(long)]
    balanced: bool,
}

impl RecipeArguments {
    /// The recipe of the file, or `usual`, with what the flags change of it.
    pub(crate) fn of(&self, usual: impl FnOnce() -> zoo_train::Result<Recipe>) -> Result<Recipe> {
        let mut recipe = match &self.recipe {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("the recipe {} can't be read", shown(path)))?;
                Recipe::parse(&text, &shown(path))?
            }
            None => usual()?,
        };
        if let Some(epochs) = self.epochs {
            recipe.epochs = epochs as usize;
            recipe.warmup_epochs = recipe.warmup_epochs.min(recipe.epochs as f64 / 2.0);
        }
        recipe.batch_size = self.batch.map_or(recipe.batch_size, |batch| batch as usize);
        recipe.learning_rate = self.rate.unwrap_or(recipe.learning_rate);
        recipe.weigh_classes |= self.weigh_classes;
        recipe.balanced |= self.balanced;
        recipe.check()?;
        Ok(recipe)
    }
}

/// Where a run keeps what it makes, and how it is taken up again.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlaceArguments {
    /// The run's folder, or a .safetensors file beside which it lies [default: MODEL.run]
    #[arg(short, long, value_name = "DIR|FILE", conflicts_with = "resume")]
    pub(crate) output: Option<PathBuf>,
    /// Go on with the run in this folder; what it does is written there, and other flags don't count
    #[arg(long, value_name = "DIR")]
    pub(crate) resume: Option<PathBuf>,
    /// Seconds between two checkpoints within an epoch
    #[arg(long, value_name = "N")]
    pub(crate) checkpoint_every: Option<u64>,
}

impl PlaceArguments {
    /// The folder and the plan of the run that is to go on.
    pub(crate) fn resumed(&self, kind: Kind) -> Result<Option<(RunFolder, Plan)>> {
        let Some(path) = &self.resume else { return Ok(None) };
        let (folder, plan) = RunFolder::resume(path)?;
        let plan: Plan = serde_json::from_value(plan).with_context(|| format!("{}/run.json", shown(path)))?;
        if plan.kind != kind {
            let other = if kind == Kind::Train { "finetune" } else { "train" };
            return Err(anyhow!(
                "{} holds another kind of run; go on with `zoo {other} --resume`",
                shown(path)
            ))
            .or_wrong_call();
        }
        Ok(Some((folder, plan)))
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let device = self.machine.settle()?;
        let resumed = self.place.resumed(Kind::Train)?;
        let (folder, plan) = match resumed {
            Some((folder, plan)) => (Some(folder), plan),
            None => (None, self.plan()?),
        };
        let data = open(plan.data.as_deref())?;
        let model = plan.asked(data.classes(), &device)?;
        let graph = model.graph().or_wrong_call()?;
        if plan.data.is_none() && graph.input().channels() != 1 {
            return Err(WrongCall(anyhow!(
                "`{}` takes {}, no digits: give pictures with `--data`; `lenet5`, `lenet5_paper` and `mnist_convnet` \
                 learn from the digits inside the program",
                model.architecture().name,
                graph.input()
            ))
            .into());
        }
        model.check_classifies().or_wrong_call()?;
        let mut network = model.fresh()?;
        if let Some(scale) = plan.stages.first().and_then(|stage| stage.recipe.digits) {
            network = network.with_digits(scale.mean, scale.std);
        }
        let parts = Parts::new(data, &plan.shares, folder.as_ref())?;
        let folder = begun(folder, &plan, self.place.output.as_deref(), &parts, network.architecture().name)?;
        let every = self.place.checkpoint_every;
        Session { plan, folder, network, parts, device, every }.run()
    }

    fn plan(&self) -> Result<Plan> {
        let name = self.model.clone().unwrap_or_default();
        let model = self.options.asked(running::model(&name)?).or_wrong_call()?;
        let architecture = model.architecture().name;
        let recipe = self.recipe.of(|| Recipe::for_model(architecture))?;
        let (_, file) = place(self.place.output.as_deref(), architecture)?;
        let plan = Plan {
            kind: Kind::Train,
            model: name,
            options: model.options(),
            weights: None,
            key: None,
            data: self.data.data.as_deref().map(std::path::absolute).transpose()?,
            shares: self.data.shares(self.seed),
            stages: vec![StagePlan { name: "train".into(), thawed: Thawed::All, recipe }],
            seed: self.seed,
            strict: self.data.strict,
            file: file.as_deref().map(std::path::absolute).transpose()?,
        };
        plan.check()?;
        Ok(plan)
    }
}

/// The folder of a run: the one that it began in, or a new one.
pub(crate) fn begun(
    folder: Option<RunFolder>,
    plan: &Plan,
    output: Option<&std::path::Path>,
    parts: &Parts,
    model: &str,
) -> Result<RunFolder> {
    if let Some(folder) = folder {
        return Ok(folder);
    }
    let (path, _) = place(output, model)?;
    let folder = RunFolder::begin(&path, &serde_json::to_value(plan)?)?;
    parts.write(&folder)?;
    Ok(folder)
}
