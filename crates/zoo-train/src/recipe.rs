//! What a training run is, apart from its network, its digits and its seed.
//!
//! The recipes here were chosen on a split of the 8,000 bundled digits, the first 7,000 to learn from and the
//! last 1,000 to be judged on; the 1,000 test digits had no part in it.

use serde::{Deserialize, Serialize};
use zoo_data::augment::Distortion;

use crate::optim::{AdamW, Method, Sgd};
use crate::{Error, Result};

/// How a network is trained on digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// How often every digit is seen.
    pub epochs: usize,
    /// Digits for each step. What is left at the end of an epoch, fewer than this, is left out of it.
    pub batch_size: usize,
    /// The optimizer and its settings.
    pub optimizer: Method,
    /// The highest learning rate; it falls to nothing as half a cosine.
    pub learning_rate: f64,
    /// Epochs in which the learning rate rises.
    pub warmup_epochs: usize,
    /// The share of certainty that is spread over all classes.
    pub label_smoothing: f64,
    /// Taken off each pixel, of which paper is 0 and ink is 1.
    pub mean: f64,
    /// What each pixel is divided by then.
    pub std: f64,
    /// How far each digit is distorted, anew in every epoch.
    pub distortion: Distortion,
}

/// How far a small network still gains from distorted digits: less far than a large one would.
const HANDWRITING: Distortion =
    Distortion { rotation: 0.15, scale: 0.1, shear: 0.1, shift: 1.0, bend: 1.0, smoothness: 4 };

impl Recipe {
    /// Ten epochs of undistorted digits with AdamW: where to begin with a network of one's own.
    pub const PLAIN: Self = Self {
        epochs: 10,
        batch_size: 64,
        optimizer: Method::Adamw(AdamW::DEFAULT),
        learning_rate: 2e-3,
        warmup_epochs: 1,
        label_smoothing: 0.0,
        mean: 0.1307,
        std: 0.3081,
        distortion: Distortion::NONE,
    };

    /// For `lenet5`.
    pub const LENET5: Self = Self {
        epochs: 120,
        optimizer: Method::Sgd(Sgd { weight_decay: 2e-4, ..Sgd::NESTEROV }),
        learning_rate: 0.1,
        warmup_epochs: 2,
        distortion: HANDWRITING,
        ..Self::PLAIN
    };

    /// For `lenet5_paper`: as [`LENET5`](Self::LENET5), but with the paper's pixels (section II.B): paper is −0.1
    /// and ink 1.175, so that their mean is about 0 and their variance about 1. The loss is plain cross entropy,
    /// with minus the distances as logits; the paper's own (equation 9) differs in a constant beside the ten.
    /// Distances to codes of 84 values are a hundred times larger than usual logits are, so that AdamW, which
    /// doesn't mind a gradient's size, takes the place of SGD.
    pub const LENET5_PAPER: Self = Self {
        optimizer: Method::Adamw(AdamW { weight_decay: 0.05, ..AdamW::DEFAULT }),
        learning_rate: 1e-3,
        mean: 0.1 / 1.275,
        std: 1.0 / 1.275,
        ..Self::LENET5
    };

    /// For `mnist_convnet`.
    pub const MNIST_CONVNET: Self =
        Self { epochs: 40, optimizer: Method::Sgd(Sgd::NESTEROV), learning_rate: 0.05, ..Self::LENET5 };

    /// The recipe that was found for a network of the zoo.
    pub fn for_model(name: &str) -> Option<Self> {
        Some(match name {
            "lenet5" => Self::LENET5,
            "lenet5_paper" => Self::LENET5_PAPER,
            "mnist_convnet" => Self::MNIST_CONVNET,
            _ => return None,
        })
    }

    /// Whether it can be followed.
    ///
    /// # Errors
    /// [`Error::Recipe`] names the first field that can't.
    pub fn check(&self) -> Result<()> {
        let fault = |field, value: &dyn ToString, allowed| {
            Err(Error::Recipe { field, value: value.to_string(), allowed })
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let decay = match self.optimizer {
            Method::Sgd(sgd) if !share(sgd.momentum) => {
                return fault("momentum", &sgd.momentum, "at least 0 and less than 1");
            }
            Method::Adamw(adamw) if !share(adamw.beta1) => {
                return fault("beta1", &adamw.beta1, "at least 0 and less than 1");
            }
            Method::Adamw(adamw) if !share(adamw.beta2) => {
                return fault("beta2", &adamw.beta2, "at least 0 and less than 1");
            }
            Method::Adamw(adamw) if !positive(adamw.epsilon) => {
                return fault("epsilon", &adamw.epsilon, "a number above 0");
            }
            Method::Sgd(sgd) => sgd.weight_decay,
            Method::Adamw(adamw) => adamw.weight_decay,
        };
        let Distortion { rotation, scale, shear, shift, bend, .. } = self.distortion;
        let reaches = [rotation, shear, shift, bend];
        match self {
            _ if self.epochs == 0 => fault("number of epochs", &0, "at least 1"),
            _ if self.batch_size == 0 => fault("batch size", &0, "at least 1"),
            _ if !positive(self.learning_rate) => {
                fault("learning rate", &self.learning_rate, "a number above 0")
            }
            _ if !(decay >= 0.0 && decay.is_finite()) => {
                fault("weight decay", &decay, "a number of at least 0")
            }
            _ if !share(self.label_smoothing) => {
                fault("label smoothing", &self.label_smoothing, "at least 0 and less than 1")
            }
            _ if !self.mean.is_finite() => fault("mean", &self.mean, "a number"),
            _ if !positive(self.std) => fault("std", &self.std, "a number above 0"),
            _ if !share(scale) => fault("distortion's scale", &scale, "at least 0 and less than 1"),
            _ if !reaches.iter().all(|reach| (0.0..1e3).contains(reach)) => {
                fault("distortion", &format!("{reaches:?}"), "at least 0 and less than 1000 everywhere")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPES: [Recipe; 4] = [Recipe::PLAIN, Recipe::LENET5, Recipe::LENET5_PAPER, Recipe::MNIST_CONVNET];

    #[test]
    fn every_recipe_can_be_followed_and_survives_json() {
        for recipe in RECIPES {
            recipe.check().unwrap();
            let json = serde_json::to_string(&serde_json::to_value(recipe).unwrap()).unwrap();
            assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe, "{json}");
            assert!(json.len() < 500, "{json}");
        }
        assert!(Recipe::for_model("resnet50").is_none());
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        let sgd = Method::Sgd(Sgd { momentum: 1.0, ..Sgd::NESTEROV });
        let wild = Distortion { scale: 1.0, ..Distortion::NONE };
        for (recipe, expected) in [
            (
                Recipe { epochs: 0, ..Recipe::PLAIN },
                "the recipe's number of epochs is 0; it must be at least 1",
            ),
            (Recipe { batch_size: 0, ..Recipe::PLAIN }, "batch size is 0"),
            (Recipe { learning_rate: f64::NAN, ..Recipe::PLAIN }, "learning rate is NaN"),
            (Recipe { label_smoothing: 1.0, ..Recipe::PLAIN }, "label smoothing is 1"),
            (Recipe { std: 0.0, ..Recipe::PLAIN }, "std is 0"),
            (Recipe { optimizer: sgd, ..Recipe::PLAIN }, "momentum is 1"),
            (Recipe { distortion: wild, ..Recipe::PLAIN }, "distortion's scale is 1"),
        ] {
            let error = recipe.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
