//! Adam with decoupled weight decay (Kingma and Ba 2014; Loshchilov and Hutter 2017).

use candle_core::Result;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    in_place::{Formula, update},
};
use zoo_kernels::Element;

/// Steps of a size that hardly depends on the gradient's: its running mean over the root of its running square.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
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

    /// Both began at zero: early on they are too small by a known factor.
    fn unbiased(beta: f64, step: &Step<'_>) -> f64 {
        1.0 - beta.powi(i32::try_from(step.number).unwrap_or(i32::MAX))
    }

    /// Moves the weights where they lie.
    pub(super) fn step_in_place(&self, step: &Step<'_>) -> Result<()> {
        let [mean, square] = &*step.state else {
            candle_core::bail!("AdamW keeps two tensors for each parameter, not {}", step.state.len());
        };
        update(mean, step.gradient, step.gradient, Mean { beta: self.beta1 })?;
        update(square, step.gradient, step.gradient, Square { beta: self.beta2 })?;
        let formula = Move {
            kept: if step.decays { 1.0 - step.rate * self.weight_decay } else { 1.0 },
            rate: step.rate / Self::unbiased(self.beta1, step),
            square: 1.0 / Self::unbiased(self.beta2, step),
            epsilon: self.epsilon,
        };
        update(step.weights, mean, square, formula)
    }

    /// Moves the weights by candle's operations, on any device.
    pub(super) fn step_composed(&self, step: &mut Step<'_>) -> Result<()> {
        let unbiased = [self.beta1, self.beta2].map(|beta| Self::unbiased(beta, step));
        let [mean, square] = &mut *step.state else {
            candle_core::bail!("AdamW keeps two tensors for each parameter, not {}", step.state.len());
        };
        *mean = ((&*mean * self.beta1)? + (step.gradient * (1.0 - self.beta1))?)?;
        *square = ((&*square * self.beta2)? + (step.gradient.sqr()? * (1.0 - self.beta2))?)?;
        let size = ((&*square / unbiased[1])?.sqrt()? + self.epsilon)?;
        let direction = ((&*mean / unbiased[0])? / size)?;
        let kept = match step.decays {
            true => (step.weights.as_tensor() * (1.0 - step.rate * self.weight_decay))?,
            false => step.weights.as_detached_tensor(),
        };
        step.set((kept - (direction * step.rate)?)?)
    }
}

impl Default for AdamW {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The running mean, from the gradient.
struct Mean {
    beta: f64,
}

impl Formula for Mean {
    fn number<T: Element>(&self, mean: T, gradient: T, _: T) -> T {
        mean * T::from_f64(self.beta) + gradient * T::from_f64(1.0 - self.beta)
    }
}

/// The running square, from the gradient.
struct Square {
    beta: f64,
}

impl Formula for Square {
    fn number<T: Element>(&self, square: T, gradient: T, _: T) -> T {
        square * T::from_f64(self.beta) + gradient * gradient * T::from_f64(1.0 - self.beta)
    }
}

/// The weight, from mean and square.
struct Move {
    kept: f64,
    rate: f64,
    square: f64,
    epsilon: f64,
}

impl Formula for Move {
    fn number<T: Element>(&self, weight: T, mean: T, square: T) -> T {
        let size = (square * T::from_f64(self.square)).sqrt() + T::from_f64(self.epsilon);
        weight * T::from_f64(self.kept) - mean * T::from_f64(self.rate) / size
    }
}
