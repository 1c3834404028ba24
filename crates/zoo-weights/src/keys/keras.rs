//! Keras' names and its order of values: kernels lie as (height, width, in, out), dense weights as (in, out).

use super::{KeyMap, permute};
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

/// Finds the architecture's name for a layer: `None` for one that the architecture has not.
type Find = fn(&Layers, &str) -> Option<(String, Layer)>;

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
pub(super) fn apply(entries: &mut [Entry], find: Find) -> Result<(), Fault> {
    let layers = Layers::of(entries);
    let mut previous = String::new();
    let mut index = 0;
    for entry in entries {
        let layer = layer_of(&entry.name).to_string();
        index = if layer == previous { index + 1 } else { 0 };
        if let Some((target, kind)) = find(&layers, &layer) {
            map(entry, &target, kind, index)?;
        }
        previous = layer;
    }
    Ok(())
}

fn layer_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(layer, _)| layer)
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
    fn of(entries: &[Entry]) -> Self {
        let numbered = |classes: [&str; 2]| {
            let mut found: Vec<_> = entries
                .iter()
                .map(|entry| layer_of(&entry.name))
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
            nineteen: entries.iter().any(|entry| layer_of(&entry.name) == "block3_conv4"),
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
    let at = number.parse::<usize>().ok()?.checked_sub(1)?.checked_mul(3)? + first;
    let at = at + usize::from(kind == Layer::Norm);
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
