//! A mask laid over its picture, with a legend.

use super::{font, voc_palette};
use crate::{Channels, Error, Picture, Result};

/// The share of a pixel that is its class's colour.
const SHARE: f32 = 0.55;
/// Pixels around a line of the legend.
const MARGIN: usize = 3;
/// The side of a class's square.
const SQUARE: usize = 9;

/// The picture in its classes' colours, PASCAL VOC's, and below it each class that is there with its share of the pixels.
/// The background, the first class if it is called so, keeps the picture's own colours and stands last.
///
/// ```
/// use zoo_data::{Channels, Picture, mask::overlay};
///
/// let picture = Picture::new(100, 60, Channels::Grey, vec![90; 6000])?;
/// let mask = Picture::new(100, 60, Channels::Grey, vec![1; 6000])?;
/// let shown = overlay(&picture, &mask, &["background".into(), "cat".into()])?;
/// assert_eq!((shown.width(), shown.height()), (100, 60 + 15)); // a line of legend
/// # Ok::<(), zoo_data::Error>(())
/// ```
///
/// # Errors
/// A mask of another size.
pub fn overlay(picture: &Picture, mask: &Picture, classes: &[String]) -> Result<Picture> {
    let (width, height) = (picture.width(), picture.height());
    if (mask.width(), mask.height()) != (width, height) {
        let (expected, found) = (width * height, mask.width() * mask.height());
        return Err(Error::PixelCount { width, height, channels: 1, expected, found });
    }
    let palette = voc_palette();
    let is_background = |class: usize| class == 0 && classes.first().is_some_and(|name| is_background(name));
    let mut counts = [0_usize; 256];
    mask.pixels().iter().for_each(|&label| counts[usize::from(label)] += 1);
    let mut present: Vec<usize> = (0..256).filter(|&class| counts[class] > 0).collect();
    present.sort_by_key(|&class| (is_background(class), std::cmp::Reverse(counts[class])));
    let lines: Vec<(usize, String)> = present
        .into_iter()
        .map(|class| {
            let name = classes.get(class).cloned().unwrap_or_else(|| class.to_string());
            let share = counts[class] as f64 * 100.0 / (width * height) as f64;
            (class, format!("{name} {share:.1} %"))
        })
        .collect();

    let line_height = SQUARE + 2 * MARGIN;
    let longest = lines.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
    let legend = SQUARE + 3 * MARGIN + longest * font::STEP;
    let (columns, rows) = (width.max(legend), height + lines.len() * line_height);
    let mut pixels = vec![255_u8; 3 * columns * rows];
    let rgb = picture.clone().into_rgb();
    for (y, row) in rgb.pixels().chunks_exact(3 * width).enumerate() {
        let target = &mut pixels[3 * columns * y..][..3 * width];
        target.copy_from_slice(row);
        for (pixel, &label) in target.chunks_exact_mut(3).zip(&mask.pixels()[y * width..]) {
            if !is_background(usize::from(label)) {
                for (value, colour) in pixel.iter_mut().zip(palette[usize::from(label)]) {
                    *value = (f32::from(*value) * (1.0 - SHARE) + f32::from(colour) * SHARE + 0.5) as u8;
                }
            }
        }
    }
    let mut put = |x: usize, y: usize, colour: [u8; 3]| {
        if x < columns && y < rows {
            pixels[3 * (y * columns + x)..][..3].copy_from_slice(&colour);
        }
    };
    for (number, (class, text)) in lines.iter().enumerate() {
        let top = height + number * line_height + MARGIN;
        for at in 0..SQUARE * SQUARE {
            put(MARGIN + at % SQUARE, top + at / SQUARE, palette[*class]);
        }
        let (left, top) = (SQUARE + 2 * MARGIN, top + (SQUARE - font::HEIGHT) / 2);
        font::pixels(text).for_each(|(x, y)| put(left + x, top + y, [0; 3]));
    }
    Picture::new(columns, rows, Channels::Rgb, pixels)
}

/// Whether a class is what is behind all things: `background`, or VOC's `__background__`.
pub fn is_background(name: &str) -> bool {
    name.trim_matches('_') == "background"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_coloured_and_the_background_is_not() {
        let picture = Picture::new(2, 1, Channels::Grey, vec![100, 100]).unwrap();
        let mask = Picture::new(2, 1, Channels::Grey, vec![0, 15]).unwrap();
        let classes: Vec<String> = crate::classes::voc().iter().map(ToString::to_string).collect();
        let shown = overlay(&picture, &mask, &classes).unwrap();
        let mixed = [(100.0 * 0.45 + 192.0 * 0.55) as u8 + 1, 115, 115];
        assert_eq!((&shown.pixels()[..3], &shown.pixels()[3..6]), (&[100; 3][..], &mixed[..]));
        // Two lines: the person, then the background; as wide as the longer of them.
        let longest = "__background__ 50.0 %".len();
        assert_eq!((shown.height(), shown.width()), (1 + 2 * 15, 9 + 9 + longest * 6));
        let at = |x: usize, y: usize| shown.pixels()[3 * (y * shown.width() + x)..][..3].to_vec();
        assert_eq!((at(5, 6), at(5, 21)), (vec![192, 128, 128], vec![0; 3]));
        assert!(overlay(&picture, &Picture::new(1, 1, Channels::Grey, vec![0]).unwrap(), &classes).is_err());
    }
}
