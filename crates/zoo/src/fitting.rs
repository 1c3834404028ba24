//! From a file that says nothing of itself to an architecture's tensors: which of them are the network's, under which
//! names, and in what the network differs from the architecture.
//!
//! The rule for names is one for all formats: the beginning that makes most names the architecture's is taken off
//! (`module.`, `_orig_mod.`, `model.backbone.`, whatever it is), what is beside them and no weight is left out, and
//! both are said. What then is missing, unexpected or of another shape is an error by name.

use std::collections::{BTreeMap, HashSet};

use zoo_layers::{Graph, Op, is_within};
use zoo_weights::{Format, KeyMap, LoadReport, Manifest, TensorFile};

use crate::{
    Architecture, Error, Options, Prepare, Result, build::auxiliary, card::outputs, loading::classifier,
};

/// A file under an architecture's names, and what is known of it.
pub(crate) struct Fitted {
    /// The file.
    pub(crate) file: TensorFile,
    /// In what the network differs from the architecture.
    pub(crate) options: Options,
    /// The network.
    pub(crate) graph: Graph,
    /// How pictures are prepared for it.
    pub(crate) prepare: Prepare,
    /// The tag it was published under, if it is known by its place.
    pub(crate) tag: Option<String>,
}

/// Fits a file to an architecture. `given` are the options that the caller knows, `anew` the layers that will be drawn:
/// these stay in the network, whatever the file has. A file is looked up in the manifest, by its name; else it is known
/// by its content, and its pictures are prepared as for the published weights with names like these.
pub(crate) fn fit(
    architecture: &Architecture,
    given: &Options,
    file: TensorFile,
    anew: &[String],
) -> Result<Fitted> {
    let manifest = Manifest::published()?;
    let plain = architecture.graph_for(given)?;
    let known = manifest.of_file(file.path()).filter(|(weights, _)| weights.model() == architecture.name);
    let (file, keys) = match known {
        Some((_, source)) => (file, source.keys),
        None => {
            let file = match file.format() {
                Format::Keras => file,
                _ => without_prefix(file, &plain)?,
            };
            let keys = KeyMap::detect(architecture.name, &file)?;
            (file, keys)
        }
    };
    let file = file.with_keys(keys)?;
    let (file, centred) = with_classifier(file, &plain);
    let mut options = told(architecture, given, &file, anew)?;
    options.centred_shortcut |= centred && architecture.name.ends_with("_cifar");
    let graph = architecture.graph_for(&options)?;
    let shapes: BTreeMap<&str, &Vec<usize>> =
        graph.params().map(|param| (param.name.as_str(), &param.shape)).collect();
    let file = file.with_shapes(|name| shapes.get(name).map(|shape| (*shape).clone()));
    let alike = manifest
        .of(architecture.name)
        .find(|weights| weights.sources.iter().any(|source| source.keys == keys))
        .or_else(|| manifest.of(architecture.name).next());
    let published = known.map(|(weights, _)| weights).or(alike);
    let prepare = match published.filter(|_| !options.small_stem) {
        Some(weights) => Prepare::published(weights, &graph)?,
        None => Prepare::usual(&graph)?,
    };
    // Nobody's weights of these are in the manifest: a file without a word of its own is pytorch-fcn's, or has its names.
    let is_caffes = published.is_none() && is_pytorch_fcns(architecture.name, &graph);
    let prepare = if is_caffes { prepare.like_caffes() } else { prepare };
    let file = file.noted(is_caffes.then(|| CAFFES.to_string()));
    // A single output behind a sigmoid decides between two classes; what else stands there, our answers don't have.
    let activation = file.metadata().get("activation").filter(|_| file.format() == Format::Keras).cloned();
    let (prepare, note) = match (activation.as_deref(), outputs(&graph)) {
        (Some("sigmoid"), 1) => (prepare.binary(), None),
        (None | Some("softmax" | "linear"), _) => (prepare, None),
        (Some(other), _) => (
            prepare,
            Some(format!(
                "has a head that ends in `{other}`, and is answered with a softmax's probabilities"
            )),
        ),
    };
    let (prepare, scaled) = match file.metadata().get("rescaling").filter(|_| file.format() == Format::Keras)
    {
        Some(rescaling) => prepare.rescaled(rescaling),
        None => (prepare, None),
    };
    let file = file.noted(note).noted(scaled);
    let tag = known.map(|(weights, _)| weights.tag.clone());
    Ok(Fitted { file, options, graph, prepare, tag })
}

