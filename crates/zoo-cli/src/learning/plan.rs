//! What a run does, as its folder's `run.json` says.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zoo_data::{Shares, scenes};
use zoo_layers::Graph;
use zoo_train::Recipe;

/// What a run does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) kind: Kind,
    /// An architecture, or a file that names its own.
    pub(crate) model: String,
    /// What is asked of it.
    pub(crate) options: zoo::Options,
    /// A file of weights or a tag, where it isn't the default.
    pub(crate) weights: Option<PathBuf>,
    /// Which of several networks in that file.
    pub(crate) key: Option<String>,
    /// A file from which what fits is carried, and the rest drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init_from: Option<PathBuf>,
    /// How pictures are prepared, as a card has it, whatever the network is loaded from when the run goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) preprocessing: Option<Value>,
    /// Where the pictures are; without it, the digits inside the program.
    pub(crate) data: Option<PathBuf>,
    pub(crate) shares: Shares,
    pub(crate) stages: Vec<StagePlan>,
    pub(crate) seed: u64,
    /// Whether a picture that can't be read ends the run.
    pub(crate) strict: bool,
    /// The file to write beside what the folder keeps.
    pub(crate) file: Option<PathBuf>,
}

impl Plan {
    /// The network with its pictures prepared as the run began with, which is written down if it begins now.
    pub(crate) fn prepared(&mut self, network: zoo::Network) -> Result<zoo::Network> {
        match &self.preprocessing {
            Some(preprocessing) => Ok(network.prepared_as(preprocessing)?),
            None => {
                self.preprocessing = Some(network.card()?["preprocessing"].clone());
                Ok(network)
            }
        }
    }

    /// The scenes of digits to learn from, where there are no data: as many as the recipe says, drawn from the run's seed.
    pub(crate) fn scenes(&self) -> scenes::Plan {
        let usual = scenes::Plan { seed: self.seed, ..scenes::Plan::default() };
        let asked = self.stages.first().and_then(|stage| stage.recipe.scenes);
        scenes::Plan { train: asked.map_or(usual.train, |count| count as usize), ..usual }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Train,
    Finetune,
}

/// How a model learns where nobody says otherwise.
pub(crate) fn usual(model: &zoo::Model, kind: Kind) -> zoo_train::Result<Recipe> {
    match (kind, model.check_segments().is_ok()) {
        (Kind::Train, true) => Recipe::for_segmenter(model.architecture().name),
        (Kind::Train, false) => Recipe::for_model(model.architecture().name),
        (Kind::Finetune, true) => Recipe::finetune_segmenter(),
        (Kind::Finetune, false) => Recipe::finetune(),
    }
}

/// The recipe of a plan's last stage, as it would be followed.
pub(crate) fn printed(plan: &Plan) -> Result<String> {
    let stage = plan.stages.last().context("there is nothing to do")?;
    Ok(format!("# {}: {}\n{}", plan.model, stage.name, stage.recipe.to_toml()?))
}

/// A part of a run with a recipe of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StagePlan {
    pub(crate) name: String,
    /// What learns.
    pub(crate) thawed: Thawed,
    pub(crate) recipe: Recipe,
}

/// What learns in a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Thawed {
    /// Everything.
    All,
    /// The last layer, from features that are computed once.
    Head,
    /// The last layer, and so large a part of the parameters before it, in percent, from the top.
    Top(u8),
    /// The last layer, and these layers and scopes.
    Scopes(Vec<String>),
}

impl Thawed {
    /// The layers and scopes of a network that don't learn.
    pub(crate) fn frozen(&self, graph: &Graph) -> Result<Vec<String>> {
        let units = zoo_train::units(graph);
        let head = zoo_train::head(graph).context("the network has nothing that could learn")?;
        // Auxiliary heads are as new as the last layer.
        let heads = || std::iter::once(head.clone()).chain(zoo_train::class_layers(graph));
        let is_in = |name: &str, scope: &str| {
            name == scope || name.strip_prefix(scope).is_some_and(|rest| rest.starts_with('.'))
        };
        let thawed: Vec<String> = match self {
            Self::All => return Ok(Vec::new()),
            Self::Head => vec![head],
            Self::Scopes(scopes) => {
                for scope in scopes {
                    crate::options::known(graph, scope)?;
                    let mut params = graph.params();
                    if !params.any(|param| is_in(&param.name, scope)) {
                        bail!(
                            "`{scope}` has no parameters that could learn; name a layer or a scope that has some"
                        );
                    }
                }
                scopes.iter().cloned().chain(heads()).collect()
            }
            Self::Top(share) => {
                let size = |unit: &String| -> usize {
                    graph
                        .params()
                        .filter(|param| is_in(&param.name, unit))
                        .map(zoo_layers::Param::elements)
                        .sum()
                };
                let all: usize = units.iter().map(size).sum();
                let mut taken = 0;
                let mut top: Vec<String> = heads().collect();
                for unit in units.iter().rev() {
                    if taken * 100 >= all * usize::from(*share) {
                        break;
                    }
                    taken += size(unit);
                    top.push(unit.clone());
                }
                top
            }
        };
        // Layer by layer, since a scope may be thawed in part.
        let layers = graph.layers().iter().filter(|layer| !layer.params.is_empty());
        let frozen = layers.filter(|layer| !thawed.iter().any(|scope| is_in(&layer.name, scope)));
        Ok(frozen.map(|layer| layer.name.clone()).collect())
    }
}
