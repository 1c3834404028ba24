//! Where weights come from: by name, one parameter at a time.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};
use zoo_layers::{Net, Param};

/// The values of a network's parameters, one parameter at a time.
///
/// A network is written without a second copy of its weights: whoever has them gives them in pieces, in order, row by
/// row, of whatever length.
///
/// ```
/// use zoo_layers::{Graph, Linear, Param, Shape};
///
/// /// All weights are one half.
/// struct Halves;
///
/// impl zoo_onnx::Weights for Halves {
///     fn values(
///         &self,
///         param: &Param,
///         take: &mut dyn FnMut(&[f32]) -> zoo_onnx::Result<()>,
///     ) -> zoo_onnx::Result<()> {
///         (0..param.elements()).try_for_each(|_| take(&[0.5]))
///     }
/// }
///
/// let graph = Graph::build("tiny", Shape::vector(3), |net, x| {
///     let logits = net.linear(x, Linear::new(2), "fc")?;
///     net.output("logits", logits)
/// })?;
/// let mut file = Vec::new();
/// zoo_onnx::Model::new(&graph, zoo_onnx::Options::default())?.write(&Halves, &mut file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Weights {
    /// Gives the values of `param` to `take`, piece by piece, in order.
    ///
    /// # Errors
    /// What `take` says; that there are no such values.
    fn values(&self, param: &Param, take: &mut dyn FnMut(&[f32]) -> crate::Result<()>) -> crate::Result<()>;
}

impl Weights for Net {
    fn values(&self, param: &Param, take: &mut dyn FnMut(&[f32]) -> crate::Result<()>) -> crate::Result<()> {
        match self.tensors().find(|(own, _)| own.name == param.name) {
            Some((_, tensor)) => pieces(param, tensor, take),
            None => Ok(()),
        }
    }
}

/// A tensor's values: of f32 on the CPU as they lie, of others through a copy.
fn pieces(
    param: &Param,
    tensor: &Tensor,
    take: &mut dyn FnMut(&[f32]) -> crate::Result<()>,
) -> crate::Result<()> {
    let unread = |source: candle_core::Error| crate::Error::Weights {
        param: param.name.clone(),
        source: source.into(),
    };
    {
        let (storage, layout) = tensor.storage_and_layout();
        if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
            && let Some(values) = values.get(start..end)
        {
            return take(values);
        }
    }
    let copied = tensor.to_device(&Device::Cpu).and_then(|tensor| tensor.to_dtype(DType::F32));
    let values = copied.and_then(|tensor| tensor.flatten_all()?.to_vec1::<f32>()).map_err(unread)?;
    take(&values)
}