/// What is said of a file that is taken for pytorch-fcn's.
pub(crate) const CAFFES: &str =
    "is taken for pytorch-fcn's, whose pictures are BGR, of 0 to 255, less ImageNet's mean";

/// Whether a network's names and shapes are pytorch-fcn's, and so its files without a card.
pub(crate) fn is_pytorch_fcns(name: &str, graph: &Graph) -> bool {
    ["fcn32s", "fcn16s", "fcn8s"].contains(&name) && graph.input().channels() == 3
}

/// A group of names that begin alike.
struct Group {
    prefix: String,
    /// How many of them are the network's.
    fit: usize,
}

/// Words in the names of averaged copies.
const AVERAGED: [&str; 6] = ["ema", "averag", "swa", "teacher", "momentum", "shadow"];

/// No wrapper is deeper.
const MAX_DEPTH: usize = 8;

/// The file without what stands before the network's own names, and without what stands beside them and is no weight:
/// counters, and numbers that a training program kept.
fn without_prefix(file: TensorFile, graph: &Graph) -> Result<TensorFile> {
    let params: HashSet<&str> = graph.params().map(|param| param.name.as_str()).collect();
    let groups = groups(&file, &params);
    let most = groups.iter().map(|group| group.fit).max().unwrap_or(0);
    if most == 0 {
        return Ok(file);
    }
    let best: Vec<&Group> = groups.iter().filter(|group| group.fit == most).collect();
    let is_averaged = |group: &Group| {
        let lower = group.prefix.to_lowercase();
        lower.split(['.', '_']).any(|word| AVERAGED.iter().any(|sign| word.starts_with(sign)))
    };
    let averaged: Vec<&Group> = best.iter().copied().filter(|group| is_averaged(group)).collect();
    let chosen = match (best.as_slice(), averaged.as_slice()) {
        ([only], _) | (_, [only]) => only.prefix.clone(),
        // Names without a beginning are nobody's copy; the others are left out, and that is said.
        (best, _) if best.iter().any(|group| group.prefix.is_empty()) => String::new(),
        _ => {
            let several = best.iter().map(|group| group.prefix.trim_end_matches('.').to_string()).collect();
            return Err(Error::Several {
                file: file.path().to_path_buf(),
                model: graph.name().into(),
                several,
            });
        }
    };
    let others: Vec<&str> =
        best.iter().map(|g| g.prefix.as_str()).filter(|prefix| *prefix != chosen).collect();
    // Its own copy, averaged or not, and lone numbers and tensors, which are no layer's, are no part of the network.
    let is_beside = |name: &str| name.rsplit('.').next() == Some("n_averaged") || !name.contains('.');
    let single: HashSet<String> = file
        .shapes()
        .filter(|(name, _)| is_beside(name) && !params.contains(name))
        .map(|(name, _)| name.to_string())
        .collect();
    let copy = |name: &str| others.iter().any(|prefix| !prefix.is_empty() && name.starts_with(prefix));
    let whole = others.contains(&"");
    Ok(match chosen.as_str() {
        "" if single.is_empty() && others.is_empty() => file,
        "" => file.keeping(|name| !single.contains(name) && !copy(name)),
        prefix => file.under(prefix, |name| !single.contains(name) && !copy(name) && !whole),
    })
}

/// Every beginning under which a good part of the network's names may lie, with how many of them do.
fn groups(file: &TensorFile, params: &HashSet<&str>) -> Vec<Group> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::from([("", file.len())]);
    for (name, _) in file.shapes() {
        for (end, _) in name.match_indices('.').take(MAX_DEPTH) {
            *counts.entry(&name[..=end]).or_default() += 1;
        }
    }
    let enough = params.len().div_ceil(3);
    let large = counts.into_iter().filter(|&(prefix, count)| prefix.is_empty() || count >= enough);
    let fit = |prefix: &str| {
        let rest = || file.shapes().filter_map(|(name, _)| name.strip_prefix(prefix));
        let keys = KeyMap::of_names(rest());
        rest().filter(|name| params.contains(keys.rename(name).as_str())).count()
    };
    large.map(|(prefix, _)| Group { fit: fit(prefix), prefix: prefix.into() }).collect()
}

