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
    use super::*;

    #[test]
    fn what_cannot_be_followed_is_said() {
        let plain = PixelLoss::CROSS_ENTROPY;
        assert_eq!(plain.fault(), None);
        assert_eq!(PixelLoss { dice: -1.0, ..plain }.fault().map(|fault| fault.0), Some("weight of Dice"));
        assert!(PixelLoss { cross_entropy: 0.0, ..plain }.fault().is_some());
        assert!(PixelLoss { gamma: 0.5, ..plain }.fault().is_some());
    }
}
