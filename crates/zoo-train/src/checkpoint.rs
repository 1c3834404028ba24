//! Everything that a run needs to go on as if it had never stopped: `last.checkpoint`, a safetensors file.
//!
//! The weights are under `net.`, averaged ones under `ema.`, the optimizer's state under `optimizer.`; where the run
//! stands is JSON in the metadata. Everything random is a function of seed and place, so that no generator has a state.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zoo_data::Place;
use zoo_layers::Net;
use zoo_weights::TensorFile;

use crate::{
    Error, Result, RunFolder, Source,
    evaluate::{self, Verdict},
    values::numbers_of,
};

const KEY: &str = "zoo_checkpoint";

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The stage, from 0; one beyond the last when all is done.
    pub stage: usize,
    /// The next batch.
    pub place: Place,
    /// The optimizer's steps in this stage.
    pub steps: usize,
    /// Steps of all stages.
    pub all_steps: u64,
    /// The sum of this epoch's losses so far, and of how many.
    pub losses: (f64, usize),
    /// Of this epoch's pictures so far, how many were told right, and of how many.
    #[serde(default)]
    pub right: (usize, usize),
    /// Epochs that are done.
    pub history: Vec<Epoch>,
    /// Which of them was the best by the validation part.
    pub best: Option<usize>,
}

/// What an epoch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its stage's name.
    pub stage: String,
    /// From 1, within the stage.
    pub epoch: usize,
    /// The mean loss of its batches.
    pub loss: f64,
    /// The share of its pictures that were told right while they were learned from; none if all were mixed.
    pub top1: Option<f64>,
    /// The rate of its last step.
    pub rate: f64,
    /// The mean loss on the validation part, if there is one.
    pub validation_loss: Option<f64>,
    /// The share of it that was right.
    pub validation_top1: Option<f64>,
    /// Of pixels: the mean intersection over union of the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_iou: Option<f64>,
}

impl Epoch {
    /// What the best epoch is chosen by: the share that was right, or of pixels the mean intersection over union.
    pub fn merit(&self) -> Option<f64> {
        self.validation_iou.or(self.validation_top1)
    }

    /// Whether it is better than another: by its merit, or of those alike by the loss on the validation part. Where nothing
    /// was judged, whichever came later is.
    pub fn is_better_than(&self, other: &Self) -> bool {
        match (self.merit(), other.merit()) {
            (Some(ours), Some(theirs)) if ours == theirs => self.validation_loss < other.validation_loss,
            (Some(ours), Some(theirs)) => ours > theirs,
            _ => true,
        }
    }

    /// The same epoch with `net` in the place of what it came to, as a validation part judges that.
    ///
    /// # Errors
    /// Pictures that don't fit the network.
    pub fn judged(&self, net: &Net, validation: &dyn Source, device: &Device) -> Result<Self> {
        let verdict = evaluate::judge(net, validation, None, device, &mut evaluate::to_the_end)?;
        let verdict = verdict.continue_value();
        Ok(Self {
            validation_loss: verdict.as_ref().map(|verdict| verdict.loss),
            validation_top1: verdict.as_ref().map(|verdict| verdict.top1),
            validation_iou: verdict.and_then(|verdict| verdict.iou),
            ..self.clone()
        })
    }

    /// The epoch that was just learned from and judged.
    pub(crate) fn closed(stage: &str, standing: &Standing, rate: f64, verdict: Option<&Verdict>) -> Self {
        Self {
            stage: stage.into(),
            epoch: standing.place.epoch + 1,
            loss: standing.loss(),
            top1: standing.top1(),
            rate,
            validation_loss: verdict.map(|verdict| verdict.loss),
            validation_top1: verdict.map(|verdict| verdict.top1),
            validation_iou: verdict.and_then(|verdict| verdict.iou),
        }
    }
}

impl Standing {
    /// The mean loss of this epoch so far.
    pub(crate) fn loss(&self) -> f64 {
        self.losses.0 / self.losses.1.max(1) as f64
    }

