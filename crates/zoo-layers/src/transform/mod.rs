//! Networks made from networks: other classes, other input channels, dense layers as convolutions. A transform
//! yields a graph and, where tensors change their shape, how those of the old graph become those of the new.

mod convolutional;
mod input;
mod output;

use std::collections::{BTreeMap, HashMap};

use candle_core::Tensor;

use crate::{Error, Result};

/// How the weights of a network become those of its transform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carry {
    changes: BTreeMap<String, Change>,
}

/// What happens to one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    /// The same numbers under another shape.
    Reshape(Vec<usize>),
    /// Another number of input channels: summed or tiled.
    InChannels(usize),
    /// The new network has no use for it.
    Drop,
}

impl Carry {
    /// The tensors for the new network, of those for the old one; a tensor whose name is unknown is passed on,
    /// for the load to report.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use candle_core::{Device, Tensor};
    /// use zoo_layers::{Conv2d, Graph, Linear, Shape};
    ///
    /// let dense = Graph::build("tiny", Shape::map(3, 8, 8), |net, picture| {
    ///     let x = net.conv(picture, Conv2d::k3(4).stride(2), "conv1")?; // (n, 4, 4, 4)
    ///     let x = net.flatten(x)?;                                      // (n, 64)
    ///     let logits = net.linear(x, Linear::new(10), "fc")?;           // (n, 10)
    ///     net.output("logits", logits)
    /// })?;
    /// let (convolutional, carry) = dense.convolutionalize()?;
    /// let trained = dense.init(1)?;
    /// let tensors: HashMap<String, Tensor> =
    ///     trained.tensors().map(|(param, tensor)| (param.name.clone(), tensor.clone())).collect();
    /// let net = convolutional.load_tensors(&carry.tensors(&tensors)?, &Device::Cpu)?;
    /// assert_eq!(net.graph().layer("fc")?.params[0].shape, [10, 4, 4, 4]);
    /// # Ok::<(), zoo_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// A tensor that has not the old network's shape.
    pub fn tensors(&self, old: &HashMap<String, Tensor>) -> Result<HashMap<String, Tensor>> {
        let mut new = HashMap::with_capacity(old.len());
        for (name, tensor) in old {
            new.extend(self.tensor(name, tensor)?.map(|tensor| (name.clone(), tensor)));
        }
        Ok(new)
    }

    /// The same of one tensor; none if the new network has no use for it.
    ///
    /// # Errors
    /// As [`Carry::tensors`].
    pub fn tensor(&self, name: &str, tensor: &Tensor) -> Result<Option<Tensor>> {
        let carried = match self.changes.get(name) {
            None => Ok(tensor.clone()),
            Some(Change::Drop) => return Ok(None),
            Some(Change::Reshape(shape)) => tensor.reshape(shape.as_slice()),
            Some(Change::InChannels(channels)) => input::with_in_channels(tensor, *channels),
        };
        carried.map(Some).map_err(|source| Error::Run { node: name.into(), source })
    }

    /// Whether the numbers of the tensor of this name change, or are wanted no more: another shape leaves them as they are.
    pub fn changes(&self, name: &str) -> bool {
        matches!(self.changes.get(name), Some(Change::InChannels(_) | Change::Drop))
    }

    /// Whether any tensor changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
