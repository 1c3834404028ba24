//! `zoo finetune`: a network that has learned, on one's own pictures.

use anyhow::{Result, anyhow};
use clap::Args;
use zoo_train::Recipe;

use super::train::{PlaceArguments, RecipeArguments, begun};
use crate::{
    failure::OrWrongCall,
    learning::{DataArguments, Kind, Parts, Plan, Session, StagePlan, Thawed, open, place},
    options::OptionArguments,
    running::RunArguments,
};

/// The part of the parameters that thaws first where nobody says which.
const TOP: u8 = 50;

/// Fine-tune a network that has learned on pictures of your own
///
/// First a new last layer learns alone, from features that are computed once; then the network thaws from the top, in
/// small steps that are smaller still further down, its norms as they are. The best network by the validation part is
/// kept, and tested once. The run's folder is as `zoo train`'s, and --resume goes on in the same way.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo finetune resnet50 --data photos/ -o run/\n  \
                        zoo finetune resnet18 --data photos/ --linear-probe -o head.safetensors\n  \
                        zoo finetune xception_keras --weights mine.safetensors --data photos/ --input 3x128x128\n  \
                        zoo finetune resnet50 --data photos/ --unfreeze layer4 --epochs 8\n  \
                        zoo finetune --resume run/\n\nThen: zoo predict run/best.safetensors picture.jpg")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    #[arg(required_unless_present = "resume")]
    model: Option<String>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    recipe: RecipeArguments,
    /// End when the new last layer has learned
    #[arg(long, conflicts_with = "unfreeze")]
    linear_probe: bool,
    /// A layer or scope that learns beside the last layer, all if it is `all`; may be repeated [default: the upper half,
    /// then all]
    #[arg(long, value_name = "SCOPE|auto|all")]
    unfreeze: Vec<String>,
    /// What everything random is drawn from
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    run: RunArguments,
}

impl Arguments {
    pub(crate) fn run(mut self) -> Result<String> {
        let resumed = self.place.resumed(Kind::Finetune)?;
        let (folder, plan) = match resumed {
            Some((folder, plan)) => (Some(folder), plan),
            None => (None, self.plan()?),
        };
        self.run.take(plan.weights.clone(), plan.key.clone());
        let device = self.run.machine()?;
        let data = open(plan.data.as_deref())?;
        let model = plan.asked(data.classes(), &device)?.under(plan.key.clone());
        model.graph().or_wrong_call()?;
        model.check_classifies().or_wrong_call()?;
        let parts = Parts::new(data, &plan.shares, folder.as_ref())?;
        let network = self.run.load(&model)?;
        for stage in &plan.stages {
            stage.thawed.frozen(network.net().graph()).or_wrong_call()?;
        }
        let folder = begun(folder, &plan, self.place.output.as_deref(), &parts, network.architecture().name)?;
        let every = self.place.checkpoint_every;
        Session { plan, folder, network, parts, device, every }.run()
    }

    fn plan(&self) -> Result<Plan> {
        let name = self.model.clone().unwrap_or_default();
        let model = self.options.asked(crate::running::model(&name)?).or_wrong_call()?;
        let Some(data) = &self.data.data else {
            return Err(anyhow!("there is nothing to fine-tune on; give pictures with `--data`"))
                .or_wrong_call();
        };
        let recipe = self.recipe.of(Recipe::finetune)?;
        let &Recipe { weigh_classes, balanced, .. } = &recipe;
        let head = Recipe { weigh_classes, balanced, ..Recipe::head()? };
        let mut stages = vec![StagePlan { name: "head".into(), thawed: Thawed::Head, recipe: head }];
        let stage = |name: &str, thawed| StagePlan { name: name.into(), thawed, recipe: recipe.clone() };
        let scopes: Vec<&str> = self.unfreeze.iter().map(String::as_str).collect();
        match scopes.as_slice() {
            _ if self.linear_probe => {}
            [] | ["auto"] => stages.extend([stage("top", Thawed::Top(TOP)), stage("all", Thawed::All)]),
            ["all"] => stages.push(stage("all", Thawed::All)),
            _ => stages.push(stage("thawed", Thawed::Scopes(self.unfreeze.clone()))),
        }
        let (_, file) = place(self.place.output.as_deref(), model.architecture().name)?;
        let (weights, key) = self.run.weights();
        let plan = Plan {
            kind: Kind::Finetune,
            model: name,
            options: model.options(),
            // A tag is no path, and stays as it is.
            weights: weights
                .map(|path| if path.exists() { std::path::absolute(path) } else { Ok(path) })
                .transpose()?,
            key,
            data: Some(std::path::absolute(data)?),
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
