//! Changes that a picture may go through and still show the same: values, as a recipe writes them down.
//!
//! In TOML:
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
//! Each is torchvision's of the same name, with its defaults; given the same draws, the pixels are the same.

/// A change, and how strong it may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Augment {
    /// Mirrored, left for right.
    Flip(Flip),                                  // { probability: 0.5 }
    /// A piece of random size and proportions, scaled to the input's size (Szegedy et al. 2014).
    RandomResizedCrop(RandomResizedCrop),        // { scale: [0.08, 1.0], ratio: [3/4, 4/3], filter: bilinear }
    /// Surrounded by a border, and a piece of the size before cut out (He et al. 2015, section 4.2).
    PadAndCrop(PadAndCrop),                      // { padding: 4, border: black|reflect|edge }
    /// Turned, moved, scaled and slanted.
    Affine(Affine),                              // { degrees, translate: [x, y], scale: [1, 1], shear: [0, 0], filter: nearest, fill }
    /// Brightness, contrast, saturation and hue, in random order.
    ColourJitter(ColourJitter),                  // { brightness, contrast, saturation, hue }
    /// A piece erased (Zhong et al. 2017).
    Erase(Erase),                                // { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3] , value }
    /// `operations` of fourteen, all of one strength (Cubuk et al. 2019).
    RandAugment(RandAugment),                    // { operations: 2, magnitude: 9, bins: 31 }
    /// One operation of any strength (Müller and Hutter 2021).
    TrivialAugment(TrivialAugment),              // { bins: 31 }
    /// Handwriting distorted: an affine and an elastic part.
    Distort(Distortion),
}

/// Pictures mixed with others of their batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Mixup's alpha (Zhang et al. 2017); 0 for none.
    pub mixup: f64,
    /// CutMix's alpha (Yun et al. 2019); 0 for none. If both are there, each batch goes one of both ways.
    pub cutmix: f64,
    /// The share of batches that are mixed at all.
    pub probability: f64,
}

/// With what the pictures of a batch were mixed: input i is `share` of picture i, and the rest of the one before it
/// (of the first, the last).
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// The share of a picture's own class in its target.
    pub share: f32,
    /// The class of the other picture, for each.
    pub labels: Vec<usize>,
}
