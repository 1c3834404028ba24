//! Keras' names and its order of values: kernels lie as (height, width, in, out), dense weights as (in, out).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{KeyMap, keras_order as order, permute};
use crate::error::Fault;
use crate::file::Entry;

/// What a layer is, which tells its weights' names and their order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layer {
    Conv,
    Depthwise,
    /// A depthwise and a pointwise convolution, named `conv1` and `pointwise` as Xception's are.
    Separable,
    Norm,
    Dense,
    /// A dense layer behind the flattening of so many channels, which PyTorch does channels first.
    DenseAfter(usize),
}

/// A network of Keras.
#[derive(Clone, Copy)]
pub(super) struct Network {
    /// Finds the architecture's name for a layer: `None` for one that the architecture has not.
    find: fn(&Layers, &str) -> Option<(String, Layer)>,
    /// The names of all layers with weights but the classifier, in Keras' order, for files that number them by class.
    order: fn(usize) -> Vec<(&'static str, String)>,
    /// The dense layer that answers, by the number of its inputs.
    classifier: fn(usize) -> Option<&'static str>,
}

pub(super) const XCEPTION: Network =
    Network { find: xception, order: |_| order::xception(), classifier: |_| Some("fc") };
pub(super) const MOBILENET_V2: Network =
    Network { find: mobilenet_v2, order: |_| order::mobilenet_v2(), classifier: |_| Some("classifier.1") };
pub(super) const VGG: Network = Network {
    find: vgg,
    order: order::vgg,
    // Behind the hidden layers, or alone behind the mean over the last map.
    classifier: |inputs| match inputs {
        VGG_HIDDEN => Some("classifier.6"),
        VGG_CHANNELS => Some("classifier"),
        _ => None,
    },
};

/// The names of a file's layers.
pub(super) struct Layers {
    /// Those that Keras numbered, `conv2d_4` before `conv2d_10`.
    convs: Vec<String>,
    norms: Vec<String>,
    /// Whether `block3_conv4` is there: nineteen layers.
    nineteen: bool,
}

/// Which of Keras' networks is an architecture, and why the others are not.
pub(super) fn map_for(model: &str) -> Result<KeyMap, String> {
    match model {
        "xception_keras" => Ok(KeyMap::KerasXception),
        "mobilenet_v2_keras" => Ok(KeyMap::KerasMobilenetV2),
        "vgg16" | "vgg19" => Ok(KeyMap::KerasVgg),
        "xception" | "mobilenet_v2" => Err(format!(
            "Keras' network pads as TensorFlow does and has another epsilon: in {model} its numbers would fit \
             and compute something else; load it into {model}_keras"
        )),
        "inception_v3" => Err("Keras' Inception-v3 has no gamma in its norms and averages without padding: it is \
                               another network than inception_v3; take PyTorch's weights, inception_v3.tv_in1k"
            .into()),
        model if model.contains("resnet") => Err(format!(
            "Keras' ResNets have biases in their convolutions and the stride elsewhere: they are other networks \
             than {model}; take PyTorch's weights"
        )),
        model => Err(format!("no network of Keras is {model}; those that are known are Xception, MobileNetV2, VGG")),
    }
}

/// Maps all weights of a file: layer by layer, since a weight's meaning is its place in its layer.
///
/// The network is the model, inside the file's or itself, in which most layers are known. A single dense layer beside
/// it, whatever its name, is the classifier: so a network is built that learned first on other pictures. What else
/// stands there keeps its name, and so does a classifier where it is not the mean of each map that it is given.
pub(super) fn apply(entries: &mut [Entry], network: Network, is_mean: bool) -> Result<(), Fault> {
    let paths = paths(entries);
    let Some(body) = body(&paths, network) else { return Ok(()) };
    let layers = Layers::of(body.names.iter().map(|(_, name)| name.as_str()));
    let mut targets: HashMap<&str, (String, Layer)> = HashMap::new();
    for (path, name) in &body.names {
        if let Some(target) = (network.find)(&layers, name) {
            targets.insert(path, target);
        }
    }
    let is_classifier = |target: &str| {
        [VGG_HIDDEN, VGG_CHANNELS].iter().any(|&inputs| (network.classifier)(inputs) == Some(target))
    };
    let unknown: Vec<&str> =
        paths.iter().map(String::as_str).filter(|path| !targets.contains_key(path)).collect();
    if is_mean
        && let ([head], false) =
            (unknown.as_slice(), targets.values().any(|(target, _)| is_classifier(target)))
        && let Some(inputs) = dense_inputs(entries, head)
        && let Some(target) = (network.classifier)(inputs)
    {
        targets.insert(head, (target.into(), Layer::Dense));
    }
    if !is_mean {
        targets.retain(|_, (target, _)| !is_classifier(target));
    }
    // The weights that Keras trains come before those it does not, so that a layer's need not lie together.
    let mut places: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        let path = path_of(&entry.name).to_string();
        let Some((target, kind)) = targets.get(path.as_str()) else { continue };
        let place = places.entry(path).or_default();
        map(entry, target, *kind, *place)?;
        *place += 1;
    }
    Ok(())
}

