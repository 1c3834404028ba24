//! A tensor's numbers where they lie: to write a network down must not take as much memory again.

use std::ops::Deref;

use candle_core::{DType, Result, Storage, Tensor};

/// The numbers of a tensor as f32.
pub(crate) enum Values<G> {
    /// In the tensor's own memory, from here to there.
    Here(G, usize, usize),
    /// Of another type, or on another device.
    Copied(Vec<f32>),
}

/// Looks at a tensor, which nobody can change meanwhile.
pub(crate) fn numbers_of(tensor: &Tensor) -> Result<Values<impl Deref<Target = Storage>>> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, tensor.dtype(), layout.contiguous_offsets()) {
        (Storage::Cpu(_), DType::F32, Some((start, end))) => Ok(Values::Here(storage, start, end)),
        _ => Ok(Values::Copied(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?)),
    }
}

impl<G: Deref<Target = Storage>> Values<G> {
    /// The numbers, row by row.
    pub(crate) fn numbers(&self) -> Result<&[f32]> {
        match self {
            Self::Copied(values) => Ok(values),
            Self::Here(storage, start, end) => match &**storage {
                Storage::Cpu(storage) => Ok(&storage.as_slice::<f32>()?[*start..*end]),
                _ => candle_core::bail!("a tensor left its device"),
            },
        }
    }
}
