//! Optimizers over a network's trainable parameters and candle's gradients.
//!
//! Their formulas are PyTorch's, and so are their results. Weight decay is for matrices and kernels alone: on
//! biases and on the scales of norms, which are vectors, it only does harm (He et al. 2018, "Bag of tricks",
//! section 3.1), unless a [`Group`] says otherwise.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var, backprop::GradStore};
use serde::{Deserialize, Serialize};
use zoo_kernels::on_team;
use zoo_layers::{Net, Param};

use crate::{Error, Result};

mod adamw;
pub(crate) mod in_place;
mod rmsprop;
mod sgd;

pub use adamw::AdamW;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

/// Which optimizer, with its settings; the learning rate comes with each step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Stochastic gradient descent with momentum.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    Adamw(AdamW),
    /// RMSprop with momentum.
    Rmsprop(RmsProp),
}

impl Method {
    /// What it keeps for each parameter: one tensor of the parameter's shape each, zeros at first.
    const fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd(_) => &["momentum"],
            Self::Adamw(_) => &["mean", "square"],
            Self::Rmsprop(_) => &["square", "velocity"],
        }
    }
}

/// One parameter, as an optimizer sees it.
struct Slot {
    name: String,
    var: Var,
    group: Group,
    state: Vec<Tensor>,
}

/// How one parameter is treated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// What each step's rate is multiplied by.
    pub rate: f64,
    /// Whether weight decay is for it.
    pub decays: bool,
}

/// A step of one parameter.
struct Step<'a> {
    weights: &'a Var,
    gradient: &'a Tensor,
    state: &'a mut [Tensor],
    rate: f64,
    decays: bool,
    /// From 1.
    number: usize,
}

impl Step<'_> {
    /// Puts the moved weights in place.
    fn set(&self, moved: Tensor) -> candle_core::Result<()> {
        self.weights.set(&moved)
    }
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
        Self::grouped(method, net, |param| Group { rate: 1.0, decays: param.shape.len() > 1 })
    }

    /// The same, with parameters treated as `group` says.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn grouped(method: Method, net: &Net, group: impl Fn(&Param) -> Group) -> Result<Self> {
        let mut slots = Vec::new();
        for (param, var) in net.trainable()? {
            let names = method.slots().iter();
            let state = names.map(|_| Ok(var.zeros_like()?.detach())).collect::<Result<_>>()?;
            slots.push(Slot { name: param.name.clone(), var, group: group(param), state });
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
        on_team(|| self.step_all(gradients, rate))
    }

    fn step_all(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        for slot in &mut self.slots {
            let Some(gradient) = gradients.get(&slot.var) else { continue };
            let (weights, Group { rate: share, decays }, state) =
                (&slot.var, slot.group, &mut slot.state[..]);
            let rate = rate * share;
            let mut step = Step { weights, gradient, state, rate, decays, number: self.steps };
            match (&self.method, in_place::takes(weights)) {
                (Method::Sgd(sgd), true) => sgd.step_in_place(&step)?,
                (Method::Sgd(sgd), false) => sgd.step_composed(&mut step)?,
                (Method::Adamw(adamw), true) => adamw.step_in_place(&step)?,
                (Method::Adamw(adamw), false) => adamw.step_composed(&mut step)?,
                (Method::Rmsprop(rmsprop), true) => rmsprop.step_in_place(&step)?,
                (Method::Rmsprop(rmsprop), false) => rmsprop.step_composed(&mut step)?,
            }
        }
        Ok(())
    }

    /// How many steps it has taken.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Its state: `conv1.weight.momentum`, or `conv1.weight.mean` and `conv1.weight.square`.
    ///
    /// # Errors
    /// candle's.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.tensors().into_iter().map(|(name, state)| Ok((name, state.copy()?))).collect()
    }

    /// Its state in the memory in which the next step changes it.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        let names = self.method.slots();
        let all = self.slots.iter().flat_map(|slot| {
            let state = names.iter().zip(&slot.state);
            state.map(|(kind, state)| (format!("{}.{kind}", slot.name), state.clone()))
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
                tensors.push(found.to_device(slot.var.device())?.to_dtype(slot.var.dtype())?.copy()?);
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

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    /// Both ways of a method give the same weights and state, to rounding.
    #[test]
    fn in_place_is_as_composed() {
        let methods = [
            Method::Sgd(Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 }),
            Method::Sgd(Sgd::NESTEROV),
            Method::Adamw(AdamW::DEFAULT),
            Method::Rmsprop(RmsProp { epsilon: 1e-3, weight_decay: 0.01, ..RmsProp::DEFAULT }),
        ];
        let random = |seed: f64| {
            let numbers = (0..40_000).map(|i| (f64::from(i) * seed).sin()).collect();
            Tensor::from_vec(numbers, (200, 200), &Device::Cpu).unwrap()
        };
        let gap = |a: &Tensor, b: &Tensor| {
            (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap()
        };
        for method in methods {
            let vars = [Var::from_tensor(&random(0.7)).unwrap(), Var::from_tensor(&random(0.7)).unwrap()];
            let zeros = || Tensor::zeros((200, 200), DType::F64, &Device::Cpu).unwrap();
            let mut states = [0, 1].map(|_| method.slots().iter().map(|_| zeros()).collect::<Vec<_>>());
            for number in 1..4 {
                let gradient = random(number as f64);
                for (way, (var, state)) in vars.iter().zip(&mut states).enumerate() {
                    let mut step =
                        Step { weights: var, gradient: &gradient, state, rate: 0.1, decays: true, number };
                    match (&method, way) {
                        (Method::Sgd(sgd), 0) => sgd.step_in_place(&step).unwrap(),
                        (Method::Sgd(sgd), _) => sgd.step_composed(&mut step).unwrap(),
                        (Method::Adamw(adamw), 0) => adamw.step_in_place(&step).unwrap(),
                        (Method::Adamw(adamw), _) => adamw.step_composed(&mut step).unwrap(),
                        (Method::Rmsprop(rmsprop), 0) => rmsprop.step_in_place(&step).unwrap(),
                        (Method::Rmsprop(rmsprop), _) => rmsprop.step_composed(&mut step).unwrap(),
                    }
                }
            }
            assert!(gap(&vars[0], &vars[1]) < 1e-12, "{method:?}");
            for (a, b) in states[0].iter().zip(&states[1]) {
                assert!(gap(a, b) < 1e-12, "{method:?}");
            }
        }
    }
}
