//! What is known of a file of weights, and whether its tensors are a network's.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo_layers::{Graph, Layer, Param, rng::Stream};
use zoo_weights::{KeyMap, LoadReport, Manifest, TensorFile};

use crate::{Error, Prepare, Result};

/// What is known of a file that says nothing of itself.
pub(crate) struct Described {
    /// From its names to the architecture's.
    pub(crate) keys: KeyMap,
    /// How pictures are prepared for it.
    pub(crate) prepare: Prepare,
    /// The tag it was published under, if it is known by its place.
    pub(crate) tag: Option<String>,
}

/// Looks a file up: in the manifest, by its name; else by its content, as the weights of that architecture with
/// names like these were published. `graph` is the whole network.
pub(crate) fn describe(architecture: &str, graph: &Graph, file: &TensorFile) -> Result<Described> {
    let manifest = Manifest::published()?;
    let known = manifest.of_file(file.path()).filter(|(weights, _)| weights.model() == architecture);
    if let Some((weights, source)) = known {
        let prepare = Prepare::published(weights, graph)?;
        return Ok(Described { keys: source.keys, prepare, tag: Some(weights.tag.clone()) });
    }
    let keys = KeyMap::detect(architecture, file)?;
    let alike =
        manifest.of(architecture).find(|weights| weights.sources.iter().any(|source| source.keys == keys));
    let prepare = match alike.or_else(|| manifest.of(architecture).next()) {
        Some(weights) => Prepare::published(weights, graph)?,
        None => Prepare::usual(graph)?,
    };
    Ok(Described { keys, prepare, tag: None })
}

/// Layers whose parameters are drawn instead of read, by name: `fc`, or the scope `classifier`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anew {
    layers: Vec<String>,
    /// What the values are drawn from.
    seed: u64,
}

impl Anew {
    /// Checks that each name stands for parameters of the network.
    pub(crate) fn new<S: AsRef<str>>(graph: &Graph, layers: &[S], seed: u64) -> Result<Self> {
        let layers: Vec<String> = layers.iter().map(|layer| layer.as_ref().to_string()).collect();
        let anew = Self { layers, seed };
        for name in &anew.layers {
            if !graph.params().any(|param| is_in(&param.name, name)) {
                let layers = graph.layers().iter().filter(|layer| !layer.params.is_empty());
                let hint = zoo_layers::nearest(name, layers.map(|layer| layer.name.as_str()));
                let head = classifier(graph).map(|layer| format!("; its classifier is `{}`", layer.name));
                let hint = hint + &head.unwrap_or_default();
                return Err(Error::NoSuchLayer { model: graph.name().into(), name: name.clone(), hint });
            }
        }
        Ok(anew)
    }

    /// Whether a parameter is drawn.
    pub(crate) fn draws(&self, param: &str) -> bool {
        self.layers.iter().any(|layer| is_in(param, layer))
    }

    /// A parameter's fresh values: those that the whole network gets from this seed.
    pub(crate) fn sample(&self, param: &Param) -> Result<Tensor> {
        let stream = Stream::new(self.seed, &param.name);
        let values = param.init.sample(&param.shape, stream, DType::F32, &Device::Cpu);
        Ok(values.map_err(zoo_layers::Error::from)?)
    }
}

fn is_in(param: &str, layer: &str) -> bool {
    param == layer || param.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

/// The last layer with parameters of those that answer.
pub(crate) fn classifier(graph: &Graph) -> Option<&Layer> {
    let answering = graph.ancestors([graph.main_output().node]);
    let mut layers = graph.nodes().rev().filter(|(node, _)| answering.contains(*node)).map(|(_, layer)| layer);
    layers.find(|layer| !layer.params.is_empty())
}

/// Compares a file with a network both ways. What the `whole` network has beyond `graph` may be in the file.
pub(crate) fn compare(graph: &Graph, whole: &Graph, file: &TensorFile, anew: &Anew) -> LoadReport {
    let shapes = |graph: &Graph| -> HashMap<String, Vec<usize>> {
        graph.params().map(|param| (param.name.clone(), param.shape.clone())).collect()
    };
    let (needed, whole) = (shapes(graph), shapes(whole));
    let beyond = |name: &str, shape: &[usize]| {
        !needed.contains_key(name) && whole.get(name).is_some_and(|wanted| wanted == shape)
    };
    let wanted = graph.params().map(|param| (param.name.as_str(), param.shape.as_slice()));
    let found = file.shapes().filter(|(name, shape)| !beyond(name, shape));
    LoadReport::compare(wanted, found, |name| anew.draws(name))
}

/// The report if nothing is missing, left over or of another shape.
pub(crate) fn strict(report: LoadReport, graph: &Graph, file: &TensorFile) -> Result<LoadReport> {
    match report.is_complete() {
        true => Ok(report),
        false => Err(Error::Unfit {
            file: file.path().to_path_buf(),
            model: graph.name().into(),
            report: Box::new(report),
        }),
    }
}
