//! Preprocessing of photographs as torchvision does it: scale, crop the centre, normalise.
//!
//! ```
//! use zoo_data::{Channels, Picture, Preprocess};
//!
//! let photo = Picture::new(640, 427, Channels::Rgb, vec![128; 640 * 427 * 3])?;
//! let input = Preprocess::imagenet(256, 224).apply(&photo)?;
//! assert_eq!((input.height, input.width, input.values.len()), (224, 224, 3 * 224 * 224));
//! # Ok::<(), zoo_data::Error>(())
//! ```

use crate::mask::IGNORED;
use crate::{Channels, Filter, Picture, Result, resize};

/// The mean of ImageNet's pixels, red, green, blue, of values from 0 to 1.
pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];

/// Their standard deviation.
pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// To which size a picture is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Not at all.
    Keep,
    /// The shorter side to so many pixels, the longer in proportion, rounded down.
    ShortSide(usize),
    /// To this size, whatever becomes of the proportions.
    Exact {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl Resize {
    /// Width and height that a picture of this width and height gets.
    pub fn size(self, width: usize, height: usize) -> (usize, usize) {
        match self {
            Resize::Keep => (width, height),
            Resize::Exact { height, width } => (width, height),
            Resize::ShortSide(side) => {
                let longer = |long: usize, short: usize| {
                    let exact = side as u128 * long as u128 / (short as u128).max(1);
                    usize::try_from(exact).unwrap_or(usize::MAX)
                };
                if width <= height { (side, longer(height, width)) } else { (longer(width, height), side) }
            }
        }
    }
}

/// The order in which a network takes the colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red, as Caffe's networks do.
    Bgr,
}

/// How a network wants its pictures: plain data, as a manifest of weights gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocess {
    /// First the picture is scaled,
    pub resize: Resize,
    /// with this filter;
    pub filter: Filter,
    /// then its centre is cut out, height and width; a picture that is smaller gets a black border.
    pub crop: Option<(usize, usize)>,
    /// Bytes are divided by this: 255 for values from 0 to 1, 1 for none.
    pub divisor: f32,
    /// Then the mean of each channel is subtracted, in the order in which the network takes them,
    pub mean: [f32; 3],
    /// and what remains is divided by this.
    pub std: [f32; 3],
    /// The order of the channels.
    pub order: Order,
}

/// Which pieces of a picture a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Views {
    /// The centre.
    #[default]
    Centre,
    /// The corners and the centre, as torchvision's `FiveCrop`: top left, top right, bottom left, bottom right, centre
    /// (Krizhevsky et al. 2012, section 4.1, who take their mirror images too: ten crops).
    Five,
}

impl Views {
    /// Where each piece lies, along the height and the width.
    pub(crate) const fn places(self) -> &'static [[Side; 2]] {
        use Side::{End, Middle, Start};
        match self {
            Views::Centre => &[[Middle, Middle]],
            Views::Five => &[[Start, Start], [Start, End], [End, Start], [End, End], [Middle, Middle]],
        }
    }

    /// How many pieces.
    pub const fn count(self) -> usize {
        self.places().len()
    }
}

/// Where a piece lies along a side of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Start,
    Middle,
    End,
}