/// `model/layer` of `model/layer/weight`.
fn path_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(layer, _)| layer)
}

/// A model's path and a layer's name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The layers of a file, in its order.
fn paths(entries: &[Entry]) -> Vec<String> {
    let mut seen = HashSet::new();
    entries
        .iter()
        .map(|entry| path_of(&entry.name))
        .filter(|path| seen.insert(*path))
        .map(String::from)
        .collect()
}

/// The inputs of a layer that is a dense one: a weight of two axes, perhaps a bias, nothing else.
fn dense_inputs(entries: &[Entry], path: &str) -> Option<usize> {
    let mut shapes =
        entries.iter().filter(|entry| path_of(&entry.name) == path).map(|entry| entry.shape.as_slice());
    match (shapes.next(), shapes.next(), shapes.next()) {
        (Some(&[inputs, outputs]), Some(&[biases]), None) if biases == outputs => Some(inputs),
        _ => None,
    }
}

/// The layers of the network, each with its path and the name that Keras gave it.
struct Body<'a> {
    names: Vec<(&'a str, String)>,
}

/// Finds the model that is the network.
fn body(paths: &[String], network: Network) -> Option<Body<'_>> {
    let mut models: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        models.entry(split(path).0).or_default().push(path);
    }
    let best = models.into_values().filter_map(|own| {
        let named: Vec<_> = own.iter().map(|&path| (path, split(path).1.to_string())).collect();
        let known = |names: &[(&str, String)]| {
            let layers = Layers::of(names.iter().map(|(_, name)| name.as_str()));
            names.iter().filter(|(_, name)| (network.find)(&layers, name).is_some()).count()
        };
        let numbered = numbered(own, network);
        // What is called `conv2d_2` may be a shortcut among named layers, or the third of numbered ones.
        let has_names = named.iter().any(|(_, name)| name == NAMED[0] || name == NAMED[1]);
        let names = if has_names { named } else { numbered.unwrap_or(named) };
        let count = known(&names);
        (count > 0).then_some((count, Body { names }))
    });
    best.max_by_key(|(count, _)| *count).map(|(_, body)| body)
}

/// First layers, by which a file with names is known.
const NAMED: [&str; 2] = ["block1_conv1", "Conv1"];

/// The names of layers that the file only numbers by their class, as Keras 3.0 to 3.3 did; nothing if the numbers
/// don't reach the first layer.
fn numbered(paths: Vec<&str>, network: Network) -> Option<Vec<(&str, String)>> {
    let convs = paths.iter().filter(|path| number(split(path).1, "conv2d").is_some()).count();
    let order = (network.order)(convs);
    let names = paths.into_iter().map(|path| {
        let layer = split(path).1;
        let known = ["conv2d", "depthwise_conv2d", "separable_conv2d", "batch_normalization"]
            .iter()
            .find_map(|class| {
                let number = number(layer, class)?;
                order.iter().filter(|(of, _)| of == class).nth(number).map(|(_, name)| name.clone())
            });
        (path, known.unwrap_or_else(|| layer.to_string()))
    });
    let names: Vec<_> = names.collect();
    names.iter().any(|(_, name)| NAMED.contains(&name.as_str())).then_some(names)
}

