//! Adam with decoupled weight decay (Kingma and Ba 2014; Loshchilov and Hutter 2017).

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::Step;

/// Steps of a size that hardly depends on the gradient's: its running mean over the root of its running square.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamW {
    /// Memory of the mean.
    pub beta1: f64,
    /// Memory of the square.
    pub beta2: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
    /// This times the learning rate is the share of the weights that each step takes away.
    pub weight_decay: f64,
}

impl AdamW {
    /// The paper's memories, and PyTorch's weight decay.
    pub const DEFAULT: Self = Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.01 };

    /// The new weights.
    pub(super) fn step(&self, step: Step<'_>) -> Result<Tensor> {
        let [mean, square] = step.state else {
            candle_core::bail!("AdamW keeps two tensors for each parameter, not {}", step.state.len());
        };
        *mean = ((&*mean * self.beta1)? + (step.gradient * (1.0 - self.beta1))?)?;
        *square = ((&*square * self.beta2)? + (step.gradient.sqr()? * (1.0 - self.beta2))?)?;
        // Both began at zero: early on they are too small by a known factor.
        let unbiased = |beta: f64| 1.0 - beta.powi(i32::try_from(step.number).unwrap_or(i32::MAX));
        let size = ((&*square / unbiased(self.beta2))?.sqrt()? + self.epsilon)?;
        let direction = ((&*mean / unbiased(self.beta1))? / size)?;
        let kept = match step.decays {
            true => (step.weights * (1.0 - step.rate * self.weight_decay))?,
            false => step.weights.clone(),
        };
        kept - (direction * step.rate)?
    }
}
