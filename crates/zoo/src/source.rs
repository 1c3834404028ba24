//! Where a network's parameters are, until they are asked for: in a file, or nowhere yet.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;
use zoo_layers::{Carry, Graph, Net, Param};
use zoo_weights::TensorFile;

use crate::{
    Error, Result,
    loading::{self, Anew},
};

/// The way from a file to a network's parameters: read, or changed, or drawn.
///
/// A network that only answers is packed from here, and never is in memory as tensors.
#[derive(Debug)]
pub(crate) struct Source {
    /// None if all parameters are drawn.
    pub(crate) file: Option<TensorFile>,
    /// Parameters of which the file has nothing that could serve.
    pub(crate) drawn: BTreeSet<String>,
    /// What they are drawn from.
    pub(crate) anew: Anew,
    /// What is done to the file's others, in this order.
    pub(crate) carries: Vec<Carry>,
}

impl Source {
    /// Refuses a file whose values are not all numbers, by the first tensor of a network's that has others.
    pub(crate) fn check(&self, graph: &Graph) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let params: Vec<&Param> = graph.params().filter(|param| !self.is_drawn(param)).collect();
        let check = |param: &&Param| {
            let (Some(shape), name) = (file.shape(&param.name), param.name.as_str()) else { return Ok(()) };
            let (rows, numbers) = (shape.first().copied().unwrap_or(1), shape.iter().product::<usize>());
            let mut wrong = 0;
            let each = (PIECE / (numbers / rows.max(1)).max(1)).max(1);
            for start in (0..rows).step_by(each) {
                let values = match shape.is_empty() {
                    true => file.values(name),
                    false => file.rows(name, start..rows.min(start + each)),
                };
                let values = values.map_err(|source| unusable(file, name, source))?.unwrap_or_default();
                wrong += values.iter().filter(|value| !value.is_finite()).count();
            }
            loading::check_finite(file, name, wrong, numbers)
        };
        let found: Vec<Result<()>> = params.par_iter().map(check).collect();
        found.into_iter().collect()
    }

    /// The network on tensors.
    pub(crate) fn net(&self, graph: &Graph, device: &Device) -> Result<Net> {
        if self.file.is_none() {
            return Ok(graph.init_on(self.anew.seed, DType::F32, device)?);
        }
        let mut tensors = HashMap::new();
        for param in graph.params() {
            tensors.extend(self.tensor(param)?.map(|tensor| (param.name.clone(), tensor)));
        }
        Ok(graph.load_tensors(&tensors, device)?)
    }

    /// A parameter; none if the file lacks it.
    fn tensor(&self, param: &Param) -> Result<Option<Tensor>> {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_drawn(param)) else {
            return self.anew.sample(param).map(Some);
        };
        if !self.changes(param) {
            return read(file, &param.name, Some(&param.shape));
        }
        let Some(mut tensor) = read(file, &param.name, None)? else { return Ok(None) };
        for carry in &self.carries {
            let Some(carried) = carry.tensor(&param.name, &tensor)? else { return Ok(None) };
            tensor = carried;
        }
        Ok(Some(tensor))
    }

    /// Whether a parameter's numbers are others than the file's.
    fn changes(&self, param: &Param) -> bool {
        self.carries.iter().any(|carry| carry.changes(&param.name))
    }

    fn is_drawn(&self, param: &Param) -> bool {
        self.file.is_none() || self.drawn.contains(&param.name)
    }
}

/// Numbers that are checked at a time.
const PIECE: usize = 1 << 18;

/// For an engine to pack.
impl zoo_engine::Weights for Source {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        let values = self.tensor(param).map_err(|error| error.to_string())?.ok_or("the file lacks it")?;
        let values = values.flatten_all().and_then(|values| values.to_vec1::<f32>());
        values.map(Cow::Owned).map_err(|error| error.to_string())
    }

    fn rows(&self, param: &Param, rows: Range<usize>) -> Result<Option<Cow<'_, [f32]>>, String> {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_drawn(param) && !self.changes(param)) else {
            return Ok(None);
        };
        // A dense layer's weight as a convolution's has the same rows.
        let theirs = file.shape(&param.name).and_then(|shape| shape.first());
        if theirs.is_none() || theirs != param.shape.first() {
            return Ok(None);
        }
        let found = file.rows(&param.name, rows).map_err(|error| error.to_string())?;
        found.map(|rows| Some(Cow::Owned(rows))).ok_or_else(|| "the file lacks it".into())
    }
}

/// A tensor of a file, in its shape or another, as a variable, since what a network loads becomes one, and is copied if it is
/// none.
fn read(file: &TensorFile, name: &str, shape: Option<&[usize]>) -> Result<Option<Tensor>> {
    let values = file.values(name).map_err(|source| unusable(file, name, source))?;
    let (Some(values), Some(shape)) = (values, shape.or(file.shape(name))) else {
        return Ok(None); // That it is there, and of the right shape, the report has told.
    };
    let variable = Var::from_vec(values, shape, &Device::Cpu);
    Ok(Some(variable.map_err(zoo_layers::Error::from)?.into_inner()))
}

fn unusable(file: &TensorFile, name: &str, source: zoo_weights::Error) -> Error {
    let (file, name) = (file.path().to_path_buf(), name.to_string());
    Error::Tensor { file, name, source }
}
