//! What a card says of pictures, as the steps that are taken.

use zoo_data::{
    Filter, Picture, Preprocess, classes, handwriting,
    preprocess::{Order, Resize},
};
use zoo_weights::{Channels, Interpolation};

use crate::{Result, card::Digit};

/// A photograph's preparation for another input: scaled and cropped in the old proportion. A grey one has the mean of
/// the channels' means and deviations.
pub(crate) fn resized(photo: zoo_weights::Preprocess, input: [usize; 3]) -> zoo_weights::Preprocess {
    let [_, height, width] = input;
    let side = u32::try_from(height.max(width)).unwrap_or(u32::MAX);
    let resize = match (photo.resize, photo.crop) {
        (Some(resize), Some(crop)) if crop > 0 => {
            let scaled = f64::from(side) * f64::from(resize) / f64::from(crop);
            Some((scaled as u32).max(side))
        }
        (Some(_), _) => Some(side),
        (None, _) => None,
    };
    let one = |values: Vec<f32>| match (input[0], values.len()) {
        (1, 3) => vec![values.iter().sum::<f32>() / 3.0; 3],
        _ => values,
    };
    let (mean, std) = (one(photo.mean), one(photo.std));
    zoo_weights::Preprocess { input, resize, crop: photo.crop.map(|_| side), mean, std, ..photo }
}

/// The steps from a decoded photograph to numbers.
pub(crate) fn steps(photo: &zoo_weights::Preprocess) -> Preprocess {
    let three = |values: &[f32]| [0, 1, 2].map(|i| values.get(i).copied().unwrap_or_default());
    Preprocess {
        resize: photo.resize.map_or(Resize::Keep, |side| Resize::ShortSide(side as usize)),
        filter: match photo.interpolation {
            Interpolation::Bilinear => Filter::Bilinear,
            Interpolation::Bicubic => Filter::Bicubic,
        },
        // A square, unless the network's input is none.
        crop: photo.crop.map(|side| match photo.input {
            [_, height, width] if height != width => (height, width),
            _ => (side as usize, side as usize),
        }),
        divisor: 255.0 / photo.scale,
        mean: three(&photo.mean),
        std: three(&photo.std),
        order: match photo.channels {
            Channels::Rgb => Order::Rgb,
            Channels::Bgr => Order::Bgr,
        },
    }
}

/// The steps from a digit as MNIST has it to numbers, perhaps cut to a height and width.
pub(crate) fn digit_steps(digit: &Digit, crop: Option<(usize, usize)>) -> Preprocess {
    let resize = if crop.is_some() { Resize::ShortSide(handwriting::SIDE) } else { Resize::Keep };
    let (mean, std) = ([digit.mean as f32; 3], [digit.std as f32; 3]);
    Preprocess { resize, filter: Filter::Bilinear, crop, divisor: 255.0, mean, std, order: Order::Rgb }
}

/// Whether a class is a digit by its name.
pub(crate) fn is_digit(name: &str) -> bool {
    const WORDS: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    classes::DIGITS.contains(&name) || WORDS.contains(&name.to_lowercase().as_str())
}

/// The preparation of a grey picture, taken whole, for a network of digits that has learned something else.
pub(crate) fn whole(digit: &Digit) -> zoo_weights::Preprocess {
    let side = digit.input[1] as u32;
    zoo_weights::Preprocess {
        input: digit.input,
        resize: Some(side),
        crop: Some(side),
        interpolation: Interpolation::Bilinear,
        scale: 1.0,
        mean: vec![digit.mean as f32; 3],
        std: vec![digit.std as f32; 3],
        channels: Channels::Rgb,
    }
}

/// A digit of 28×28 in its frame of paper.
pub(crate) fn digit_values(picture: &Picture, name: &str, digit: &Digit) -> Result<Vec<f32>> {
    let pixels = handwriting::prepare(picture, name)?;
    let [_, height, width] = digit.input;
    let side = handwriting::SIDE;
    let level = |value: u8| ((f64::from(value) / 255.0 - digit.mean) / digit.std) as f32;
    let mut values = vec![level(0); height * width];
    for (y, row) in pixels.chunks_exact(side).enumerate() {
        for (x, value) in row.iter().enumerate() {
            let place = (y + digit.padding) * width + x + digit.padding;
            if let Some(target) = values.get_mut(place) {
                *target = level(*value);
            }
        }
    }
    Ok(values)
}
