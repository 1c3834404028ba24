//! A network that begins with what another one learned: what fits is carried, what is new is drawn.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use zoo_layers::{Graph, Op};
use zoo_weights::{LoadReport, TensorFile};

use crate::{
    Error, Model, Network, Result,
    card::Card,
    fitting::{CAFFES, is_pytorch_fcns},
};

/// What stands before a backbone's names in a network that is built on it.
const BACKBONE: &str = "backbone.";

/// The classifiers that fully convolutional networks are made of: VGG without norms, by its convolutions and linear layers.
const CLASSIFIERS: [&str; 4] = ["vgg16", "vgg19", "vgg13", "vgg11"];

/// A file's tensors under the network's names.
type Tensors = HashMap<String, Tensor>;

impl Model {
    /// With what a file has for this network, and the rest drawn from the [`seed`](Model::seed): of another step of a
    /// training in steps (FCN-32s, 16s, 8s), of a network with other classes, or of a classifier. A VGG's layers become
    /// those of a fully convolutional network, its linear ones `fc6` and `fc7` as convolutions (Long et al. 2015, section
    /// 4.1), a ResNet's those of a backbone. A tensor is carried if its shape is the network's.
    ///
    /// What was carried, what drawn, and what the file has beside it is in the network's [`report`](Network::report).
    ///
    /// ```no_run
    /// let coarse = std::path::Path::new("fcn32s.run/best.safetensors");
    /// let net = zoo::model("fcn16s")?.initialised_from(coarse)?;
    /// assert!(net.report().newly_initialised.contains(&"score_pool4.weight".to_string()));
    /// # Ok::<(), zoo::Error>(())
    /// ```
    ///
    /// # Errors
    /// A file that can't be read; [`Error::NothingFits`] if none of its tensors is the network's.
    pub fn initialised_from(&self, path: impl AsRef<Path>) -> Result<Network> {
        let path = path.as_ref();
        let mut network = self.fresh()?;
        let file = TensorFile::open(path)?;
        let graph = network.graph().clone();
        let (mut found, mut left) = carried(&graph, &file)?;
        let classifier = classifier_of(&graph, &file, path)?;
        let is_classifiers = classifier.is_some();
        if let Some(learned) = classifier {
            (found, left) = learned;
        }
        let mut report = LoadReport::default();
        for (param, tensor) in network.net()?.tensors() {
            let Some(values) = found.get(&param.name) else {
                report.newly_initialised.push(param.name.clone());
                continue;
            };
            let set = Var::from_tensor(tensor).and_then(|var| var.set(&values.to_device(tensor.device())?));
            set.map_err(zoo_layers::Error::from)?;
            report.loaded.push(param.name.clone());
        }
        if report.loaded.is_empty() {
            let (file, model) = (path.to_path_buf(), graph.name().to_string());
            return Err(Error::NothingFits { file, model, tensors: file_names(&left) });
        }
        report.unexpected = left;
        // Layers that have learned from pixels of one kind answer to no other.
        let card = Card::read(&file)?;
        if card.is_none() && !is_classifiers && is_pytorch_fcns(self.architecture().name, &graph) {
            report.notes.push(format!("it {CAFFES}"));
            network.prepare = network.prepare.clone().like_caffes();
        }
        if let Some(card) = card {
            let (prepare, is_other) = network.prepare.clone().with_pixels_of(&card.preprocessing);
            if is_other {
                report
                    .notes
                    .push("pictures are prepared as this file says: their order, scale and mean".into());
                network.prepare = prepare;
            }
        }
        network.report = report;
        network.file = path.to_path_buf();
        Ok(network)
    }
}

fn file_names(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(3).map(String::as_str).collect();
    match names.len() {
        0..=3 => shown.join(", "),
        more => format!("{} and {} others", shown.join(", "), more - 3),
    }
}

