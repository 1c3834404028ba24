//! Memory that goes round: what a training step no longer needs serves the next results of the same size.
//!
//! A fresh buffer of some megabytes costs nearly as much as filling it: the system hands it out page by page, each
//! cleared first. The results and gradients of one training step have the sizes of those of the step before, so a
//! network keeps them.

use std::{
    collections::HashMap,
    fmt,
    mem::size_of,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Tensor, WithDType};
use zoo_kernels::Element;

/// Buffers by type and length.
type Shelves = HashMap<(DType, usize), Vec<CpuStorage>>;

/// Buffers that wait for their next use.
#[derive(Default)]
pub(crate) struct Buffers {
    shelves: Mutex<Shelves>,
    /// The shape of the last step's pictures.
    last: Mutex<Vec<usize>>,
}

impl Buffers {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `len` numbers, whatever they are.
    pub(crate) fn take<T: WithDType + Element>(&self, len: usize) -> Vec<T> {
        let kept = self.shelves().get_mut(&(T::DTYPE, len)).and_then(Vec::pop);
        match kept.and_then(|storage| T::cpu_storage_data(storage).ok()) {
            Some(mut buffer) => {
                spoil(&mut buffer);
                buffer
            }
            None => fresh(len),
        }
    }

    fn give(&self, storage: CpuStorage) {
        let (dtype, len) = match &storage {
            CpuStorage::F32(values) => (DType::F32, values.len()),
            CpuStorage::F64(values) => (DType::F64, values.len()),
            _ => return,
        };
        self.shelves().entry((dtype, len)).or_default().push(storage);
    }

    /// Takes the memory of a tensor that nobody else has: clones of it, and views, lose their values.
    pub(crate) fn reclaim(&self, tensor: &Tensor) {
        // A tensor that can't be taken apart is simply dropped.
        let _ = tensor.inplace_op1(&Reclaim(self));
    }

    /// Begins a step on pictures of this shape. What steps of another shape left is freed: nothing of it would fit.
    pub(crate) fn next_step(&self, shape: &[usize]) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != shape {
            self.shelves().clear();
            *last = shape.to_vec();
        }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize =
            self.shelves().iter().map(|((_, len), kept)| len * kept.len() * size_of::<f32>()).sum();
        write!(f, "Buffers(about {bytes} bytes)")
    }
}

/// A buffer that nobody had before.
pub(crate) fn fresh<T: Element>(len: usize) -> Vec<T> {
    let mut buffer = vec![T::ZERO; len];
    spoil(&mut buffer);
    buffer
}

/// Kernels must write every number: where debug assertions are on, and so in tests, one that doesn't gives NaN.
fn spoil<T: Element>(buffer: &mut [T]) {
    if cfg!(debug_assertions) {
        buffer.fill(T::from_f64(f64::NAN));
    }
}

struct Reclaim<'b>(&'b Buffers);

impl InplaceOp1 for Reclaim<'_> {
    fn name(&self) -> &'static str {
        "reclaim"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        self.0.give(std::mem::replace(storage, CpuStorage::F32(Vec::new())));
        Ok(())
    }
}

/// A tensor on its way through a training step. When its last holder lets it go its memory is used again, unless
/// it was handed in from outside.
#[derive(Debug)]
pub(crate) struct Value {
    tensor: Tensor,
    memory: Memory,
}

/// Where a value's memory comes from.
#[derive(Debug)]
enum Memory {
    /// From these buffers, or fit to go there.
    Ours(Arc<Buffers>),
    /// It is another value's, read in another shape.
    View { _of: Arc<Value> },
    /// The caller's.
    Theirs,
}

impl Value {
    /// A tensor that was made in this step and is nobody else's.
    pub(crate) fn ours(tensor: Tensor, buffers: &Arc<Buffers>) -> Arc<Self> {
        Arc::new(Self { tensor, memory: Memory::Ours(Arc::clone(buffers)) })
    }

    /// A tensor that somebody else may hold.
    pub(crate) fn theirs(tensor: Tensor) -> Arc<Self> {
        Arc::new(Self { tensor, memory: Memory::Theirs })
    }

    /// `of` in another shape, without a copy.
    pub(crate) fn view(of: &Arc<Self>, shape: &[usize]) -> Result<Arc<Self>> {
        let tensor = of.tensor.reshape(shape)?;
        Ok(Arc::new(Self { tensor, memory: Memory::View { _of: Arc::clone(of) } }))
    }

    /// What it is.
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Gives the tensor away for good, copied if others hold it.
    pub(crate) fn give_away(self: Arc<Self>) -> Result<Tensor> {
        match Arc::try_unwrap(self) {
            Ok(mut alone) if matches!(alone.memory, Memory::Ours(_)) => {
                alone.memory = Memory::Theirs;
                Ok(alone.tensor.clone())
            }
            Ok(value) => value.tensor.copy(),
            Err(shared) => shared.tensor.copy(),
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        if let Memory::Ours(buffers) = &self.memory {
            buffers.reclaim(&self.tensor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn memory_comes_back_when_the_last_holder_lets_go() {
        let buffers = Arc::new(Buffers::default());
        let buffer: Vec<f32> = buffers.take(6);
        let address = buffer.as_ptr();
        let value = Value::ours(Tensor::from_vec(buffer, (2, 3), &Device::Cpu).unwrap(), &buffers);
        let view = Value::view(&value, &[6]).unwrap();
        drop(value);
        assert_ne!(buffers.take::<f32>(6).as_ptr(), address);
        assert_eq!(view.tensor().dims(), [6]);
        drop(view);
        assert_eq!(buffers.take::<f32>(6).as_ptr(), address);
    }

    #[test]
    fn what_is_given_away_stays_whole() {
        let buffers = Arc::new(Buffers::default());
        let ours = || Value::ours(Tensor::ones(4, DType::F32, &Device::Cpu).unwrap(), &buffers);
        let alone = ours().give_away().unwrap();
        let shared = ours();
        let other = Arc::clone(&shared);
        let copy = shared.give_away().unwrap();
        drop(other);
        assert_eq!(alone.to_vec1::<f32>().unwrap(), [1.0; 4]);
        assert_eq!(copy.to_vec1::<f32>().unwrap(), [1.0; 4]);
    }

    #[test]
    fn tensors_from_outside_are_left_alone() {
        let tensor = Tensor::ones(4, DType::F32, &Device::Cpu).unwrap();
        drop(Value::theirs(tensor.clone()));
        assert_eq!(tensor.to_vec1::<f32>().unwrap(), [1.0; 4]);
    }
}
