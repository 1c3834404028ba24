//! Fourteen operations, drawn by chance: `RandAugment` (Cubuk et al. 2019) and `TrivialAugment` (Müller and Hutter 2021).

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use super::check;
use super::colour;
use super::geometry::{Interpolation, inverse_affine, rotate, transform};
use crate::mask::IGNORED;
use crate::{Picture, Result};

/// What may be done to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Nothing.
    Identity,
    /// Slanted along x,
    ShearX,
    /// or along y.
    ShearY,
    /// Moved along x,
    TranslateX,
    /// or along y.
    TranslateY,
    /// Turned.
    Rotate,
    /// Brighter or darker.
    Brightness,
    /// More or less colour.
    Colour,
    /// More or less contrast.
    Contrast,
    /// Sharper or smoother.
    Sharpness,
    /// Fewer bits.
    Posterize,
    /// Bright values made negative.
    Solarize,
    /// Stretched from black to white.
    AutoContrast,
    /// As many dark values as bright ones.
    Equalize,
}

use Operation::{
    AutoContrast, Brightness, Colour, Contrast, Equalize, Identity, Posterize, Rotate, Sharpness, ShearX,
    ShearY, Solarize, TranslateX, TranslateY,
};

/// All fourteen.
const OPERATIONS: [Operation; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Colour,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

impl Operation {
    /// Does it, with the strength that torchvision calls magnitude.
    pub fn apply(
        self,
        mut picture: Picture,
        magnitude: f64,
        interpolation: Interpolation,
        fill: u8,
    ) -> Picture {
        let slant = || magnitude.atan().to_degrees();
        let middle = [picture.width() as f64 * 0.5, picture.height() as f64 * 0.5];
        let moved = |centre, shift: [f64; 2], shear| {
            transform(&picture, inverse_affine(centre, 0.0, shift, 1.0, shear), interpolation, fill)
        };
        match self {
            Identity => {}
            // Slanted around the corner, moved by whole pixels.
            ShearX => return moved([0.0; 2], [0.0; 2], [slant(), 0.0]),
            ShearY => return moved([0.0; 2], [0.0; 2], [0.0, slant()]),
            TranslateX => return moved(middle, [magnitude.trunc(), 0.0], [0.0; 2]),
            TranslateY => return moved(middle, [0.0, magnitude.trunc()], [0.0; 2]),
            Rotate => return rotate(&picture, magnitude, interpolation, fill),
            Brightness => colour::brightness(&mut picture, 1.0 + magnitude),
            Colour => colour::saturation(&mut picture, 1.0 + magnitude),
            Contrast => colour::contrast(&mut picture, 1.0 + magnitude),
            Sharpness => colour::sharpness(&mut picture, 1.0 + magnitude),
            Posterize => colour::posterize(&mut picture, magnitude as u32),
            Solarize => colour::solarize(&mut picture, magnitude),
            AutoContrast => colour::autocontrast(&mut picture),
            Equalize => colour::equalize(&mut picture),
        }
        picture
    }

    /// What it makes of a mask: pixels move as the picture's do, and colours are none.
    fn follow(self, mask: Picture, magnitude: f64) -> Picture {
        match self {
            ShearX | ShearY | TranslateX | TranslateY | Rotate => {
                self.apply(mask, magnitude, Interpolation::Nearest, IGNORED)
            }
            _ => mask,
        }
    }

    /// Whether its strength may as well be negative.
    const fn is_signed(self) -> bool {
        matches!(
            self,
            ShearX | ShearY | TranslateX | TranslateY | Rotate | Brightness | Colour | Contrast | Sharpness
        )
    }
}

/// How strong each operation is at step `bin` of `bins`.
struct Space {
    shear: f32,
    /// Pixels, along x and along y.
    translate: [f32; 2],
    rotate: f32,
    colour: f32,
    /// Bits that are taken away at most.
    posterize: f32,
}

impl Space {
    fn magnitude(&self, operation: Operation, bin: usize, bins: usize) -> f64 {
        let up_to = |most: f32| f64::from(linspace(0.0, most, bin, bins));
        match operation {
            Identity | AutoContrast | Equalize => 0.0,
            ShearX | ShearY => up_to(self.shear),
            TranslateX => up_to(self.translate[0]),
            TranslateY => up_to(self.translate[1]),
            Rotate => up_to(self.rotate),
            Brightness | Colour | Contrast | Sharpness => up_to(self.colour),
            Posterize => {
                let step = (bins - 1) as f32 / self.posterize;
                8.0 - f64::from((bin as f32 / step).round_ties_even())
            }
            Solarize => f64::from(linspace(255.0, 0.0, bin, bins)),
        }
    }
}

/// PyTorch's, which counts from the nearer end and rounds once.
fn linspace(start: f32, end: f32, index: usize, count: usize) -> f32 {
    let step = (end - start) / (count - 1) as f32;
    match index < count / 2 {
        true => step.mul_add(index as f32, start),
        false => (-step).mul_add((count - 1 - index) as f32, end),
    }
}

fn signed(operation: Operation, magnitude: f64, stream: &mut Stream) -> f64 {
    if operation.is_signed() && stream.below(2) == 1 { -magnitude } else { magnitude }
}

/// Some operations, all of one strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandAugment {
    /// How many, one after the other.
    pub operations: usize,
    /// How strong, of `bins` steps, from 0.
    pub magnitude: usize,
    /// Steps of strength.
    pub bins: usize,
    /// How pixels are found where the picture is slanted, moved or turned.
    pub interpolation: Interpolation,
    /// What shows where it ends.
    pub fill: u8,
}

