//! `zoo finetune`: a network that has learned, on one's own pictures.

use anyhow::{Result, anyhow};
use clap::Args;
use zoo_train::Recipe;

use crate::{
    failure::OrWrongCall,
    learning::{
        Kind, LearnArguments, Parts, Plan, Session, StagePlan, Thawed, begun, check_readable, check_room,
        check_sampling, open, printed, usual,
    },
    running::{self, RunArguments},
};

/// The part of the parameters that thaws first where nobody says which.
const TOP: u8 = 50;

/// Fine-tune a network that has learned on pictures of your own
///
/// First a new last layer learns alone, by a recipe of its own, which --epochs, --batch, --rate, --optimizer and --recipe
/// change with --linear-probe alone, and from features that are computed once (those of all pixels would be too many: for
/// segmentation they are computed anew, by the recipe of what follows); then the network thaws from the top, in
/// small steps that are smaller still further down. The best network by the validation part is kept, and tested once. The
/// run's folder is as `zoo train`'s, and --resume goes on in the same way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo finetune resnet50 --data photos/ -o run/\n  \
                        zoo finetune resnet18 --data photos/ --linear-probe -o head.safetensors\n  \
                        zoo finetune xception_keras --weights mine.safetensors --data photos/ --input 3x128x128\n  \
                        zoo finetune resnet50 --data photos/ --unfreeze layer4 --epochs 8\n  \
                        zoo finetune resnet50 --data photos/ --memory 3GiB\n  \
                        zoo finetune fcn_resnet50 --data voc/ --input 3x256x256 -o run/       (masks: JPEGImages, SegmentationClass)\n  \
                        zoo finetune --resume run/\n\nThen: zoo predict run/best.safetensors picture.jpg")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    model: Option<String>,
    #[command(flatten)]
    learn: LearnArguments,
    /// End when the new last layer has learned
    #[arg(long, conflicts_with = "unfreeze")]
    linear_probe: bool,
    /// A layer or scope that learns beside the last layer, all if it is `all`; may be repeated [default: the upper half,
    /// then all]
    #[arg(long, value_name = "SCOPE|auto|all")]
    unfreeze: Vec<String>,
    /// Let norms keep the statistics that they came with: for batches of a few pictures
    #[arg(long)]
    frozen_norms: bool,
    #[command(flatten)]
    run: RunArguments,
}

impl Arguments {
    pub(crate) fn run(mut self) -> Result<String> {
        if self.learn.recipe.print_recipe {
            return printed(&self.plan()?);
        }
        let resumed = self.learn.place.resumed(Kind::Finetune)?;
        let (folder, mut plan) = match resumed {
            Some((folder, plan)) => (Some(folder), plan),
            None => (None, self.plan()?),
        };
        self.run.take(plan.weights.clone(), plan.key.clone());
        let device = self.run.machine()?;
        let data = open(plan.data.as_deref(), &plan.named()?, plan.scenes())?;
        if folder.is_none() {
            self.learn.compare(&*data)?;
        }
        let model = plan.asked(data.classes(), &device)?.under(plan.key.clone());
        let graph = model.graph().or_wrong_call()?;
        if !data.has_masks() {
            model.check_classifies().or_wrong_call()?;
        }
        check_sampling(&*data, &plan.stages)?;
        check_readable(&*data, plan.strict)?;
        if let Some(limit) = self.learn.recipe.memory() {
            plan.keep_within(&graph, data.len(), limit)?;
        }
        check_room(&plan.stages, &graph, &device)?;
        let parts = Parts::new(data, &plan.shares, folder.as_ref(), plan.strict)?;
        let has_checkpoint = folder.as_ref().is_some_and(|folder| folder.checkpoint().exists());
        let network = match &plan.init_from {
            // What a checkpoint has takes the place of whatever the run began with.
            Some(file) if !has_checkpoint => running::initialised(&model, file)?,
            Some(_) => model.fresh()?,
            None => self.run.load(&model)?,
        };
        for stage in &plan.stages {
            let frozen = stage.thawed.frozen(network.graph()).or_wrong_call()?;
            if stage.thawed != Thawed::Head {
                stage.recipe.check_for(network.graph(), &frozen).map_err(by_flag).or_wrong_call()?;
            }
        }
        let network = plan.prepared(network)?;
        network.prepare().pipeline().or_wrong_call()?;
        let folder =
            begun(folder, &plan, self.learn.place.output.as_deref(), &parts, network.architecture().name)?;
        let every = self.learn.place.checkpoint_every;
        Session { plan, folder, network, parts, device, every }.run()
    }

    fn plan(&self) -> Result<Plan> {
        let name = self.model.clone().unwrap_or_default();
        let model = self.learn.options.asked(running::model(&name)?).or_wrong_call()?;
        if self.learn.data.data.is_none() && !self.learn.recipe.print_recipe {
            return Err(anyhow!("there is nothing to fine-tune on; give pictures with `--data`"))
                .or_wrong_call();
        }
        let segments = model.check_segments().is_ok();
        let mut recipe = self.learn.recipe.of(|| usual(&model, Kind::Finetune))?;
        recipe.frozen_norms |= self.frozen_norms;
        let &Recipe { weigh_classes, balanced, .. } = &recipe;
        let head = match self.linear_probe {
            true => self.learn.recipe.of(Recipe::head)?,
            false => Recipe { weigh_classes, balanced, ..Recipe::head()? },
        };
        let head = match segments {
            // The features of all pixels of all pictures would be too many to keep: they are computed anew.
            true => {
                let scores = zoo_train::class_layers(&model.graph().or_wrong_call()?);
                StagePlan { name: "head".into(), thawed: Thawed::Scopes(scores), recipe: recipe.clone() }
            }
            false => StagePlan { name: "head".into(), thawed: Thawed::Head, recipe: head },
        };
        let mut stages = vec![head];
        let stage = |name: &str, thawed| StagePlan { name: name.into(), thawed, recipe: recipe.clone() };
        let scopes: Vec<&str> = self.unfreeze.iter().map(String::as_str).collect();
        match scopes.as_slice() {
            _ if self.linear_probe => {}
            [] | ["auto"] => stages.extend([stage("top", Thawed::Top(TOP)), stage("all", Thawed::All)]),
            ["all"] => stages.push(stage("all", Thawed::All)),
            _ => stages.push(stage("thawed", Thawed::Scopes(self.unfreeze.clone()))),
        }
        let (weights, key) = self.run.weights();
        let own = name.ends_with(".safetensors").then_some(name.as_str());
        let given = weights.as_ref().map(|_| "--weights").or(own);
        if let (Some(given), Some(file)) = (given, self.learn.recipe.begins_with()) {
            return Err(anyhow!(
                "`{given}` and `--init-from {}` both say what the network begins with; give one: of `--init-from` what fits \
                 is carried, the other must fit but for the last layer",
                zoo_data::shown(file)
            ))
            .or_wrong_call();
        }
        // A tag is no path, and stays as it is.
        let weights = weights
            .map(|path| if path.exists() { std::path::absolute(path) } else { Ok(path) })
            .transpose()?;
        let plan = self.learn.plan(Kind::Finetune, name, &model, weights.as_deref(), stages)?;
        Ok(Plan { weights, key, ..plan })
    }
}

/// The error with this command's flag instead of the recipe's entry.
fn by_flag(error: zoo_train::Error) -> anyhow::Error {
    match error {
        zoo_train::Error::BatchOfOne { .. } => {
            anyhow!(error.to_string().replace("`frozen_norms = true` in the recipe", "`--frozen-norms`"))
        }
        other => other.into(),
    }
}
