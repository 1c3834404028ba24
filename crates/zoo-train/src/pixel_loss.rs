//! What is made small where each pixel has a class.

use serde::{Deserialize, Serialize};
use zoo_data::mask::IGNORED;
use zoo_layers::Loss;

/// What is made small where each pixel has a class: a sum of three losses, each with what it counts. Pixels labelled
/// [`IGNORED`] count in none.
///
/// ```
/// let recipe = zoo_train::Recipe::parse("pixels = { cross_entropy = 0.5, dice = 0.5 }", "mine.toml")?;
/// assert_eq!((recipe.pixels.dice, recipe.pixels.focal), (0.5, 0.0));
/// # Ok::<(), zoo_train::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PixelLoss {
    /// What the mean cross entropy of the pixels counts.
    pub cross_entropy: f64,
    /// What one minus the mean Dice coefficient of the classes counts (Milletari et al. 2016): classes count alike,
    /// however few pixels they have.
    pub dice: f64,
    /// What the focal loss counts (Lin et al. 2017): cross entropy in which pixels that are told well count little.
    pub focal: f64,
    /// How little: a pixel's loss times (1 − p)^gamma.
    pub gamma: f64,
}

impl Default for PixelLoss {
    fn default() -> Self {
        Self::CROSS_ENTROPY
    }
}

impl PixelLoss {
    /// Cross entropy alone.
    pub const CROSS_ENTROPY: Self = Self { cross_entropy: 1.0, dice: 0.0, focal: 0.0, gamma: 2.0 };

    /// The field that can't be followed, its value and what it may be.
    pub(crate) fn fault(&self) -> Option<(&'static str, f64, &'static str)> {
        let Self { cross_entropy, dice, focal, gamma } = *self;
        let parts = [
            ("weight of the pixels' cross entropy", cross_entropy),
            ("weight of Dice", dice),
            ("weight of the focal loss", focal),
        ];
        let odd = parts.into_iter().find(|(_, value)| !(value.is_finite() && *value >= 0.0));
        let at_least = |(field, value)| (field, value, "a number of at least 0");
        let nothing = (cross_entropy + dice + focal == 0.0).then_some((
            "sum of the pixels' losses",
            0.0,
            "above 0: give one of them a weight",
        ));
        let gamma = (!(gamma == 0.0 || (1.0..=100.0).contains(&gamma))).then_some((
            "gamma",
            gamma,
            "0, or from 1 to 100",
        ));
        odd.map(at_least).or(nothing).or(gamma)
    }

    /// As the layers know it.
    pub(crate) fn loss(&self, smoothing: f64) -> Loss {
        let Self { cross_entropy, dice, focal, gamma } = *self;
        Loss { ignored: Some(IGNORED.into()), cross_entropy, smoothing, dice, focal, gamma }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    const LABELS: [i64; 12] = [0, 2, 255, 1, 1, 2, 0, 0, 255, 2, 1, 0];

    fn logits() -> Vec<f64> {
        (0..36).map(|i| f64::from(i * 29 % 17) / 4.0 - 2.0).collect()
    }

    fn loss(loss: PixelLoss, values: &[f64], weights: &[f64]) -> (f64, Vec<f64>) {
        let map = Tensor::from_slice(values, (2, 3, 2, 3), &Device::Cpu).unwrap();
        let (found, gradient) = loss.loss(0.0).gradient(&map, &LABELS, weights).unwrap();
        (found, gradient.flatten_all().unwrap().to_vec1().unwrap())
    }

    fn kinds() -> [PixelLoss; 5] {
        let none = PixelLoss { cross_entropy: 0.0, ..PixelLoss::CROSS_ENTROPY };
        [
            PixelLoss::CROSS_ENTROPY,
            PixelLoss { dice: 1.0, ..none },
            PixelLoss { focal: 1.0, ..none },
            PixelLoss { focal: 1.0, gamma: 0.0, ..none },
            PixelLoss { cross_entropy: 0.5, dice: 2.0, focal: 0.25, gamma: 1.5 },
        ]
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for kind in kinds() {
            for weights in [&[][..], &[0.5, 2.0, 1.5]] {
                let values = logits();
                let (_, gradient) = loss(kind, &values, weights);
                for (place, slope) in gradient.iter().enumerate() {
                    let at = |step: f64| {
                        let mut values = values.clone();
                        values[place] += step;
                        loss(kind, &values, weights).0
                    };
                    let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!((slope - expected).abs() < 1e-8, "{kind:?} {place}: {slope} {expected}");
                }
            }
        }
    }

    #[test]
    fn values_are_those_of_the_definitions() {
        let values = logits();
        let weights = [0.5, 2.0, 1.5];
        let p = |place: usize, class: usize| {
            let at = |class: usize| values[(place / 6 * 3 + class) * 6 + place % 6];
            at(class).exp() / (0..3).map(|class| at(class).exp()).sum::<f64>()
        };
        let counted =
            || LABELS.iter().enumerate().filter(|(_, label)| **label != 255).map(|(at, l)| (at, *l as usize));
        let all: f64 = counted().map(|(_, label)| weights[label]).sum();
        let focal: f64 =
            counted().map(|(at, l)| -weights[l] * (1.0 - p(at, l)).powi(2) * p(at, l).ln()).sum();
        let [_, dice_kind, focal_kind, plain, _] = kinds();
        assert!((loss(focal_kind, &values, &weights).0 - focal / all).abs() < 1e-12);
        let cross_entropy = loss(PixelLoss::CROSS_ENTROPY, &values, &weights).0;
        assert!((loss(plain, &values, &weights).0 - cross_entropy).abs() < 1e-9);
        let dice = |class: usize| {
            let both: f64 = counted().filter(|(_, label)| *label == class).map(|(at, _)| p(at, class)).sum();
            let given: f64 = counted().map(|(at, _)| p(at, class)).sum();
            let of = counted().filter(|(_, label)| *label == class).count() as f64;
            (2.0 * both + 1.0) / (given + of + 1.0)
        };
        let expected = 1.0 - (dice(0) + dice(1) + dice(2)) / 3.0;
        assert!((loss(dice_kind, &values, &[]).0 - expected).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        let plain = PixelLoss::CROSS_ENTROPY;
        assert_eq!(plain.fault(), None);
        assert_eq!(PixelLoss { dice: -1.0, ..plain }.fault().map(|fault| fault.0), Some("weight of Dice"));
        assert!(PixelLoss { cross_entropy: 0.0, ..plain }.fault().is_some());
        assert!(PixelLoss { gamma: 0.5, ..plain }.fault().is_some());
    }
}
