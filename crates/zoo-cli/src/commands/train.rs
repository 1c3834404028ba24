//! `zoo train`: a network from nothing.

use anyhow::{Result, anyhow};
use clap::Args;
use zoo_train::Recipe;

use crate::{
    failure::{OrWrongCall, WrongCall},
    learning::{Kind, LearnArguments, Parts, Plan, Session, StagePlan, Thawed, begun, open},
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
    learn: LearnArguments,
    #[command(flatten)]
    machine: MachineArguments,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let device = self.machine.settle()?;
        let resumed = self.learn.place.resumed(Kind::Train)?;
        let (folder, plan) = match resumed {
            Some((folder, plan)) => (Some(folder), plan),
            None => (None, self.plan()?),
        };
        let data = open(plan.data.as_deref())?;
        let model = plan.asked(data.classes(), &device)?;
        let graph = model.graph().or_wrong_call()?;
        if plan.data.is_none() && graph.input().channels() != 1 {
            return Err(WrongCall(anyhow!(
                "`{}` takes {}, no digits: give pictures with `--data`; `digitnet`, `lenet5`, `lenet5_paper` and `mnist_convnet` \
                 learn from the digits inside the program",
                model.architecture().name,
                graph.input()
            ))
            .into());
        }
        model.check_classifies().or_wrong_call()?;
        for stage in &plan.stages {
            stage.recipe.check_for(&graph, &[]).or_wrong_call()?;
        }
        let mut network = model.fresh()?;
        if let Some(scale) = plan.stages.first().and_then(|stage| stage.recipe.digits) {
            network = network.with_digits(scale.mean, scale.std);
        }
        let parts = Parts::new(data, &plan.shares, folder.as_ref())?;
        let folder =
            begun(folder, &plan, self.learn.place.output.as_deref(), &parts, network.architecture().name)?;
        let every = self.learn.place.checkpoint_every;
        Session { plan, folder, network, parts, device, every }.run()
    }

    fn plan(&self) -> Result<Plan> {
        let name = self.model.clone().unwrap_or_default();
        let model = self.learn.options.asked(running::model(&name)?).or_wrong_call()?;
        let architecture = model.architecture().name;
        let recipe = self.learn.recipe.of(|| Recipe::for_model(architecture)).or_wrong_call()?;
        let stages = vec![StagePlan { name: "train".into(), thawed: Thawed::All, recipe }];
        self.learn.plan(Kind::Train, name, &model, stages)
    }
}