/// A picture as a network takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Input {
    /// `3 * height * width` values: channel by channel, row by row. Of several views, one after the other.
    pub values: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Preprocess {
    /// The usual evaluation on ImageNet: bilinear to a short side, a square from the centre, ImageNet's mean
    /// and deviation.
    pub const fn imagenet(short_side: usize, crop: usize) -> Preprocess {
        Preprocess {
            resize: Resize::ShortSide(short_side),
            filter: Filter::Bilinear,
            crop: Some((crop, crop)),
            divisor: 255.0,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            order: Order::Rgb,
        }
    }

    /// Scales and cuts: the RGB picture that the network sees, before its bytes become numbers.
    ///
    /// # Errors
    /// A size of 0, or one beyond [`MAX_PIXELS`](crate::picture::MAX_PIXELS), as when a picture of 1x100,000
    /// pixels is scaled by its short side and not cut.
    pub fn picture(&self, picture: &Picture) -> Result<Picture> {
        self.seen(picture).map(Picture::into_rgb)
    }

    /// The same in the picture's own colours, grey or RGB.
    pub(crate) fn seen(&self, picture: &Picture) -> Result<Picture> {
        self.seen_at(picture, [Side::Middle; 2])
    }

    /// The same, cut out elsewhere: where along the height and the width.
    pub(crate) fn seen_at(&self, picture: &Picture, place: [Side; 2]) -> Result<Picture> {
        self.laid(picture, place, self.filter, 0)
    }

    /// A picture's mask as it lies over what the network sees; the border doesn't count.
    pub(crate) fn mask(&self, mask: &Picture) -> Result<Picture> {
        self.laid(mask, [Side::Middle; 2], Filter::Nearest, IGNORED)
    }

    fn laid(
        &self,
        picture: &Picture,
        [vertical, horizontal]: [Side; 2],
        filter: Filter,
        border: u8,
    ) -> Result<Picture> {
        let size = self.resize.size(picture.width(), picture.height());
        let (crop_height, crop_width) = self.crop.unwrap_or((size.1, size.0));
        let (across, down) =
            (Cut::at(horizontal, size.0, crop_width), Cut::at(vertical, size.1, crop_height));
        let columns = across.start..across.start + across.length;
        let rows = down.start..down.start + down.length;
        let seen = resize::window(picture, size, (columns, rows), filter)?;
        if (seen.width(), seen.height()) == (crop_width, crop_height) {
            return Ok(seen);
        }
        resize::check_target(crop_width, crop_height)?;
        let channels = seen.channels().count();
        let mut pixels = vec![border; crop_width * crop_height * channels];
        for (row, line) in seen.pixels().chunks_exact(seen.width() * channels).enumerate() {
            let start = ((down.border + row) * crop_width + across.border) * channels;
            pixels[start..start + line.len()].copy_from_slice(line);
        }
        Picture::new(crop_width, crop_height, seen.channels(), pixels)
    }

    /// Scales, cuts and normalises.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    pub fn apply(&self, picture: &Picture) -> Result<Input> {
        let picture = self.picture(picture)?;
        Ok(Input { values: self.normalise(&picture), height: picture.height(), width: picture.width() })
    }

    /// Bytes to numbers, pixels to planes. A byte has 256 values, so that each channel is a table. A grey picture has
    /// one plane, of the first mean and deviation.
    pub(crate) fn normalise(&self, picture: &Picture) -> Vec<f32> {
        let table = |channel: usize| -> [f32; 256] {
            let number = |byte: usize| (byte as f32 / self.divisor - self.mean[channel]) / self.std[channel];
            std::array::from_fn(number)
        };
        if picture.channels() == Channels::Grey {
            let table = table(0);
            return picture.pixels().iter().map(|&value| table[usize::from(value)]).collect();
        }
        let (pixels, _) = picture.pixels().as_chunks::<3>();
        let mut values = Vec::with_capacity(3 * pixels.len());
        for channel in 0..3 {
            let table = table(channel);
            let source = match self.order {
                Order::Rgb => channel,
                Order::Bgr => 2 - channel,
            };
            values.extend(pixels.iter().map(|pixel| table[usize::from(pixel[source])]));
        }
        values
    }
}

/// One direction of a centre crop.
struct Cut {
    /// Where in the scaled picture it begins,
    start: usize,
    /// how many pixels it takes of it,
    length: usize,
    /// and how many black ones stand before them.
    border: usize,
}

impl Cut {
    fn at(side: Side, size: usize, crop: usize) -> Cut {
        match side {
            Side::Start if crop <= size => Cut { start: 0, length: crop, border: 0 },
            Side::End if crop <= size => Cut { start: size - crop, length: crop, border: 0 },
            _ => Cut::centred(size, crop),
        }
    }

    fn centred(size: usize, crop: usize) -> Cut {
        if crop > size {
            return Cut { start: 0, length: size, border: (crop - size) / 2 };
        }
        // Python's `round` of a half goes to the even neighbour, and torchvision calls it.
        let (half, odd) = ((size - crop) / 2, (size - crop) % 2);
        Cut { start: half + (half & odd), length: crop, border: 0 }
    }
}
