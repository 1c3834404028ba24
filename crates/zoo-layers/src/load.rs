//! Where a network's weights come from: a `VarBuilder`, a named set of tensors, or a seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;

use crate::{Error, Graph, Init, Net, Param, Result, rng::Stream};

impl Graph {
    /// Takes the parameters from a candle `VarBuilder`, by their full names. Of a `VarMap`'s builder, they are
    /// its variables: trained by candle's optimizers, saved with it. Plain tensors are copied into variables of the
    /// network's own: it trains as well, and answers without candle's tape.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape. Unexpected ones can't be seen through a `VarBuilder`:
    /// [`Graph::load_tensors`] sees them.
    pub fn load(&self, weights: VarBuilder<'_>) -> Result<Net> {
        Net::assemble(self, 0, |param| {
            let (path, name) = param.name.rsplit_once('.').unwrap_or(("", &param.name));
            let at = match path.is_empty() {
                true => weights.clone(),
                false => weights.pp(path),
            };
            // A map of variables draws what it lacks, and knows nothing of given values.
            let is_given = matches!(param.init, Init::Values(_) | Init::Bilinear);
            let is_new = is_given && !at.contains_tensor(name);
            let tensor = at.get_with_hints(param.shape.as_slice(), name, candle_hint(param))?;
            if is_new && tensor.is_variable() {
                let (dtype, device) = (tensor.dtype(), tensor.device());
                let values = param.init.sample(&param.shape, Stream::from_key(0), dtype, device)?;
                Var::from_tensor(&tensor)?.set(&values)?;
            }
            Ok(tensor)
        })
    }

    /// Takes a named set of tensors that must be exactly the graph's parameters, converted to f32 on `device`.
    /// `num_batches_tracked`, which PyTorch counts and nobody reads, is dropped.
    ///
    /// # Errors
    /// [`Error::Weights`] names what is missing, unexpected or misshapen.
    pub fn load_tensors(&self, tensors: &HashMap<String, Tensor>, device: &Device) -> Result<Net> {
        let shapes = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.dims()));
        self.check_weights(shapes)?;
        Net::assemble(self, 0, |param| {
            let tensor = tensors.get(&param.name).ok_or_else(|| Error::Weights {
                graph: self.name.clone(),
                report: format!("`{}` is missing", param.name),
            })?;
            Ok(tensor.to_device(device)?.to_dtype(DType::F32)?)
        })
    }

    /// Compares names and shapes with the graph's parameters, both ways.
    ///
    /// # Errors
    /// [`Error::Weights`] names what is missing, unexpected or misshapen.
    pub fn check_weights<'a>(&self, tensors: impl Iterator<Item = (&'a str, &'a [usize])>) -> Result<()> {
        let found: BTreeMap<&str, &[usize]> =
            tensors.filter(|(name, _)| !name.ends_with("num_batches_tracked")).collect();
        let wanted: BTreeMap<&str, &[usize]> =
            self.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect();
        let mut faults = Vec::new();
        let missing: BTreeSet<_> = wanted.keys().filter(|name| !found.contains_key(**name)).collect();
        let unexpected: BTreeSet<_> = found.keys().filter(|name| !wanted.contains_key(**name)).collect();
        for (what, names) in [("missing", missing), ("unexpected", unexpected)] {
            if !names.is_empty() {
                faults.push(format!("{} {what} ({})", names.len(), some_of(names.iter().map(|n| **n))));
            }
        }
        let misshapen = wanted.iter().filter_map(|(name, shape)| match found.get(name) {
            Some(other) if other != shape => Some(format!("`{name}` is {other:?}, not {shape:?}")),
            _ => None,
        });
        let misshapen: Vec<String> = misshapen.collect();
        if !misshapen.is_empty() {
            let shown = misshapen.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            faults.push(format!("{} misshapen ({shown})", misshapen.len()));
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Error::Weights { graph: self.name.clone(), report: faults.join("; ") }),
        }
    }

    /// Fresh weights, f32 on the CPU: each a function of `seed` and its own name.
    ///
    /// # Errors
    /// candle's.
    pub fn init(&self, seed: u64) -> Result<Net> {
        self.init_on(seed, DType::F32, &Device::Cpu)
    }

    /// Fresh weights of another type or on another device: the same numbers, rounded.
    ///
    /// # Errors
    /// candle's.
    pub fn init_on(&self, seed: u64, dtype: DType, device: &Device) -> Result<Net> {
        Net::assemble(self, seed, |param| {
            let stream = Stream::new(seed, &param.name);
            let tensor = param.init.sample(&param.shape, stream, dtype, device)?;
            Ok(Var::from_tensor(&tensor)?.into_inner())
        })
    }
}

/// The first few names, as a list.
fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(4);
    let mut shown: Vec<String> = names.take(4).map(|name| format!("`{name}`")).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// What a `VarMap` should make of a parameter it lacks. candle can't be seeded, and knows fewer distributions:
/// [`Graph::init`] is exact.
fn candle_hint(param: &Param) -> candle_nn::Init {
    match param.init {
        crate::Init::Constant(value) => candle_nn::Init::Const(value),
        crate::Init::Normal { std } | crate::Init::TruncatedNormal { std } => {
            candle_nn::Init::Randn { mean: 0.0, stdev: std }
        }
        crate::Init::Uniform { bound } => candle_nn::Init::Uniform { lo: -bound, up: bound },
        _ => candle_nn::init::DEFAULT_KAIMING_NORMAL,
    }
}
