//! How a network wants its pictures: what a manifest of weights says, what a trained file says of itself, and what is done.

use serde::{Deserialize, Serialize};

/// The mean of ImageNet's pixels, red, green, blue, of values from 0 to 1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Their standard deviation.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// From a decoded picture to a network's input.
///
/// ```
/// use zoo_base::preprocess::Preprocess;
///
/// let photo = Preprocess::imagenet(256, 224);
/// assert_eq!((photo.input, photo.cut()), ([3, 224, 224], Some((224, 224))));
/// assert_eq!((photo.scaled(640, 427), photo.scaled(300, 600)), ((383, 256), (256, 512)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Channels, height, width: of what comes out where a piece is cut out, else of the network's nominal picture. One
    /// channel is grey, of the first mean and deviation.
    pub input: [usize; 3],
    /// First the picture is scaled, so that its shorter side has so many pixels.
    pub resize: Option<usize>,
    /// Then its centre is cut out, a square of this side; `None` keeps the whole picture. Where the input is no square,
    /// what is cut out has the input's height and width.
    pub crop: Option<usize>,
    /// The filter of the scaling.
    pub interpolation: Filter,
    /// What white is before the mean is taken away: 1, or 255.
    #[serde(default = "one")]
    pub scale: f32,
    /// Taken from every value, by channel, in the order in which the network takes them.
    pub mean: [f32; 3],
    /// What remains is divided by this.
    pub std: [f32; 3],
    /// The order of the channels.
    #[serde(default)]
    pub channels: Order,
}

/// How pixels are weighted when a picture is scaled, always with antialiasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The nearest pixel alone, no antialiasing.
    Nearest,
    /// The mean of the pixels covered.
    Box,
    /// A triangle: linear interpolation.
    Bilinear,
    /// Cubic interpolation, a = -0.5.
    Bicubic,
    /// A windowed sinc of 3 lobes.
    Lanczos,
}

/// The order in which a network takes the colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as Caffe's networks do.
    Bgr,
}

impl Preprocess {
    /// The usual evaluation on ImageNet: bilinear to a short side, a square from the centre, ImageNet's mean
    /// and deviation.
    pub const fn imagenet(short_side: usize, crop: usize) -> Self {
        Self {
            input: [3, crop, crop],
            resize: Some(short_side),
            crop: Some(crop),
            interpolation: Filter::Bilinear,
            scale: 1.0,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            channels: Order::Rgb,
        }
    }

    /// The same for pictures that already have the input's size, or are to be seen whole.
    pub const fn unscaled(self) -> Self {
        Self { resize: None, crop: None, ..self }
    }

    /// Width and height that a picture of this width and height is scaled to: its longer side in proportion, rounded down
    /// as torchvision does it.
    pub fn scaled(&self, width: usize, height: usize) -> (usize, usize) {
        let Some(side) = self.resize else { return (width, height) };
        let longer = |long: usize, short: usize| {
            let exact = side as u128 * long as u128 / (short as u128).max(1);
            usize::try_from(exact).unwrap_or(usize::MAX)
        };
        if width <= height { (side, longer(height, width)) } else { (longer(width, height), side) }
    }

    /// Height and width of what is cut out.
    pub fn cut(&self) -> Option<(usize, usize)> {
        let [_, height, width] = self.input;
        self.crop.map(|side| if height == width { (side, side) } else { (height, width) })
    }
}

const fn one() -> f32 {
    1.0
}
