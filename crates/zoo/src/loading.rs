//! Whether a file's tensors are a network's, and which are drawn instead.

use std::collections::{BTreeSet, HashMap, HashSet};

use candle_core::{DType, Device, Tensor};
use zoo_layers::{Graph, Layer, Param, is_within, rng::Stream};
use zoo_weights::{Format, LoadReport, TensorFile};

use crate::{Error, Result};

/// Layers whose parameters are drawn instead of read, by name: `fc`, or the scope `classifier`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Anew {
    pub(crate) layers: Vec<String>,
    /// What the values are drawn from.
    pub(crate) seed: u64,
}

impl Anew {
    /// Checks that each name stands for parameters of the network.
    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        for name in &self.layers {
            if !graph.params().any(|param| is_within(&param.name, name)) {
                let layers = graph.layers().iter().filter(|layer| !layer.params.is_empty());
                let hint = zoo_layers::nearest(name, layers.map(|layer| layer.name.as_str()));
                let head = classifier(graph).map(|layer| format!("; its classifier is `{}`", layer.name));
                let hint = hint + &head.unwrap_or_default();
                return Err(Error::NoSuchLayer { model: graph.name().into(), name: name.clone(), hint });
            }
        }
        Ok(())
    }

    /// Whether a parameter is drawn.
    pub(crate) fn draws(&self, param: &str) -> bool {
        self.layers.iter().any(|layer| is_within(param, layer))
    }

    /// A parameter's fresh values: those that the whole network gets from this seed.
    pub(crate) fn sample(&self, param: &Param) -> Result<Tensor> {
        let stream = Stream::new(self.seed, &param.name);
        let values = param.init.sample(&param.shape, stream, DType::F32, &Device::Cpu);
        Ok(values.map_err(zoo_layers::Error::from)?)
    }
}

/// The last layer with parameters of those that answer.
pub(crate) fn classifier(graph: &Graph) -> Option<&Layer> {
    let answering = graph.ancestors([graph.main_output().node]);
    let mut layers =
        graph.nodes().rev().filter(|(node, _)| answering.contains(*node)).map(|(_, layer)| layer);
    layers.find(|layer| !layer.params.is_empty())
}

/// The parameters of a network's last layer, if that is all that a file lacks of those `needed`.
pub(crate) fn missing_head(
    needed: &[(&str, &[usize])],
    graph: &Graph,
    file: &TensorFile,
) -> Option<Vec<String>> {
    let head: Vec<String> = classifier(graph)?.params.iter().map(|param| param.name.clone()).collect();
    let missing = needed.iter().map(|(name, _)| *name).filter(|name| file.shape(name).is_none());
    missing.eq(head.iter().map(String::as_str)).then_some(head)
}

/// Compares a file with the tensors that a network needs, both ways. If those are a part of the `whole` network's, what
/// lies beyond may be in the file, the whole's or another's: a head of several layers for example.
pub(crate) fn compare(
    needed: &[(&str, &[usize])],
    whole: &Graph,
    file: &TensorFile,
    draws: impl Fn(&str) -> bool,
) -> LoadReport {
    let rest: HashMap<&str, &[usize]> =
        whole.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect();
    let scope = |name: &str| name.split(['.', '/']).next().unwrap_or_default().to_string();
    let names: HashSet<&str> = needed.iter().map(|(name, _)| *name).collect();
    let scopes: HashSet<String> = names.iter().map(|name| scope(name)).collect();
    let is_part = rest.keys().any(|name| !names.contains(name));
    let beyond = |name: &str, shape: &[usize]| {
        !names.contains(name)
            && (rest.get(name).is_some_and(|wanted| *wanted == shape)
                || (is_part && !scopes.contains(&scope(name))))
    };
    let found = file.shapes().filter(|(name, shape)| !beyond(name, shape));
    let report = LoadReport::compare(needed.iter().copied(), found, draws);
    LoadReport { notes: file.notes().to_vec(), ..report }
}

/// The names and shapes of a network's parameters.
pub(crate) fn params(graph: &Graph) -> Vec<(&str, &[usize])> {
    graph.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect()
}

/// The report if nothing is missing, left over or of another shape.
pub(crate) fn strict(report: LoadReport, graph: &Graph, file: &TensorFile) -> Result<LoadReport> {
    match report.is_complete() {
        true => Ok(report),
        false => Err(Error::Unfit {
            file: file.path().to_path_buf(),
            model: graph.name().into(),
            advice: advice(&report, graph, file),
            report: Box::new(report),
        }),
    }
}

fn advice(report: &LoadReport, graph: &Graph, file: &TensorFile) -> String {
    let layers: BTreeSet<&str> =
        report.unexpected.iter().filter_map(|name| Some(name.rsplit_once('/')?.0)).collect();
    let head = classifier(graph).map_or_else(String::new, |layer| layer.name.clone());
    if file.format() == Format::Keras
        && !layers.is_empty()
        && !report.missing.is_empty()
        && report.missing.iter().all(|name| is_within(name, &head))
    {
        let layers = layers.into_iter().collect::<Vec<_>>().join(", ");
        let behind = match file.metadata().get("pooling").map(String::as_str) {
            Some("max") => ", behind the largest value of each map and not its mean",
            _ => "",
        };
        return format!(
            "its head has other layers than the one that `{}` has ({layers}{behind}); what it makes of a picture before them, \
             the network gives without its head (`Model::headless`), or up to any node (`Model::at`)",
            graph.name(),
        );
    }
    format!("give the weights of `{}`, or name the network whose they are", graph.name())
}

/// That a tensor's values are numbers.
pub(crate) fn check_finite(file: &TensorFile, name: &str, count: usize, of: usize) -> Result<()> {
    match count {
        0 => Ok(()),
        _ => Err(Error::NotFinite { file: file.path().to_path_buf(), name: name.into(), count, of }),
    }
}