    /// The share of this epoch's pictures so far that were told right; none of none.
    pub(crate) fn top1(&self) -> Option<f64> {
        let (right, all) = self.right;
        (all > 0).then(|| right as f64 / all as f64)
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    /// What the run is: architecture, options, recipe, seed, data.
    identity: Value,
    standing: Standing,
}

/// The tensors of a run.
#[derive(Debug, Default)]
pub(crate) struct Tensors {
    pub(crate) net: BTreeMap<String, Tensor>,
    pub(crate) ema: BTreeMap<String, Tensor>,
    pub(crate) optimizer: BTreeMap<String, Tensor>,
}

impl Tensors {
    fn parts(&self) -> [(&'static str, &BTreeMap<String, Tensor>); 3] {
        [("net.", &self.net), ("ema.", &self.ema), ("optimizer.", &self.optimizer)]
    }
}

/// Writes a checkpoint, whole or not at all: the one before stays until this one has its name.
pub(crate) fn write(path: &Path, identity: &Value, standing: &Standing, tensors: &Tensors) -> Result<()> {
    let mut values = Vec::new();
    for (prefix, part) in tensors.parts() {
        for (name, tensor) in part {
            values.push((format!("{prefix}{name}"), tensor.dims(), numbers_of(tensor)?));
        }
    }
    let views = values
        .iter()
        .map(|(name, shape, values)| Ok((name, zoo_weights::Tensor::from_f32(shape, values.numbers()?))));
    let views: Vec<_> = views.collect::<candle_core::Result<_>>()?;
    let header = Header { identity: identity.clone(), standing: standing.clone() };
    let header = serde_json::to_value(&header)
        .map_err(|source| Error::Checkpoint { path: path.to_path_buf(), why: source.to_string() })?;
    Ok(zoo_weights::save(path, &views, Some((KEY, &header)))?)
}

/// Puts the weights that the run in a folder had come to into its network, and says where it stands; nothing if it has no
/// checkpoint yet. What is computed from the network before the run goes on, features for a head, is then what it was.
///
/// # Errors
/// A checkpoint that can't be read, or of another run.
pub fn take_up(folder: &RunFolder, identity: &Value, net: &Net) -> Result<Option<Standing>> {
    let Some((standing, tensors)) = read(&folder.checkpoint(), identity)? else { return Ok(None) };
    set(net, &tensors.net)?;
    Ok(Some(standing))
}

/// Reads the checkpoint of a run with this identity; nothing if there is none.
pub(crate) fn read(path: &Path, identity: &Value) -> Result<Option<(Standing, Tensors)>> {
    if !path.exists() {
        return Ok(None);
    }
    let odd = |why: String| Error::Checkpoint { path: path.to_path_buf(), why };
    let file = TensorFile::open(path)?;
    let Some(text) = file.metadata().get(KEY) else { return Err(odd("it holds no run's state".into())) };
    let Header { identity: theirs, standing } =
        serde_json::from_str(text).map_err(|error| odd(error.to_string()))?;
    if let Some((field, theirs, ours)) = difference(&theirs, identity) {
        return Err(odd(format!(
            "its {field} is {theirs}, and this run's is {ours}; bring back what it was, or begin another run"
        )));
    }
    let mut tensors = Tensors::default();
    for (name, tensor) in file.tensors() {
        let values = Tensor::from_vec(tensor.to_f32()?, tensor.shape.as_ref(), &Device::Cpu)?;
        let (part, name) = match name.split_once('.') {
            Some(("net", name)) => (&mut tensors.net, name),
            Some(("ema", name)) => (&mut tensors.ema, name),
            Some(("optimizer", name)) => (&mut tensors.optimizer, name),
            _ => return Err(odd(format!("`{name}` belongs to nothing"))),
        };
        part.insert(name.into(), values);
    }
    Ok(Some((standing, tensors)))
}

/// The first value in which two descriptions of a run differ, by its path.
fn difference(theirs: &Value, ours: &Value) -> Option<(String, String, String)> {
    let within = |name: String, theirs: Option<&Value>, ours: Option<&Value>| {
        let (theirs, ours) = (theirs.unwrap_or(&Value::Null), ours.unwrap_or(&Value::Null));
        let (path, theirs, ours) = difference(theirs, ours)?;
        Some((if path.is_empty() { name } else { format!("{name}.{path}") }, theirs, ours))
    };
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            names.map(|name| within(name.clone(), a.get(name), b.get(name))).find_map(|found| found)
        }
        (Value::Array(a), Value::Array(b)) => {
            (0..a.len().max(b.len())).find_map(|at| within(at.to_string(), a.get(at), b.get(at)))
        }
        _ => {
            let text = |value: &Value| if value.is_null() { "none".into() } else { value.to_string() };
            (theirs != ours).then(|| (String::new(), text(theirs), text(ours)))
        }
    }
}

/// The first of a network's tensors that holds a value that is no number.
pub(crate) fn unsound(net: &Net) -> Result<Option<String>> {
    for (param, tensor) in net.tensors() {
        let values = numbers_of(tensor)?;
        if values.numbers()?.iter().any(|value| !value.is_finite()) {
            return Ok(Some(param.name.clone()));
        }
    }
    Ok(None)
}

/// A network's tensors by name.
pub(crate) fn tensors(net: &Net) -> BTreeMap<String, Tensor> {
    net.tensors().map(|(param, tensor)| (param.name.clone(), tensor.clone())).collect()
}

/// Puts values into a network's tensors, where they lie.
pub(crate) fn set(net: &Net, values: &BTreeMap<String, Tensor>) -> Result<()> {
    set_each(net, |name| Ok(values.get(name).cloned()))
}

/// The same with values that are read one at a time.
pub(crate) fn set_each(net: &Net, read: impl Fn(&str) -> Result<Option<Tensor>>) -> Result<()> {
    for (param, tensor) in net.tensors() {
        let value = read(&param.name)?.filter(|value| value.dims() == tensor.dims());
        let Some(value) = value else {
            return Err(Error::State { reason: format!("`{}` is missing or misshapen", param.name) });
        };
        candle_core::Var::from_tensor(tensor)?.set(&value.to_device(tensor.device())?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::difference;

    #[test]
    fn what_differs_is_named() {
        let run = json!({"seed": 1, "data": "a", "stages": [{"epochs": 1}, {"epochs": 2}]});
        assert_eq!(difference(&run, &run), None);
        let other = |field: &str, value: serde_json::Value| {
            let mut other = run.clone();
            *other.pointer_mut(field).unwrap() = value;
            let (field, theirs, ours) = difference(&run, &other).unwrap();
            [field, theirs, ours]
        };
        assert_eq!(other("/data", json!("b")), ["data", "\"a\"", "\"b\""]);
        assert_eq!(other("/stages/1/epochs", json!(8)), ["stages.1.epochs", "2", "8"]);
        assert_eq!(other("/stages", json!([{"epochs": 1}])), ["stages.1", "{\"epochs\":2}", "none"]);
        assert_eq!(other("/seed", json!(null)), ["seed", "1", "none"]);
    }
}
