//! Preprocessing of photographs as torchvision does it: scale, crop the centre, normalise.
//!
//! ```
//! use zoo_data::{Channels, Picture, Preprocess, preprocess};
//!
//! let photo = Picture::new(640, 427, Channels::Rgb, vec![128; 640 * 427 * 3])?;
//! let input = preprocess::apply(&Preprocess::imagenet(256, 224), &photo)?;
//! assert_eq!((input.height, input.width, input.values.len()), (224, 224, 3 * 224 * 224));
//! # Ok::<(), zoo_data::Error>(())
//! ```

use crate::mask::IGNORED;
use crate::{Channels, Filter, Picture, Result, resize};

pub use zoo_base::preprocess::{IMAGENET_MEAN, IMAGENET_STD, Order, Preprocess};

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
    /// `channels * height * width` values: channel by channel, row by row. Of several views, one after the other.
    pub values: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Scales and cuts: the picture that the network sees, grey or RGB as it takes them, before its bytes become numbers.
///
/// # Errors
/// A size of 0, or one beyond [`MAX_PIXELS`](crate::picture::MAX_PIXELS), as when a picture of 1x100,000
/// pixels is scaled by its short side and not cut.
pub fn picture(how: &Preprocess, picture: &Picture) -> Result<Picture> {
    let wanted = channels(how);
    let grey = (wanted == Channels::Grey).then(|| picture.clone().into_grey());
    let seen = piece(how, grey.as_ref().unwrap_or(picture), [Side::Middle; 2])?;
    Ok(seen.into_channels(wanted))
}

/// Scales, cuts and normalises.
///
/// # Errors
/// As [`picture`].
pub fn apply(how: &Preprocess, picture: &Picture) -> Result<Input> {
    let picture = self::picture(how, picture)?;
    Ok(Input { values: normalise(how, &picture), height: picture.height(), width: picture.width() })
}

/// The colours that a network takes.
pub(crate) const fn channels(how: &Preprocess) -> Channels {
    if how.input[0] == 1 { Channels::Grey } else { Channels::Rgb }
}

/// What a network sees of a picture, in the picture's own colours: where along the height and the width.
pub(crate) fn piece(how: &Preprocess, picture: &Picture, place: [Side; 2]) -> Result<Picture> {
    laid(how, picture, place, how.interpolation, 0)
}

/// A picture's mask as it lies over what the network sees; the border doesn't count.
pub(crate) fn mask(how: &Preprocess, mask: &Picture) -> Result<Picture> {
    laid(how, mask, [Side::Middle; 2], Filter::Nearest, IGNORED)
}

/// A piece of a scaled picture; one that is smaller than what is cut out gets a border.
fn laid(
    how: &Preprocess,
    picture: &Picture,
    [vertical, horizontal]: [Side; 2],
    filter: Filter,
    border: u8,
) -> Result<Picture> {
    let size = how.scaled(picture.width(), picture.height());
    let (crop_height, crop_width) = how.cut().unwrap_or((size.1, size.0));
    let (across, down) = (Cut::at(horizontal, size.0, crop_width), Cut::at(vertical, size.1, crop_height));
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

/// Bytes to numbers, pixels to planes. A byte has 256 values, so that each channel is a table.
pub(crate) fn normalise(how: &Preprocess, picture: &Picture) -> Vec<f32> {
    let white = 255.0 / how.scale;
    let table = |channel: usize| -> [f32; 256] {
        let number = |byte: usize| (byte as f32 / white - how.mean[channel]) / how.std[channel];
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
        let source = match how.channels {
            Order::Rgb => channel,
            Order::Bgr => 2 - channel,
        };
        values.extend(pixels.iter().map(|pixel| table[usize::from(pixel[source])]));
    }
    values
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
