//! The mean of a network's weights over the last steps, which does better than the last ones alone.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use zoo_kernels::Element;
use zoo_layers::Net;

use crate::Result;
use crate::optim::in_place::{Formula, takes, update};

/// A network whose weights and statistics follow another's: each step `decay` of the old and the rest of the new.
#[derive(Debug)]
pub(crate) struct Average {
    net: Net,
    decay: f64,
}

impl Average {
    /// Begins with the weights of `net`.
    pub(crate) fn of(net: &Net, decay: f64, device: &Device) -> Result<Self> {
        let copies = net.tensors().map(|(param, tensor)| Ok((param.name.clone(), tensor.detach().copy()?)));
        let copies = copies.collect::<Result<HashMap<String, Tensor>>>()?;
        Ok(Self { net: net.graph().load_tensors(&copies, device)?, decay })
    }

    /// The average.
    pub(crate) fn net(&self) -> &Net {
        &self.net
    }

    /// Takes a step's weights in.
    pub(crate) fn take(&self, net: &Net) -> Result<()> {
        for ((_, mean), (_, new)) in self.net.tensors().zip(net.tensors()) {
            let (old, new) = (mean.detach(), new.detach());
            if takes(&old) {
                update(&old, &new, &new, Towards { decay: self.decay })?;
            } else {
                let moved = ((&old * self.decay)? + (&new * (1.0 - self.decay))?)?;
                candle_core::Var::from_tensor(mean)?.set(&moved)?;
            }
        }
        Ok(())
    }
}

struct Towards {
    decay: f64,
}

impl Formula for Towards {
    fn number<T: Element>(&self, mean: T, new: T, _: T) -> T {
        mean * T::from_f64(self.decay) + new * T::from_f64(1.0 - self.decay)
    }
}
