//! How one preparation follows from another.

use zoo_data::{Picture, Preprocess, classes, handwriting};

use crate::{Result, card::Digit};

/// A photograph's preparation for another input: scaled and cropped in the old proportion. A grey one has the mean of
/// the channels' means and deviations.
pub(crate) fn resized(photo: Preprocess, input: [usize; 3]) -> Preprocess {
    let [_, height, width] = input;
    let side = height.max(width);
    let resize = match (photo.resize, photo.crop) {
        (Some(resize), Some(crop)) if crop > 0 => {
            let scaled = side as f64 * resize as f64 / crop as f64;
            Some((scaled as usize).max(side))
        }
        (Some(_), _) => Some(side),
        (None, _) => None,
    };
    let one = |values: [f32; 3]| if input[0] == 1 { [values.iter().sum::<f32>() / 3.0; 3] } else { values };
    let (mean, std) = (one(photo.mean), one(photo.std));
    Preprocess { input, resize, crop: photo.crop.map(|_| side), mean, std, ..photo }
}

/// The steps from a digit as MNIST has it to numbers, laid out for the network.
pub(crate) fn digit_steps(digit: &Digit) -> Preprocess {
    let [_, height, width] = digit.input;
    let (mean, std) = ([digit.mean as f32; 3], [digit.std as f32; 3]);
    Preprocess { input: digit.input, mean, std, ..Preprocess::imagenet(handwriting::SIDE, height.max(width)) }
}

/// Whether a class is a digit by its name.
pub(crate) fn is_digit(name: &str) -> bool {
    const WORDS: [&str; 10] =
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
    classes::DIGITS.contains(&name) || WORDS.contains(&name.to_lowercase().as_str())
}

/// The preparation of a grey picture, taken whole, for a network of digits that has learned something else.
pub(crate) fn whole(digit: &Digit) -> Preprocess {
    let steps = digit_steps(digit);
    Preprocess { resize: steps.crop, ..steps }
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
