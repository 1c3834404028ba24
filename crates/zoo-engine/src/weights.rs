//! Where weights come from.

use std::{borrow::Cow, collections::HashMap};

use zoo_layers::{Net, Param};

/// A source of weights by name, asked for one tensor at a time, so that a file's are never all unpacked at once.
pub trait Weights {
    /// A parameter's values in f32, outputs first.
    ///
    /// # Errors
    /// A sentence that says why they can't be had.
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String>;
}

impl<S: std::hash::BuildHasher> Weights for HashMap<String, Vec<f32>, S> {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        self.get(&param.name)
            .map(|values| Cow::Borrowed(values.as_slice()))
            .ok_or_else(|| "it is missing".into())
    }
}

/// A network on candle's tensors: its weights as they are now.
impl Weights for Net {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        let found = self.tensors().find(|(other, _)| other.name == param.name);
        let (_, tensor) = found.ok_or("the network lacks it")?;
        let values = tensor
            .flatten_all()
            .and_then(|tensor| tensor.to_dtype(candle_core::DType::F32))
            .and_then(|tensor| tensor.to_device(&candle_core::Device::Cpu))
            .and_then(|tensor| tensor.to_vec1::<f32>());
        values.map(Cow::Owned).map_err(|error| error.to_string())
    }
}

impl<W: Weights + ?Sized> Weights for &W {
    fn values(&self, param: &Param) -> Result<Cow<'_, [f32]>, String> {
        (**self).values(param)
    }
}