fn map(entry: &mut Entry, target: &str, kind: Layer, index: usize) -> Result<(), Fault> {
    const CONV: [usize; 4] = [3, 2, 0, 1];
    const DEPTHWISE: [usize; 4] = [2, 3, 0, 1];
    let shape = entry.shape.clone();
    let weight = match (kind, index, shape.as_slice()) {
        (Layer::Conv, 0, [..]) => permuted(entry, &CONV, "weight")?,
        (Layer::Depthwise, 0, _) => permuted(entry, &DEPTHWISE, "weight")?,
        (Layer::Separable, 0, _) => permuted(entry, &DEPTHWISE, "conv1.weight")?,
        (Layer::Separable, 1, _) => permuted(entry, &CONV, "pointwise.weight")?,
        (Layer::Norm, 0..4, [_]) => ["weight", "bias", "running_mean", "running_var"][index],
        (Layer::Dense, 0, [_, _]) => permuted(entry, &[1, 0], "weight")?,
        (Layer::DenseAfter(channels), 0, &[input, output]) => {
            // The map before the flattening is square: 7 by 7 in VGG.
            let side = (input / channels).isqrt();
            permute(entry, &[side, side, channels, output], &[3, 2, 0, 1])?;
            entry.shape = vec![output, input];
            "weight"
        }
        (Layer::Conv | Layer::Depthwise | Layer::Dense | Layer::DenseAfter(_), 1, [_]) => "bias",
        _ => {
            return Err(Fault::malformed(format!(
                "weight {index} of the layer for `{target}` has the shape {shape:?}"
            )));
        }
    };
    entry.name = format!("{target}.{weight}");
    Ok(())
}

fn permuted(entry: &mut Entry, order: &[usize], weight: &'static str) -> Result<&'static str, Fault> {
    let shape = entry.shape.clone();
    permute(entry, &shape, order)?;
    Ok(weight)
}

impl Layers {
    fn of<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let numbered = |classes: [&str; 2]| {
            let mut found: Vec<_> = names
                .clone()
                .filter_map(|layer| {
                    let number = classes.iter().find_map(|class| number(layer, class))?;
                    Some((number, layer.to_string()))
                })
                .collect();
            found.sort();
            found.dedup();
            found.into_iter().map(|(_, layer)| layer).collect()
        };
        Self {
            // As Keras 2 and 3 call them, and as Keras 1 did.
            convs: numbered(["conv2d", "convolution2d"]),
            norms: numbered(["batch_normalization", "batchnormalization"]),
            nineteen: names.clone().any(|name| name == "block3_conv4"),
        }
    }
}

/// `conv2d` is 0 and `conv2d_4` is 4.
fn number(layer: &str, class: &str) -> Option<usize> {
    let rest = layer.strip_prefix(class)?;
    if rest.is_empty() { Some(0) } else { rest.strip_prefix('_')?.parse().ok() }
}

/// Keras counts Xception's blocks from the stem, which is its first; the architecture from the one behind it.
/// The shortcuts have no names, so they come by number: of blocks 2, 3, 4 and 13.
pub(super) fn xception(layers: &Layers, layer: &str) -> Option<(String, Layer)> {
    const SHORTCUTS: [usize; 4] = [1, 2, 3, 12];
    let place = |names: &[String]| SHORTCUTS.get(names.iter().position(|name| name == layer)?).copied();
    if let Some(block) = place(&layers.convs) {
        return Some((format!("block{block}.skip"), Layer::Conv));
    }
    if let Some(block) = place(&layers.norms) {
        return Some((format!("block{block}.skipbn"), Layer::Norm));
    }
    let known = match layer {
        "block1_conv1" => Some(("conv1", Layer::Conv)),
        "block1_conv1_bn" => Some(("bn1", Layer::Norm)),
        "block1_conv2" => Some(("conv2", Layer::Conv)),
        "block1_conv2_bn" => Some(("bn2", Layer::Norm)),
        "block14_sepconv1" => Some(("conv3", Layer::Separable)),
        "block14_sepconv1_bn" => Some(("bn3", Layer::Norm)),
        "block14_sepconv2" => Some(("conv4", Layer::Separable)),
        "block14_sepconv2_bn" => Some(("bn4", Layer::Norm)),
        "predictions" => Some(("fc", Layer::Dense)),
        _ => None,
    };
    if let Some((name, kind)) = known {
        return Some((name.into(), kind));
    }
    let (block, rest) = layer.strip_prefix("block")?.split_once("_sepconv")?;
    let block = block.parse::<usize>().ok()?.checked_sub(1)?;
    let (number, kind) = match rest.strip_suffix("_bn") {
        Some(number) => (number, Layer::Norm),
        None => (rest, Layer::Separable),
    };
    // A ReLU, a convolution and a norm make three; the first block has no ReLU at its beginning.
    let first = if block == 1 { 0 } else { 1 };
    let at = number.parse::<usize>().ok()?.checked_sub(1)?.checked_mul(3)?.checked_add(first)?;
    let at = at.checked_add(usize::from(kind == Layer::Norm))?;
    Some((format!("block{block}.rep.{at}"), kind))
}