impl Default for RandAugment {
    fn default() -> RandAugment {
        RandAugment { operations: 2, magnitude: 9, bins: 31, interpolation: Interpolation::Nearest, fill: 0 }
    }
}

impl RandAugment {
    pub(super) fn check(&self) -> Result<()> {
        check(self.operations <= 100, "rand_augment's operations", self.operations, "at most 100")?;
        check((2..=1000).contains(&self.bins), "rand_augment's bins", self.bins, "from 2 to 1000")?;
        check(self.magnitude < self.bins, "rand_augment's magnitude", self.magnitude, "less than its bins")
    }

    /// What an operation's magnitude is, for a picture of this width and height.
    pub fn magnitude(&self, operation: Operation, width: usize, height: usize) -> f64 {
        let reach = |side: usize| (150.0 / 331.0 * side as f64) as f32;
        let space = Space {
            shear: 0.3,
            translate: [reach(width), reach(height)],
            rotate: 30.0,
            colour: 0.9,
            posterize: 4.0,
        };
        space.magnitude(operation, self.magnitude, self.bins)
    }

    pub(super) fn apply(&self, mut picture: Picture, stream: &mut Stream) -> Picture {
        for _ in 0..self.operations {
            let (operation, magnitude) = self.draw(&picture, stream);
            picture = operation.apply(picture, magnitude, self.interpolation, self.fill);
        }
        picture
    }

    pub(super) fn follow(&self, mut mask: Picture, stream: &mut Stream) -> Picture {
        for _ in 0..self.operations {
            let (operation, magnitude) = self.draw(&mask, stream);
            mask = operation.follow(mask, magnitude);
        }
        mask
    }

    fn draw(&self, picture: &Picture, stream: &mut Stream) -> (Operation, f64) {
        let operation = OPERATIONS[stream.below(OPERATIONS.len())];
        let magnitude = self.magnitude(operation, picture.width(), picture.height());
        (operation, signed(operation, magnitude, stream))
    }
}

/// One operation, of any strength: the wide space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrivialAugment {
    /// Steps of strength.
    pub bins: usize,
    /// How pixels are found where the picture is slanted, moved or turned.
    pub interpolation: Interpolation,
    /// What shows where it ends.
    pub fill: u8,
}

impl Default for TrivialAugment {
    fn default() -> TrivialAugment {
        TrivialAugment { bins: 31, interpolation: Interpolation::Nearest, fill: 0 }
    }
}

impl TrivialAugment {
    pub(super) fn check(&self) -> Result<()> {
        check((2..=1000).contains(&self.bins), "trivial_augment's bins", self.bins, "from 2 to 1000")
    }

    /// What an operation's magnitude is at a step.
    pub fn magnitude(&self, operation: Operation, bin: usize) -> f64 {
        let space = Space { shear: 0.99, translate: [32.0; 2], rotate: 135.0, colour: 0.99, posterize: 6.0 };
        space.magnitude(operation, bin.min(self.bins - 1), self.bins)
    }

    pub(super) fn apply(&self, picture: Picture, stream: &mut Stream) -> Picture {
        let (operation, magnitude) = self.draw(stream);
        operation.apply(picture, magnitude, self.interpolation, self.fill)
    }

    pub(super) fn follow(&self, mask: Picture, stream: &mut Stream) -> Picture {
        let (operation, magnitude) = self.draw(stream);
        operation.follow(mask, magnitude)
    }

    fn draw(&self, stream: &mut Stream) -> (Operation, f64) {
        let operation = OPERATIONS[stream.below(OPERATIONS.len())];
        let magnitude = self.magnitude(operation, stream.below(self.bins));
        (operation, signed(operation, magnitude, stream))
    }
}
