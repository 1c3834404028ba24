//! Keras' files: HDF5 with a group for each layer (`.h5`), and its newer kind, alone (`.weights.h5`) or in a
//! zip archive (`.keras`).
//!
//! Tensors are called `layer/weight`, in the order in which Keras lists a layer's weights; those of a model inside
//! the model `model/layer/weight`. What Keras keeps beside the weights, its optimizer's state and the seeds of its
//! random layers, is left out.

pub(crate) mod config;
pub(crate) mod format;

use std::collections::HashMap;
use std::ops::Range;

use format::{File, Object};

use crate::error::Fault;
use crate::file::{Contents, Data, Entry};

/// The member of a `.keras` archive that describes the model.
pub(crate) const KERAS_CONFIG: &str = "config.json";

/// The member of a `.keras` archive that has the weights.
pub(crate) const KERAS_MEMBER: &str = "model.weights.h5";

/// Groups inside groups.
const MAX_DEPTH: usize = 16;

/// Reads the HDF5 file that lies in a range of the bytes.
pub(crate) fn read(bytes: &[u8], range: Range<usize>) -> Result<Contents, Fault> {
    let start = range.start;
    let (mut file, root) = File::open(&bytes[range])?;
    let mut top = file.object(root)?;
    let config = texts(&top, "model_config").and_then(|texts| texts.into_iter().next());
    let mut members = file.members(&top)?;
    // A whole model has its weights in a group of their own.
    if let Some(&(_, address)) = members.iter().find(|(name, _)| name == "model_weights") {
        top = file.object(address)?;
        members = file.members(&top)?;
    }
    let mut entries = Vec::new();
    if let Some(layers) = texts(&top, "layer_names") {
        let members: HashMap<_, _> = members.into_iter().collect();
        for layer in layers {
            let Some(address) = members.get(&layer) else {
                return Err(Fault::malformed(format!(
                    "it lists the layer `{}`, which is not there",
                    layer.escape_debug()
                )));
            };
            read_layer(&mut file, &layer, *address, &mut entries)?;
        }
    } else {
        read_variables(&mut file, root, &[], &mut entries)?;
    }
    if entries.is_empty() {
        return Err(Fault::Refused(
            "it is HDF5, and no model of Keras: no layer has weights; save it again with Keras".into(),
        ));
    }
    for entry in &mut entries {
        if let Data::InFile(range) = &mut entry.data {
            *range = range.start + start..range.end + start;
        }
    }
    let metadata = config.map(|config| config::told(config.as_bytes())).into_iter().flatten().collect();
    Ok(Contents { entries, metadata, ..Contents::default() })
}

/// A layer of the older kind: `weight_names` has the paths of its weights in order. A layer that is a model itself
/// lists those of all its layers, each by the layer's name.
fn read_layer(file: &mut File<'_>, layer: &str, address: u64, entries: &mut Vec<Entry>) -> Result<(), Fault> {
    let group = file.object(address)?;
    let paths = texts(&group, "weight_names").unwrap_or_default();
    let parent = |path: &str| path.rsplit('/').nth(1).unwrap_or_default().to_string();
    let is_model = paths.iter().any(|path| parent(path) != parent(&paths[0]));
    for path in paths {
        let absent =
            || Fault::malformed(format!("it lists the weight `{}`, which is not there", path.escape_debug()));
        let mut object = None;
        let mut here = file.members(&group)?;
        for part in path.split('/') {
            let &(_, address) = here.iter().find(|(name, _)| name == part).ok_or_else(absent)?;
            let next = file.object(address)?;
            here = file.members(&next)?;
            object = Some(next);
        }
        let data = object.and_then(|object| object.data).ok_or_else(absent)?;
        let weight = path.rsplit('/').next().unwrap_or(&path);
        // TensorFlow's names end in the number of an operation's output.
        let weight = weight.strip_suffix(":0").unwrap_or(weight);
        if path.contains(SEED) {
            continue;
        }
        let name = match is_model {
            true => format!("{layer}/{}/{weight}", parent(&path)),
            false => format!("{layer}/{weight}"),
        };
        file.pay(name.len() / 8)?;
        push(entries, name, data);
    }
    Ok(())
}

/// What the random state of a layer is called.
const SEED: &str = "seed_generator";

/// Groups that hold layers and have no name of their own.
const HOLDERS: [&str; 2] = ["layers", "_layer_checkpoint_dependencies"];

/// The newer kind: a group `vars` with members 0, 1, …, and since Keras 3.4 the layer's name as an attribute.
fn read_variables(
    file: &mut File<'_>,
    address: u64,
    path: &[String],
    entries: &mut Vec<Entry>,
) -> Result<(), Fault> {
    if path.len() > MAX_DEPTH {
        return Err(Fault::malformed(format!("its groups are more than {MAX_DEPTH} deep")));
    }
    let group = file.object(address)?;
    for (name, address) in file.members(&group)? {
        if name == SEED || (path.is_empty() && name.starts_with("optimizer")) {
            continue;
        }
        if name != "vars" {
            let inner: Vec<String> = path.iter().cloned().chain([name]).collect();
            read_variables(file, address, &inner, entries)?;
            continue;
        }
        let vars = file.object(address)?;
        let layer = texts(&vars, "name").and_then(|names| names.into_iter().next());
        let mut path: Vec<&str> =
            path.iter().map(String::as_str).filter(|part| !HOLDERS.contains(part)).collect();
        if let (Some(last), Some(layer)) = (path.last_mut(), &layer) {
            *last = layer;
        }
        let mut weights = file.members(&vars)?;
        // By number: the file has them by name, so that 10 comes before 2.
        weights.sort_by_key(|(name, _)| name.parse::<usize>().unwrap_or(usize::MAX));
        for (number, address) in weights {
            if let Some(data) = file.object(address)?.data {
                // A name is a path, and may be given a million times.
                let name = format!("{}/{number}", path.join("/"));
                file.pay(name.len() / 8)?;
                push(entries, name, data);
            }
        }
    }
    Ok(())
}

fn push(entries: &mut Vec<Entry>, name: String, data: format::DataSet) {
    entries.push(Entry { name, dtype: data.dtype, shape: data.shape, data: Data::InFile(data.range) });
}

fn texts(object: &Object, name: &str) -> Option<Vec<String>> {
    object.texts.iter().find(|(key, _)| key == name).map(|(_, texts)| texts.clone())
}
