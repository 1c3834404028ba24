//! Answers on a CPU: the network compiled for the size of its pictures, once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{CpuStorage, DType, Storage, Tensor};
use zoo_engine::{Engine, Options};
use zoo_layers::{Mode, Net, Outputs};

use crate::{Network, Result};

/// Engines for as many sizes of pictures are kept.
const KEPT: usize = 4;

/// The engines that a network was compiled into, the one used last behind the others.
#[derive(Default)]
pub(crate) struct Engines {
    kept: Mutex<Vec<(Weights, Arc<Engine>)>>,
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_struct("Engines").field("kept", &kept).finish()
    }
}

/// What tells weights from those that they were before they learned on: two numbers of each tensor. A step of training
/// moves nearly all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Weights(Vec<[u32; 2]>);

impl Weights {
    /// Nothing if they aren't f32 on the CPU.
    fn of(net: &Net) -> Option<Self> {
        let numbers = net.tensors().map(|(_, tensor)| {
            let (storage, layout) = tensor.storage_and_layout();
            let Storage::Cpu(CpuStorage::F32(values)) = &*storage else { return None };
            let values = &values[layout.start_offset()..];
            let count = layout.shape().elem_count();
            Some([0, count / 2].map(|at| values.get(at).map_or(0, |value| value.to_bits())))
        });
        numbers.collect::<Option<Vec<_>>>().map(Self)
    }
}

impl Engines {
    /// The engine for pictures of this shape: made when it is first needed, and when weights or batches have grown.
    fn get(&self, net: &Net, input: [usize; 4]) -> Result<Option<Arc<Engine>>> {
        let Some(weights) = Weights::of(net) else { return Ok(None) };
        let [batch, channels, height, width] = input;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same_size = |engine: &Engine| engine.input()[1..] == [channels, height, width];
        if let Some(place) = kept.iter().position(|(_, engine)| is_same_size(engine)) {
            let found = kept.remove(place);
            if found.0 == weights && found.1.input()[0] >= batch {
                let engine = Arc::clone(&found.1);
                kept.push(found);
                return Ok(Some(engine));
            }
        }
        let engine = Arc::new(Engine::compile(net.graph(), net, input, Options::default())?);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((weights, Arc::clone(&engine)));
        Ok(Some(engine))
    }
}

impl Network {
    /// All outputs of evaluation for a prepared batch (n, c, h, w), by name. On a CPU they are computed by the compiled
    /// network (`zoo-engine`), elsewhere by candle.
    ///
    /// # Errors
    /// A batch that does not fit the network.
    pub fn outputs(&self, pictures: &Tensor) -> Result<Outputs> {
        let net = &self.net;
        let (dims, is_single) = (pictures.dims(), pictures.dtype() == DType::F32);
        if let (true, true, &[n, c, h, w]) =
            (self.device.is_cpu(), is_single && pictures.device().is_cpu(), dims)
            && dims.iter().all(|side| *side > 0)
            && let Some(engine) = self.engines.get(net, [n, c, h, w])?
        {
            let values = pictures.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
            let results = engine.run(&values.map_err(zoo_layers::Error::from)?)?;
            let outputs = net.graph().outputs_in(Mode::Eval).zip(engine.outputs()).zip(results);
            let tensors = outputs.map(|((output, shape), values)| {
                let tensor = Tensor::from_vec(values, shape.with_batch(n), &self.device);
                Ok((output.name.clone(), tensor.map_err(zoo_layers::Error::from)?))
            });
            return tensors.collect();
        }
        let pictures = pictures.to_device(&self.device).map_err(zoo_layers::Error::from)?;
        Ok(net.outputs(&pictures, Mode::Eval)?)
    }

    /// The main one of [`Network::outputs`].
    ///
    /// # Errors
    /// As [`Network::outputs`].
    pub fn output(&self, pictures: &Tensor) -> Result<Tensor> {
        let name = &self.net.graph().main_output().name;
        let mut outputs = self.outputs(pictures)?;
        outputs
            .remove(name)
            .ok_or_else(|| zoo_layers::Error::NoOutput { graph: self.net.graph().name().into() }.into())
    }
}