/// What the classifier was called in older files and other programs.
const CLASSIFIERS: [&str; 5] = ["linear", "last_linear", "classifier", "head.fc", "head"];

/// The file with its classifier under the network's name, and whether it was called `linear`.
fn with_classifier(file: TensorFile, graph: &Graph) -> (TensorFile, bool) {
    let Some(layer) = classifier(graph) else { return (file, false) };
    let own = layer.name.clone();
    if own.contains('.') || file.shape(&format!("{own}.weight")).is_some() {
        return (file, false);
    }
    let rank = layer.params.first().map_or(0, |param| param.shape.len());
    let is_one = |name: &str| {
        file.shape(&format!("{name}.weight")).is_some_and(|shape| shape.len() == rank)
            && !graph.params().any(|param| is_within(&param.name, name))
    };
    let Some(theirs) = CLASSIFIERS.into_iter().find(|name| is_one(name)) else { return (file, false) };
    let renamed = file.renamed(|name| {
        let rest = name.strip_prefix(theirs)?;
        matches!(rest, ".weight" | ".bias").then(|| format!("{own}{rest}"))
    });
    (renamed, theirs == "linear")
}

/// The options that the shapes of a file tell; those that they don't are the caller's.
fn told(architecture: &Architecture, given: &Options, file: &TensorFile, anew: &[String]) -> Result<Options> {
    let mut options = given.clone();
    let drawn = |param: &str| anew.iter().any(|layer| is_within(param, layer));
    // A VGG with one linear layer behind the mean.
    if file.shape("classifier.weight").is_some_and(|shape| shape.len() == 2) {
        let mean = Options { mean_classifier: true, ..options.clone() };
        if architecture.graph_for(&mean).is_ok() {
            options = mean;
        }
    }
    let graph = architecture.graph_for(&options)?;
    if let Some(first) = graph.params().find(|param| param.shape.len() == 4)
        && let Some(&[_, channels, height, width]) = file.shape(&first.name)
    {
        let small = Options { small_stem: true, ..options.clone() };
        if [height, width] == [3, 3] && first.shape[2..] != [3, 3] && architecture.graph_for(&small).is_ok() {
            options = small;
        }
        // Of groups each takes its part of the channels.
        let own = graph.input().channels();
        if channels != first.shape[1] && first.shape[1] == own && channels > 0 {
            options.in_channels = Some(channels);
        }
    }
    if let Some(fc1) = graph.params().find(|param| param.name.ends_with("layer1.0.se.fc1.weight"))
        && let Some(&[squeezed, ..]) = file.shape(&fc1.name)
        && squeezed > fc1.shape[0]
    {
        let wider = Options { least_squeezed: Some(squeezed), ..options.clone() };
        if architecture.graph_for(&wider).is_ok() {
            options = wider;
        }
    }
    let heads = auxiliary(&graph);
    if !heads.is_empty() && !heads.iter().any(|name| drawn(name) || file.shape(name).is_some()) {
        options.no_auxiliary = true;
    }
    if let Some(weight) = classifier(&graph).and_then(|layer| layer.params.first())
        && !drawn(&weight.name)
        && let Some(shape) = file.shape(&weight.name)
        && shape.len() == weight.shape.len()
        // A transposed convolution has its outputs second.
        && let Some(&classes) = shape.get(usize::from(is_transposed(&graph, &weight.name)))
        && classes > 0
        && (classes != weight.shape[0] || options.num_classes.is_some())
    {
        let other = Options { num_classes: Some(classes), ..options.clone() };
        // A network whose classes can't be changed is compared as it is.
        if architecture.graph_for(&other).is_ok() {
            options = other;
        }
    }
    Ok(options)
}

fn is_transposed(graph: &Graph, weight: &str) -> bool {
    let of = graph.layers().iter().find(|layer| layer.params.iter().any(|param| param.name == weight));
    of.is_some_and(|layer| matches!(layer.op, Op::ConvTranspose2d(_)))
}

/// What a network without its head is told by: that all of the classifier's parameters are missing, and that nothing
/// else is wrong.
pub(crate) fn is_headless(graph: &Graph, report: &LoadReport) -> bool {
    let Some(layer) = classifier(graph) else { return false };
    let LoadReport { missing, unexpected, misshapen, .. } = report;
    missing.len() == layer.params.len()
        && layer.params.iter().all(|param| missing.contains(&param.name))
        && unexpected.is_empty()
        && misshapen.is_empty()
}
