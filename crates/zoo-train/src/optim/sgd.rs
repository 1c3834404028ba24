//! Stochastic gradient descent with momentum.

use candle_core::Result;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    in_place::{Formula, update},
};
use zoo_kernels::Element;

/// Gradient descent whose steps remember the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// How much of the last step goes into this one; 0 for none.
    pub momentum: f64,
    /// Whether the gradient counts as if taken after the remembered step (Sutskever et al. 2013).
    pub nesterov: bool,
    /// This times the weights is added to the gradient.
    pub weight_decay: f64,
}

impl Sgd {
    /// What most papers of the field used.
    pub const NESTEROV: Self = Self { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };

    /// Moves the weights where they lie.
    pub(super) fn step_in_place(&self, step: &Step<'_>) -> Result<()> {
        let [velocity] = &*step.state else {
            candle_core::bail!("SGD keeps one tensor for each parameter, not {}", step.state.len());
        };
        let decay = if step.decays { self.weight_decay } else { 0.0 };
        update(velocity, step.gradient, step.weights, Remember { momentum: self.momentum, decay })?;
        match self.nesterov {
            false => update(step.weights, velocity, velocity, Move { rate: step.rate }),
            true => {
                let formula = MoveAhead { rate: step.rate, momentum: self.momentum, decay };
                update(step.weights, velocity, step.gradient, formula)
            }
        }
    }

    /// Moves the weights by candle's operations, on any device.
    pub(super) fn step_composed(&self, step: &mut Step<'_>) -> Result<()> {
        let gradient = match step.decays && self.weight_decay != 0.0 {
            true => (step.gradient + (step.weights.as_tensor() * self.weight_decay)?)?,
            false => step.gradient.clone(),
        };
        let [velocity] = &mut *step.state else {
            candle_core::bail!("SGD keeps one tensor for each parameter, not {}", step.state.len());
        };
        *velocity = ((&*velocity * self.momentum)? + &gradient)?;
        let direction = match self.nesterov {
            true => (gradient + (&*velocity * self.momentum)?)?,
            false => velocity.clone(),
        };
        step.set((step.weights.as_detached_tensor() - (direction * step.rate)?)?)
    }
}

impl Default for Sgd {
    fn default() -> Self {
        Self::NESTEROV
    }
}

/// The velocity, from the gradient and the weight.
struct Remember {
    momentum: f64,
    decay: f64,
}

impl Formula for Remember {
    fn number<T: Element>(&self, velocity: T, gradient: T, weight: T) -> T {
        velocity * T::from_f64(self.momentum) + (gradient + weight * T::from_f64(self.decay))
    }
}

/// The weight, from the velocity.
struct Move {
    rate: f64,
}

impl Formula for Move {
    fn number<T: Element>(&self, weight: T, velocity: T, _: T) -> T {
        weight - velocity * T::from_f64(self.rate)
    }
}

/// The weight, from the velocity and the gradient, as if the next step were known.
struct MoveAhead {
    rate: f64,
    momentum: f64,
    decay: f64,
}

impl Formula for MoveAhead {
    fn number<T: Element>(&self, weight: T, velocity: T, gradient: T) -> T {
        let gradient = gradient + weight * T::from_f64(self.decay);
        weight - (gradient + velocity * T::from_f64(self.momentum)) * T::from_f64(self.rate)
    }
}