/// Keras names MobileNetV2's blocks by number and their layers by what they do.
pub(super) fn mobilenet_v2(_: &Layers, layer: &str) -> Option<(String, Layer)> {
    let known = match layer {
        "Conv1" => Some(("features.0.0", Layer::Conv)),
        "bn_Conv1" => Some(("features.0.1", Layer::Norm)),
        "expanded_conv_depthwise" => Some(("features.1.conv.0.0", Layer::Depthwise)),
        "expanded_conv_depthwise_BN" => Some(("features.1.conv.0.1", Layer::Norm)),
        "expanded_conv_project" => Some(("features.1.conv.1", Layer::Conv)),
        "expanded_conv_project_BN" => Some(("features.1.conv.2", Layer::Norm)),
        "Conv_1" => Some(("features.18.0", Layer::Conv)),
        "Conv_1_bn" => Some(("features.18.1", Layer::Norm)),
        "predictions" | "Logits" => Some(("classifier.1", Layer::Dense)),
        _ => None,
    };
    if let Some((name, kind)) = known {
        return Some((name.into(), kind));
    }
    let (block, rest) = layer.strip_prefix("block_")?.split_once('_')?;
    let feature = block.parse::<usize>().ok()?.checked_add(1)?;
    let (at, kind) = match rest {
        "expand" => ("0.0", Layer::Conv),
        "expand_BN" => ("0.1", Layer::Norm),
        "depthwise" => ("1.0", Layer::Depthwise),
        "depthwise_BN" => ("1.1", Layer::Norm),
        "project" => ("2", Layer::Conv),
        "project_BN" => ("3", Layer::Norm),
        _ => return None,
    };
    Some((format!("features.{feature}.conv.{at}"), kind))
}

/// Convolutions in each of VGG's blocks.
const VGG16: [usize; 5] = [2, 2, 3, 3, 3];
const VGG19: [usize; 5] = [2, 2, 4, 4, 4];
/// Channels of VGG's last block.
const VGG_CHANNELS: usize = 512;
/// Units of VGG's hidden layers.
const VGG_HIDDEN: usize = 4096;

/// VGG's dense layers have fixed places, its convolutions are counted with the ReLUs and pools between them.
pub(super) fn vgg(layers: &Layers, layer: &str) -> Option<(String, Layer)> {
    match layer {
        "fc1" => return Some(("classifier.0".into(), Layer::DenseAfter(VGG_CHANNELS))),
        "fc2" => return Some(("classifier.3".into(), Layer::Dense)),
        "predictions" => return Some(("classifier.6".into(), Layer::Dense)),
        _ => {}
    }
    let blocks = if layers.nineteen { VGG19 } else { VGG16 };
    let (block, conv) = layer.strip_prefix("block")?.split_once("_conv")?;
    let block = block.parse::<usize>().ok()?.checked_sub(1)?;
    let conv = conv.parse::<usize>().ok()?.checked_sub(1)?;
    if conv >= *blocks.get(block)? {
        return None;
    }
    // Each convolution has a ReLU behind it, each block a pool.
    let before: usize = blocks[..block].iter().map(|convs| 2 * convs + 1).sum();
    Some((format!("features.{}", before + 2 * conv), Layer::Conv))
}
