//! Stochastic gradient descent with momentum.

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::Step;

/// Gradient descent whose steps remember the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

    /// The new weights.
    pub(super) fn step(&self, step: Step<'_>) -> Result<Tensor> {
        let gradient = match step.decays && self.weight_decay != 0.0 {
            true => (step.gradient + (step.weights * self.weight_decay)?)?,
            false => step.gradient.clone(),
        };
        let [velocity] = step.state else {
            candle_core::bail!("SGD keeps one tensor for each parameter, not {}", step.state.len());
        };
        *velocity = ((&*velocity * self.momentum)? + &gradient)?;
        let direction = match self.nesterov {
            true => (gradient + (&*velocity * self.momentum)?)?,
            false => velocity.clone(),
        };
        step.weights - (direction * step.rate)?
    }
}
