//! Changes that a picture may go through and still show the same: values, as a recipe writes them down.
//!
//! In TOML, what is left out is as torchvision has it:
//!
//! ```toml
//! augment = [
//!     { kind = "random_resized_crop", scale = [0.25, 1.0] },
//!     { kind = "flip" },
//!     { kind = "trivial_augment" },
//!     { kind = "erase", probability = 0.1 },
//! ]
//! ```
//!
//! Each is drawn as torchvision draws it, and given the same draws, its pixels are those of torchvision on Pillow's
//! pictures, bit for bit. The distortion of digits is our own.

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use crate::mask::IGNORED;
use crate::{Error, Filter, Picture, Result};

pub mod colour;
mod elastic;
mod erase;
pub mod geometry;
mod mix;
mod policy;

pub use colour::ColourJitter;
pub use elastic::Distortion;
pub use erase::{Erase, With};
pub use geometry::{Affine, Border, Flip, Interpolation, PadAndCrop, RandomResizedCrop};
pub use mix::{Mix, Mixed};
pub use policy::{Operation, RandAugment, TrivialAugment};

/// A change, and how strong it may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Augment {
    /// Mirrored.
    Flip(Flip),
    /// A piece of random size and proportions, scaled to the input's size (Szegedy et al. 2014, section 6).
    RandomResizedCrop(RandomResizedCrop),
    /// Surrounded by a border, and a piece of the size before cut out (He et al. 2015, section 4.2).
    PadAndCrop(PadAndCrop),
    /// Turned, moved, scaled and slanted.
    Affine(Affine),
    /// Brightness, contrast, saturation and hue changed, in random order.
    ColourJitter(ColourJitter),
    /// A piece erased (Zhong et al. 2017): of the numbers that the network sees, after all else.
    Erase(Erase),
    /// Some of fourteen operations, all of one strength (Cubuk et al. 2019).
    RandAugment(RandAugment),
    /// One of fourteen operations, of any strength (Müller and Hutter 2021).
    TrivialAugment(TrivialAugment),
    /// Handwriting bent as another hand might have written it. Colours aren't: each channel is bent alike.
    Distort(Distortion),
}

impl Augment {
    /// Whether it can be done.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first value that can't be meant.
    pub fn check(&self) -> Result<()> {
        match self {
            Augment::Flip(flip) => flip.check(),
            Augment::RandomResizedCrop(crop) => crop.check(),
            Augment::PadAndCrop(crop) => crop.check(),
            Augment::Affine(affine) => affine.check(),
            Augment::ColourJitter(jitter) => jitter.check(),
            Augment::Erase(erase) => erase.check(),
            Augment::RandAugment(policy) => policy.check(),
            Augment::TrivialAugment(policy) => policy.check(),
            Augment::Distort(distortion) => distortion.check(),
        }
    }

    /// Changes a picture, drawing from `stream`. `size` is the height and width of the network's input. What is erased is
    /// erased later, of numbers.
    ///
    /// # Errors
    /// A size that no picture can have.
    pub fn apply(&self, picture: Picture, size: (usize, usize), stream: &mut Stream) -> Result<Picture> {
        match self {
            Augment::Flip(flip) => Ok(flip.apply(picture, stream)),
            Augment::RandomResizedCrop(crop) => crop.apply(&picture, size, stream),
            Augment::PadAndCrop(crop) => crop.apply(&picture, stream),
            Augment::Affine(affine) => Ok(affine.apply(&picture, stream)),
            Augment::ColourJitter(jitter) => Ok(jitter.apply(picture, stream)),
            Augment::Erase(_) => Ok(picture),
            Augment::RandAugment(policy) => Ok(policy.apply(picture, stream)),
            Augment::TrivialAugment(policy) => Ok(policy.apply(picture, stream)),
            Augment::Distort(distortion) => Ok(distortion.distort(&picture, stream)),
        }
    }
}

impl Augment {
    /// What a picture's mask becomes where the picture is changed with the same draws: pixels go where the picture's go,
    /// each label as it is (the nearest), and what comes from beyond the edge doesn't count.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn follow(&self, mask: Picture, size: (usize, usize), stream: &mut Stream) -> Result<Picture> {
        let interpolation = Interpolation::Nearest;
        match self {
            Augment::Flip(flip) => Ok(flip.apply(mask, stream)),
            Augment::RandomResizedCrop(crop) => {
                RandomResizedCrop { filter: Filter::Nearest, ..*crop }.apply(&mask, size, stream)
            }
            Augment::PadAndCrop(crop) => crop.follow(&mask, stream),
            Augment::Affine(affine) => {
                Ok(Affine { interpolation, fill: IGNORED, ..*affine }.apply(&mask, stream))
            }
            Augment::ColourJitter(_) | Augment::Erase(_) => Ok(mask),
            Augment::RandAugment(policy) => Ok(policy.follow(mask, stream)),
            Augment::TrivialAugment(policy) => Ok(policy.follow(mask, stream)),
            Augment::Distort(distortion) => Ok(distortion.follow(&mask, stream)),
        }
    }
}

/// Checks a setting: [`Error::Setting`] unless it is `well`.
pub(crate) fn check(
    well: bool,
    what: &str,
    value: impl std::fmt::Debug,
    allowed: &'static str,
) -> Result<()> {
    match well {
        true => Ok(()),
        false => Err(Error::Setting { what: what.into(), value: format!("{value:?}"), allowed }),
    }
}

/// Checks a chance.
pub(crate) fn check_share(what: &str, share: f64) -> Result<()> {
    check((0.0..=1.0).contains(&share), what, share, "from 0 to 1")
}

/// Checks that a pair are bounds, in order, of which the lower is at least `least`.
pub(crate) fn check_bounds(what: &str, bounds: [f64; 2], least: f64, allowed: &'static str) -> Result<()> {
    let [low, high] = bounds;
    check(low >= least && low <= high && high.is_finite(), what, bounds, allowed)
}
