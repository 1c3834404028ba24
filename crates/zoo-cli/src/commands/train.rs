//! `zoo train`: a network from nothing.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use zoo_data::shown;
use zoo_train::optim::{AdamW, Method, RmsProp, Sgd};
use zoo_train::{Checkpointing, Recipe, RunFolder};

use crate::{
    failure::{OrWrongCall, WrongCall},
    learning::{DataArguments, Kind, Parts, Plan, Session, StagePlan, Thawed, check_masks, open, place},
    options::OptionArguments,
    running::{self, MachineArguments},
    size::parse_size,
};

/// Train a network from nothing
///
/// On pictures in folders, a table, IDX or CIFAR files; without --data on the 8,000 digits inside the program, for
/// segmentation on scenes made of them. A network for segmentation takes pictures with masks. The run's
/// folder keeps the best network by the validation part, the log, a report on the test part, and a checkpoint from which
/// --resume goes on: a run that was stopped or killed ends in the same bytes as one that wasn't.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo train lenet5 -o lenet5.safetensors\n  \
                        zoo train resnet18 --data photos/ --input 3x128x128 -o run/\n  \
                        zoo train mnist_convnet --data mnist/ --epochs 5 --seed 7\n  \
                        zoo train resnet50 --data photos/ --batch 32 --memory 4GiB\n  \
                        zoo train fcn_digits -o scenes/                          (scenes made of the digits inside the program)\n  \
                        zoo train fcn16s --data voc/ --init-from fcn32s.run/best.safetensors\n  \
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
    /// Passes whose gradients are averaged for one step: the step of a batch so many times as large, in the memory of one.
    /// Not quite for networks with batch norms, which see only one pass's pictures at a time: keep at least 8 in a pass
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    accumulate: Option<u32>,
    /// What is computed again on the way back instead of kept (gradient checkpointing): the same bits in less memory,
    /// for up to a third more time
    #[arg(long, value_enum, value_name = "WHAT")]
    recompute: Option<RecomputeName>,
    /// Keep activations for the way back as bf16: half the memory; gradients come from numbers rounded to 8 bits
    #[arg(long)]
    keep_bf16: bool,
    /// Memory that the run may take, 4GiB for example: the cheapest of the above that fits is picked, and told
    #[arg(long, value_name = "SIZE", value_parser = parse_size, conflicts_with = "resume")]
    memory: Option<u64>,
    /// What moves the weights, with its usual settings, instead of the recipe's; give it a --rate that suits it
    #[arg(long, value_enum, value_name = "NAME")]
    optimizer: Option<OptimizerName>,
    /// The highest learning rate
    #[arg(long, value_name = "X")]
    rate: Option<f64>,
    /// Begin with what fits of this file, another network's or a classifier's, and draw the rest
    #[arg(long, value_name = "FILE")]
    init_from: Option<PathBuf>,
    /// Let classes count alike, however many pictures they have (of masks: pixels)
    #[arg(long)]
    weigh_classes: bool,
    /// Draw classes alike often, however many pictures they have
    #[arg(long)]
    balanced: bool,
}

/// What is computed again on the way back.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RecomputeName {
    /// Nothing
    Off,
    /// Norms, activations, pools
    Cheap,
    /// Whatever saves most for the time
    All,
}

/// What moves the weights.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OptimizerName {
    /// Gradient descent with momentum: one number for each parameter
    Sgd,
    /// Adam with decoupled weight decay: two
    Adamw,
    /// RMSprop with momentum: two
    Rmsprop,
}

impl OptimizerName {
    /// What it is called here.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Adamw => "adamw",
            Self::Rmsprop => "rmsprop",
        }
    }

    /// The optimizer with its usual settings.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::Sgd => Method::Sgd(Sgd::NESTEROV),
            Self::Adamw => Method::Adamw(AdamW::DEFAULT),
            Self::Rmsprop => Method::Rmsprop(RmsProp::DEFAULT),
        }
    }
}

impl RecipeArguments {
    /// The memory that the run may take.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.memory
    }

    /// The file to begin with, wherever the run is taken up again.
    pub(crate) fn init_from(&self) -> Result<Option<PathBuf>> {
        Ok(self.init_from.as_deref().map(std::path::absolute).transpose()?)
    }

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
        recipe.accumulate = self.accumulate.map_or(recipe.accumulate, |passes| passes as usize);
        recipe.recompute = match self.recompute {
            None => recipe.recompute,
            Some(RecomputeName::Off) => Checkpointing::Off,
            Some(RecomputeName::Cheap) => Checkpointing::Cheap,
            Some(RecomputeName::All) => Checkpointing::All,
        };
        recipe.keep_bf16 |= self.keep_bf16;
        recipe.optimizer = self.optimizer.map_or(recipe.optimizer, OptimizerName::method);
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
        let (folder, mut plan) = match resumed {
            Some((folder, plan)) => (Some(folder), plan),
            None => (None, self.plan()?),
        };
        let data = open(plan.data.as_deref(), &plan.named()?)?;
        let model = plan.asked(data.classes(), &device)?;
        let graph = model.graph().or_wrong_call()?;
        if plan.data.is_none() && !data.has_masks() && graph.input().channels() != 1 {
            return Err(WrongCall(anyhow!(
                "`{}` takes {}, no digits: give pictures with `--data`; `lenet5`, `lenet5_paper` and `mnist_convnet` \
                 learn from the digits inside the program",
                model.architecture().name,
                graph.input()
            ))
            .into());
        }
        if !data.has_masks() {
            model.check_classifies().or_wrong_call()?;
        }
        if let Some(limit) = self.recipe.memory() {
            plan.keep_within(&graph, limit)?;
        }
        let has_checkpoint = folder.as_ref().is_some_and(|folder| folder.checkpoint().exists());
        let mut network = match &plan.init_from {
            // What a checkpoint has takes the place of whatever the run began with.
            Some(file) if !has_checkpoint => running::initialised(&model, file)?,
            _ => model.fresh()?,
        };
        if let Some(scale) = plan.stages.first().and_then(|stage| stage.recipe.digits) {
            network = network.with_digits(scale.mean, scale.std);
        }
        check_masks(&*data, plan.strict)?;
        let parts = Parts::new(data, &plan.shares, folder.as_ref())?;
        let folder = begun(folder, &plan, self.place.output.as_deref(), &parts, network.architecture().name)?;
        let every = self.place.checkpoint_every;
        Session { plan, folder, network, parts, device, every }.run()
    }

    fn plan(&self) -> Result<Plan> {
        let name = self.model.clone().unwrap_or_default();
        let model = self.options.asked(running::model(&name)?).or_wrong_call()?;
        let architecture = model.architecture().name;
        let usual = || match model.check_segments() {
            Ok(()) => Recipe::for_segmenter(architecture),
            Err(_) => Recipe::for_model(architecture),
        };
        let recipe = self.recipe.of(usual).or_wrong_call()?;
        let (_, file) = place(self.place.output.as_deref(), architecture)?;
        let plan = Plan {
            kind: Kind::Train,
            model: name,
            options: model.options(),
            weights: None,
            key: None,
            init_from: self.recipe.init_from()?,
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
