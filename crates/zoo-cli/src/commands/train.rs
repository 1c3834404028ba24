//! `zoo train`: a network from nothing.

use anyhow::{Result, anyhow};
use clap::Args;

use crate::{
    failure::{OrWrongCall, WrongCall},
    learning::{
        Kind, LearnArguments, Parts, Plan, Session, StagePlan, Thawed, begun, check_readable, check_room,
        check_sampling, open, printed, usual,
    },
    running::{self, MachineArguments},
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
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    model: Option<String>,
    #[command(flatten)]
    learn: LearnArguments,
    #[command(flatten)]
    machine: MachineArguments,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        if self.learn.recipe.print_recipe {
            return printed(&self.plan()?);
        }
        let device = self.machine.settle()?;
        let resumed = self.learn.place.resumed(Kind::Train)?;
        let (folder, mut plan) = match resumed {
            Some((folder, plan)) => (Some(folder), plan),
            None => (None, self.plan()?),
        };
        let data = open(plan.data.as_deref(), &plan.named()?, plan.scenes())?;
        if folder.is_none() {
            self.learn.compare(&*data)?;
        }
        let model = plan.asked(data.classes(), &device)?;
        let graph = model.graph().or_wrong_call()?;
        if plan.data.is_none() && !data.has_masks() && graph.input().channels() != 1 {
            return Err(WrongCall(anyhow!(
                "`{}` takes {}, no digits: give pictures with `--data`; `digitnet`, `lenet5`, `lenet5_paper` and `mnist_convnet` \
                 learn from the digits inside the program",
                model.architecture().name,
                graph.input()
            ))
            .into());
        }
        if !data.has_masks() {
            model.check_classifies().or_wrong_call()?;
        }
        if let Some(limit) = self.learn.recipe.memory() {
            plan.keep_within(&graph, data.len(), limit)?;
        }
        for stage in &plan.stages {
            stage.recipe.check_for(&graph, &[]).or_wrong_call()?;
        }
        let has_checkpoint = folder.as_ref().is_some_and(|folder| folder.checkpoint().exists());
        let mut network = match &plan.init_from {
            // What a checkpoint has takes the place of whatever the run began with.
            Some(file) if !has_checkpoint => running::initialised(&model, file)?,
            _ => model.fresh()?,
        };
        // What begins with another network sees its pixels.
        let scale = plan.stages.first().and_then(|stage| stage.recipe.digits);
        if let Some(scale) = scale.filter(|_| plan.init_from.is_none()) {
            network = network.with_digits(scale.mean, scale.std);
        }
        let network = plan.prepared(network)?;
        network.prepare().pipeline().or_wrong_call()?;
        check_room(&plan.stages, &graph, &device)?;
        check_sampling(&*data, &plan.stages)?;
        check_readable(&*data, plan.strict)?;
        let parts = Parts::new(data, &plan.shares, folder.as_ref(), plan.strict)?;
        let folder =
            begun(folder, &plan, self.learn.place.output.as_deref(), &parts, network.architecture().name)?;
        let every = self.learn.place.checkpoint_every;
        Session { plan, folder, network, parts, device, every }.run()
    }

    fn plan(&self) -> Result<Plan> {
        let name = self.model.clone().unwrap_or_default();
        let model = self.learn.options.asked(running::model(&name)?).or_wrong_call()?;
        if model.file().is_some() && self.learn.recipe.begins_with().is_none() {
            crate::output::note(&format!(
                "{name} says what is trained; its weights are not used: `--init-from` carries them, `zoo finetune` goes on with them"
            ));
        }
        let left_out = model.options().no_auxiliary && !running::model(&name)?.options().no_auxiliary;
        if left_out && model.graph().is_ok() {
            crate::output::note("the auxiliary head wants larger pictures: trained is what is without it");
        }
        let recipe = self.learn.recipe.of(|| usual(&model, Kind::Train))?;
        let stages = vec![StagePlan { name: "train".into(), thawed: Thawed::All, recipe }];
        self.learn.plan(Kind::Train, name, &model, None, stages)
    }
}
