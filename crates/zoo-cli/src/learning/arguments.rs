//! The flags that `train` and `finetune` have in common.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use zoo::Model;
use zoo_data::{Dataset, shown};
use zoo_train::optim::{AdamW, Method, RmsProp, Sgd};
use zoo_train::{Checkpointing, Recipe, RunFolder};

use super::{DataArguments, Kind, Parts, Plan, StagePlan, place};
use crate::{failure::OrWrongCall, options::OptionArguments, running::check_apart, size::parse_size};

/// What is learned from which pictures, how, and where it is kept.
#[derive(Debug, Args)]
pub(crate) struct LearnArguments {
    #[command(flatten)]
    pub(crate) data: DataArguments,
    #[command(flatten)]
    pub(crate) options: OptionArguments,
    #[command(flatten)]
    pub(crate) recipe: RecipeArguments,
    /// What everything random is drawn from
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    pub(crate) place: PlaceArguments,
}

impl LearnArguments {
    /// Says what was asked for and is otherwise in the data: the classes, which are an error, and parts.
    pub(crate) fn compare(&self, data: &dyn Dataset) -> Result<()> {
        self.data.tell_unused(data);
        let found = data.classes().len();
        match self.options.layers.classes.filter(|asked| *asked != found) {
            Some(asked) => Err(anyhow!(
                "`--classes` is {asked}, and the data has {found}; leave the flag out, or give data of so many classes"
            ))
            .or_wrong_call(),
            None => Ok(()),
        }
    }

    /// The plan of a new run of `model`, as the caller named it, in these stages.
    ///
    /// # Errors
    /// What can't be done, before anything is written.
    pub(crate) fn plan(
        &self,
        kind: Kind,
        name: String,
        model: &Model,
        weights: Option<&Path>,
        stages: Vec<StagePlan>,
    ) -> Result<Plan> {
        let (folder, file) = place(self.place.output.as_deref(), model.architecture().name)?;
        if let Some(file) = &file {
            let begins_with = [model.file(), weights, self.recipe.begins_with()];
            check_spared(file, &folder, begins_with.into_iter().flatten()).or_wrong_call()?;
        }
        let plan = Plan {
            kind,
            model: lasting(name)?,
            options: model.options(),
            weights: None,
            key: None,
            init_from: self.recipe.init_from()?,
            preprocessing: None,
            data: self.data.data.as_deref().map(std::path::absolute).transpose()?,
            shares: self.data.shares(self.seed),
            stages,
            seed: self.seed,
            strict: self.data.strict,
            file: file.as_deref().map(std::path::absolute).transpose()?,
        };
        plan.check()?;
        Ok(plan)
    }
}

/// That a run begins with neither the file that it is to write nor one in the run beside it, whose place it takes.
fn check_spared<'p>(
    file: &Path,
    folder: &Path,
    begins_with: impl Iterator<Item = &'p Path> + Clone,
) -> Result<()> {
    check_apart(file, begins_with.clone())?;
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let lies_in = |path: &&Path| path.canonicalize().is_ok_and(|path| path.starts_with(&folder));
    match begins_with.into_iter().find(lies_in) {
        Some(path) => Err(anyhow!(
            "{} is read, and lies in the run that would make room for the new one; name another file to write",
            shown(path)
        )),
        None => Ok(()),
    }
}

/// A model's name, or the path of its file from wherever the run is taken up again.
fn lasting(model: String) -> Result<String> {
    let path = Path::new(&model);
    match path.extension().is_some_and(|ending| ending == "safetensors") && path.exists() {
        true => Ok(std::path::absolute(path)?.to_str().map(String::from).unwrap_or(model)),
        false => Ok(model),
    }
}

/// What is changed of a recipe.
#[derive(Clone, Debug, Args)]
pub(crate) struct RecipeArguments {
    /// A recipe of your own, TOML: --print-recipe gives one to begin with
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Print the recipe that would be followed (of the last stage, if there are several), and end
    #[arg(long, conflicts_with_all = ["resume", "memory"])]
    pub(crate) print_recipe: bool,
    /// Passes over the pictures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    epochs: Option<u32>,
    /// Pictures for each step
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// Passes whose gradients are averaged for one step: the step of a batch so many times as large, in the memory of one.
    /// Not quite for networks with batch norms, which see only one pass's pictures at a time: keep at least 8 in a pass.
    /// Nor where a pass's mean isn't the batch's: with class weights, pixels that don't count, or Dice
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
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true, conflicts_with = "resume")]
    memory: Option<u64>,
    /// What moves the weights, with its usual settings, instead of the recipe's; give it a --rate that suits it
    #[arg(long, value_enum, value_name = "NAME")]
    optimizer: Option<OptimizerName>,
    /// The highest learning rate
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
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

    /// The file to begin with, as it was named.
    pub(crate) fn begins_with(&self) -> Option<&Path> {
        self.init_from.as_deref()
    }

    /// The file to begin with, wherever the run is taken up again.
    fn init_from(&self) -> Result<Option<PathBuf>> {
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
    /// The run's folder, or a .safetensors file beside which it lies as FILE.run; a file and the finished run beside it
    /// are replaced, a folder that holds a run is not [default: MODEL.run]
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
        if plan.preprocessing.is_none() {
            return Err(anyhow!(
                "{} was begun by an older version of this program, which draws other pictures in later stages; begin another \
                 run, with `--init-from {0}/best.safetensors` if there is one",
                shown(path)
            ));
        }
        Ok(Some((folder, plan)))
    }
}

/// An error with what helps on the command line.
fn hint(error: zoo_train::Error, kind: Kind) -> anyhow::Error {
    let command = if kind == Kind::Train { "train" } else { "finetune" };
    match error {
        zoo_train::Error::Taken { folder } => anyhow!(
            "{} holds a run; go on with `zoo {command} --resume {0}`, or name another folder with `-o`",
            shown(&folder)
        ),
        zoo_train::Error::Unfinished { folder } => anyhow!(
            "{} holds a run that isn't finished; go on with `zoo {command} --resume {0}`, or delete that folder to begin anew",
            shown(&folder)
        ),
        other => other.into(),
    }
}

/// The folder of a run: the one that it began in, or a new one.
pub(crate) fn begun(
    folder: Option<RunFolder>,
    plan: &Plan,
    output: Option<&Path>,
    parts: &Parts,
    model: &str,
) -> Result<RunFolder> {
    if let Some(folder) = folder {
        parts.write_missing(&folder)?;
        return Ok(folder);
    }
    let (path, file) = place(output, model)?;
    let run = serde_json::to_value(plan)?;
    // Who names a file wants it written, as every command does; the folder beside it is by the way. Who names a folder
    // wants that run.
    let begun = match file {
        Some(_) => RunFolder::begin_again(&path, &run),
        None => RunFolder::begin(&path, &run),
    };
    let folder = begun.map_err(|error| hint(error, plan.kind))?;
    parts.write(&folder)?;
    Ok(folder)
}