/// What a file has for a network under its own names, or under those of the network's backbone; and what is left.
fn carried(graph: &Graph, file: &TensorFile) -> Result<(Tensors, Vec<String>)> {
    let params: HashMap<&str, &[usize]> =
        graph.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect();
    let (mut tensors, mut left) = (Tensors::new(), Vec::new());
    for (name, shape) in file.shapes() {
        let names = [name.to_string(), format!("{BACKBONE}{name}")];
        let own = names.into_iter().find(|own| params.get(own.as_str()) == Some(&shape));
        match (own, file.values(name)) {
            (Some(own), Ok(Some(values))) => {
                let tensor =
                    Tensor::from_vec(values, shape, &Device::Cpu).map_err(zoo_layers::Error::from)?;
                tensors.insert(own, tensor);
            }
            _ => left.push(name.to_string()),
        }
    }
    Ok((tensors, left))
}

/// What a VGG classifier's file has for a fully convolutional network: its convolutions, and its linear layers as such, in
/// their order. Nothing if it isn't one.
fn classifier_of(graph: &Graph, file: &TensorFile, path: &Path) -> Result<Option<(Tensors, Vec<String>)>> {
    let named = Card::read(file)?.map(|card| card.architecture);
    let known = |name: &&str| named.as_deref().is_none_or(|own| own == *name);
    if file.shape("features.0.weight").is_none() || graph.layer("fc6").is_err() {
        return Ok(None);
    }
    for name in CLASSIFIERS.into_iter().filter(known) {
        let Ok(learned) = crate::model(name)?.convolutional().weights(path) else { continue };
        let values: HashMap<&str, &Tensor> =
            learned.net()?.tensors().map(|(param, tensor)| (param.name.as_str(), tensor)).collect();
        let (mut tensors, mut left) = (Tensors::new(), Vec::new());
        for (theirs, ours) in paired(learned.graph(), graph) {
            for kind in ["weight", "bias"] {
                let name = format!("{theirs}.{kind}");
                match (&ours, values.get(name.as_str())) {
                    (Some(ours), Some(tensor)) => {
                        tensors.insert(format!("{ours}.{kind}"), (*tensor).clone());
                    }
                    _ => left.push(name),
                }
            }
        }
        return Ok(Some((tensors, left)));
    }
    Ok(None)
}

/// The convolutions of one network, and for each that of the other in its place, if its weights have the same shape.
fn paired(theirs: &Graph, ours: &Graph) -> Vec<(String, Option<String>)> {
    let (theirs, ours) = (convolutions(theirs), convolutions(ours));
    let own = |place: usize, shape: &[usize]| {
        ours.get(place).filter(|(_, own)| own == shape).map(|(name, _)| name.clone())
    };
    theirs.iter().enumerate().map(|(place, (name, shape))| (name.clone(), own(place, shape))).collect()
}

/// The convolutions of a network in its order, with the shapes of their weights.
fn convolutions(graph: &Graph) -> Vec<(String, Vec<usize>)> {
    let layers = graph.layers().iter().filter(|layer| matches!(layer.op, Op::Conv2d(_)));
    layers.map(|layer| (layer.name.clone(), layer.params[0].shape.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::paired;

    #[test]
    fn a_classifiers_linear_layers_become_fc6_and_fc7() {
        let (vgg, _) = zoo_vgg::vgg16().unwrap().convolutionalize().unwrap();
        for fcn in [zoo_fcn::fcn32s().unwrap(), zoo_fcn::fcn8s().unwrap()] {
            let pairs = paired(&vgg, &fcn);
            let carried: Vec<_> =
                pairs.iter().filter_map(|(a, b)| Some((a.as_str(), b.as_deref()?))).collect();
            assert_eq!((pairs.len(), carried.len()), (16, 15));
            assert_eq!(carried[0], ("features.0", "conv1_1"));
            assert_eq!(
                carried[12..],
                [("features.28", "conv5_3"), ("classifier.0", "fc6"), ("classifier.3", "fc7")]
            );
        }
    }
}
