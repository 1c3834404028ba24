//! Where weights come from.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use zoo_layers::{Net, Param};

/// A source of weights by name, asked for parts of a few tensors at a time, so that a file's are never all unpacked at
/// once.
pub trait Weights: Sync {
    /// A parameter's values in f32, outputs first.
    ///
    /// # Errors
    /// A sentence that says why they can't be had.
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String>;

    /// Those of some of its rows (outputs, of a weight), where a source has them at hand or can read them alone; none where
    /// it has only [all values](Weights::values), for which it is asked once then.
    ///
    /// # Errors
    /// As [`Weights::values`]; rows beyond its end.
    fn rows(&self, param: &Param, rows: Range<usize>) -> Result<Option<Cow<'_, [f32]>>, String> {
        let _ = (param, rows);
        Ok(None)
    }
}

impl<S: std::hash::BuildHasher + Sync> Weights for HashMap<String, Vec<f32>, S> {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        self.get(&param.name)
            .map(|values| Cow::Borrowed(values.as_slice()))
            .ok_or_else(|| "it is missing".into())
    }
}

/// A network on candle's tensors: its weights as they are now.
impl Weights for Net {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        let rows = self.rows(param, 0..param.shape.first().copied().unwrap_or(1))?;
        rows.ok_or_else(|| "the network lacks it".into())
    }

    fn rows(&self, param: &Param, rows: Range<usize>) -> Result<Option<Cow<'_, [f32]>>, String> {
        let found = self.tensors().find(|(other, _)| other.name == param.name);
        let (_, tensor) = found.ok_or("the network lacks it")?;
        let values = tensor
            .narrow(0, rows.start, rows.len())
            .and_then(|tensor| tensor.flatten_all())
            .and_then(|tensor| tensor.to_dtype(candle_core::DType::F32))
            .and_then(|tensor| tensor.to_device(&candle_core::Device::Cpu))
            .and_then(|tensor| tensor.to_vec1::<f32>());
        values.map(|values| Some(Cow::Owned(values))).map_err(|error| error.to_string())
    }
}

impl<W: Weights + ?Sized> Weights for &W {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        (**self).values(param)
    }

    fn rows(&self, param: &Param, rows: Range<usize>) -> Result<Option<Cow<'_, [f32]>>, String> {
        (**self).rows(param, rows)
    }
}
