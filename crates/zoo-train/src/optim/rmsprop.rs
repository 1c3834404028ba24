//! RMSprop (Tieleman and Hinton 2012), with momentum.

use candle_core::Result;
use serde::{Deserialize, Serialize};

use super::{
    Step,
    in_place::{Formula, update},
};
use zoo_kernels::Element;

/// Steps over the root of the gradient's running square, remembered as SGD's are. PyTorch's formula: epsilon stands
/// beside the root.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RmsProp {
    /// Memory of the square.
    pub alpha: f64,
    /// How much of the last step goes into this one; 0 for none.
    pub momentum: f64,
    /// Keeps the quotient finite.
    pub epsilon: f64,
    /// This times the weights is added to the gradient.
    pub weight_decay: f64,
}

impl RmsProp {
    /// What Inception-v3 and MobileNetV2 were trained with (Szegedy et al. 2015, section 8; Sandler et al. 2018, section
    /// 6.1).
    pub const DEFAULT: Self = Self { alpha: 0.9, momentum: 0.9, epsilon: 1.0, weight_decay: 4e-5 };

    /// Moves the weights where they lie.
    pub(super) fn step_in_place(&self, step: &Step<'_>) -> Result<()> {
        let [square, velocity] = &*step.state else {
            candle_core::bail!("RMSprop keeps two tensors for each parameter, not {}", step.state.len());
        };
        let decay = if step.decays { self.weight_decay } else { 0.0 };
        let gradient = match decay == 0.0 {
            true => step.gradient.clone(),
            false => (step.gradient + (step.weights.as_detached_tensor() * decay)?)?,
        };
        update(square, &gradient, &gradient, Square { alpha: self.alpha })?;
        let formula = Remember { momentum: self.momentum, epsilon: self.epsilon };
        update(velocity, &gradient, square, formula)?;
        update(step.weights, velocity, velocity, Move { rate: step.rate })
    }

    /// Moves the weights by candle's operations, on any device.
    pub(super) fn step_composed(&self, step: &mut Step<'_>) -> Result<()> {
        let gradient = match step.decays && self.weight_decay != 0.0 {
            true => (step.gradient + (step.weights.as_detached_tensor() * self.weight_decay)?)?,
            false => step.gradient.clone(),
        };
        let [square, velocity] = &mut *step.state else {
            candle_core::bail!("RMSprop keeps two tensors for each parameter, not {}", step.state.len());
        };
        *square = ((&*square * self.alpha)? + (gradient.sqr()? * (1.0 - self.alpha))?)?;
        let direction = (&gradient / (square.sqrt()? + self.epsilon)?)?;
        *velocity = ((&*velocity * self.momentum)? + direction)?;
        let moved = (step.weights.as_detached_tensor() - (&*velocity * step.rate)?)?;
        step.set(moved)
    }
}

impl Default for RmsProp {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The running square, from the gradient.
struct Square {
    alpha: f64,
}

impl Formula for Square {
    fn number<T: Element>(&self, square: T, gradient: T, _: T) -> T {
        square * T::from_f64(self.alpha) + gradient * gradient * T::from_f64(1.0 - self.alpha)
    }
}

/// The velocity, from the gradient and its running square.
struct Remember {
    momentum: f64,
    epsilon: f64,
}

impl Formula for Remember {
    fn number<T: Element>(&self, velocity: T, gradient: T, square: T) -> T {
        velocity * T::from_f64(self.momentum) + gradient / (square.sqrt() + T::from_f64(self.epsilon))
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
