//! Optimizers over a network's trainable parameters and candle's gradients.
//!
//! Their formulas are PyTorch's, and so are their results. Weight decay is for matrices and kernels alone: on
//! biases and on the scales of norms, which are vectors, it only does harm (He et al. 2018, "Bag of tricks",
//! section 3.1).

use std::collections::BTreeMap;

use candle_core::{Tensor, Var, backprop::GradStore};
use serde::{Deserialize, Serialize};
use zoo_layers::Net;

use crate::{Error, Result};

mod adamw;
mod sgd;

pub use adamw::AdamW;
pub use sgd::Sgd;

/// Which optimizer, with its settings; the learning rate comes with each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    Adamw(AdamW),
}

impl Method {
    /// What it keeps for each parameter: one tensor of the parameter's shape each, zeros at first.
    const fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["momentum"],
            Self::Adamw(_) => &["mean", "square"],
        }
    }
}

/// One parameter, as an optimizer sees it.
struct Slot {
    name: String,
    var: Var,
    decays: bool,
    state: Vec<Tensor>,
}

/// A step of one parameter.
struct Step<'a> {
    weights: &'a Tensor,
    gradient: &'a Tensor,
    state: &'a mut [Tensor],
    rate: f64,
    decays: bool,
    /// From 1.
    number: usize,
}

/// An optimizer at work: it holds its state, and the network's variables.
pub struct Optimizer {
    method: Method,
    slots: Vec<Slot>,
    steps: usize,
}

impl Optimizer {
    /// An optimizer that has seen nothing yet.
    ///
    /// # Errors
    /// [`Error::NothingToTrain`]; candle's.
    pub fn new(method: Method, net: &Net) -> Result<Self> {
        let mut slots = Vec::new();
        for (param, var) in net.trainable()? {
            let zeros = var.zeros_like()?.detach();
            let state = vec![zeros; method.slots().len()];
            slots.push(Slot { name: param.name.clone(), var, decays: param.shape.len() > 1, state });
        }
        match slots.is_empty() {
            true => Err(Error::NothingToTrain { graph: net.graph().name().into() }),
            false => Ok(Self { method, slots, steps: 0 }),
        }
    }

    /// Moves every parameter that has a gradient.
    ///
    /// # Errors
    /// candle's.
    pub fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        self.steps += 1;
        for slot in &mut self.slots {
            let Some(gradient) = gradients.get(&slot.var) else { continue };
            let weights = slot.var.as_detached_tensor();
            let (decays, state) = (slot.decays, &mut slot.state[..]);
            let step = Step { weights: &weights, gradient, state, rate, decays, number: self.steps };
            slot.var.set(&match self.method {
                Method::Sgd(sgd) => sgd.step(step)?,
                Method::Adamw(adamw) => adamw.step(step)?,
            })?;
        }
        Ok(())
    }

    /// How many steps it has taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Its state: `conv1.weight.momentum`, or `conv1.weight.mean` and `conv1.weight.square`.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let names = self.method.slots();
        let all = self.slots.iter().flat_map(|slot| {
            names.iter().zip(&slot.state).map(|(kind, state)| (format!("{}.{kind}", slot.name), state.clone()))
        });
        all.collect()
    }

    /// Takes up [`state`](Self::state) again, after so many `steps`.
    ///
    /// # Errors
    /// [`Error::State`] names a tensor that is missing, misshapen or too many; nothing is changed then.
    pub fn restore(&mut self, mut state: BTreeMap<String, Tensor>, steps: usize) -> Result<()> {
        let mut restored = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let mut tensors = Vec::new();
            for kind in self.method.slots() {
                let name = format!("{}.{kind}", slot.name);
                let found = state
                    .remove(&name)
                    .ok_or_else(|| Error::State { reason: format!("`{name}` is missing") })?;
                if found.dims() != slot.var.dims() {
                    let (found, wanted) = (found.dims(), slot.var.dims());
                    return Err(Error::State { reason: format!("`{name}` is {found:?}, not {wanted:?}") });
                }
                tensors.push(found);
            }
            restored.push(tensors);
        }
        if let Some(name) = state.keys().next() {
            return Err(Error::State { reason: format!("`{name}` belongs to none of its parameters") });
        }
        for (slot, state) in self.slots.iter_mut().zip(restored) {
            slot.state = state;
        }
        self.steps = steps;
        Ok(())
    }
}
