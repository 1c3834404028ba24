//! Dropout (Srivastava et al. 2014).

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError};

use super::{Call, Mode, Operation, Result, first, single};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
    rng::Stream,
};

/// In training, each value is set to zero with `probability`, and the others are divided by `1 - probability`;
/// else nothing happens. The mask is a function of the network's seed, the step and the node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// How likely a value is dropped.
    pub probability: f64,
}

impl Operation for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }

    fn detail(&self) -> String {
        format!("p {}", self.probability)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match (0.0..1.0).contains(&self.probability) {
            true => single(inputs),
            false => {
                Err(format!("its probability is {}; it must be at least 0 and below 1", self.probability))
            }
        }
    }

    fn is_view(&self, mode: Mode) -> bool {
        mode == Mode::Eval || self.probability == 0.0
    }

    fn kernel(&self, mode: Mode) -> Option<Arc<dyn Kernel>> {
        match mode {
            Mode::Train => shared(DropoutKernel { probability: self.probability }),
            Mode::Eval => None,
        }
    }

    fn forward(&self, mut call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        if call.mode == Mode::Eval || self.probability == 0.0 {
            return Ok(x.clone());
        }
        let keep = (1.0 / (1.0 - self.probability)) as f32;
        let mut draw = || match call.random.uniform() < self.probability {
            true => 0.0,
            false => keep,
        };
        let mask: Vec<f32> = (0..x.elem_count()).map(|_| draw()).collect();
        x * Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?
    }
}

/// Dropout for one node and step: the mask is drawn again backward, so that it needs no memory between.
#[derive(Clone, Debug)]
struct DropoutKernel {
    probability: f64,
}

impl DropoutKernel {
    fn mask<T: Element>(&self, random: &Stream, from: &[T], into: &mut [T]) {
        let mut random = random.clone();
        let keep = T::from_f64(1.0 / (1.0 - self.probability));
        for (into, from) in into.iter_mut().zip(from) {
            *into = if random.uniform() < self.probability { T::ZERO } else { *from * keep };
        }
    }
}

impl CpuKernel for DropoutKernel {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, random, .. } = run;
        self.mask(random, args[0].data, out);
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { grad, random, .. } = back;
        if let Some(into) = &mut grads[0] {
            self.mask(random, grad, into);
        }
        Ok(())
    }
}
