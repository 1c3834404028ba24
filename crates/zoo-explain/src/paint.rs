//! Heat over pictures, and PNG.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use zoo_data::{Channels, Filter, Picture, resize};

use crate::{Heat, Result};

/// A shown picture's shorter side is at least so many pixels.
const LEAST: usize = 336;
/// Pixels that the longer side of a picture which is enlarged has at most.
const MOST: usize = 4096;
/// Between two pictures, and around them.
pub(crate) const GAP: usize = 10;
/// How much of the picture the hottest place hides.
const OPAQUE: f32 = 0.72;

/// Cold to hot: dark blue, cyan, green, yellow, red.
const TURBO: [[u8; 3]; 9] = [
    [48, 18, 59],
    [70, 107, 227],
    [40, 187, 236],
    [50, 242, 152],
    [164, 252, 60],
    [237, 208, 58],
    [251, 128, 34],
    [210, 49, 5],
    [122, 4, 3],
];

/// Nothing to much: black, violet, orange, light yellow.
const INFERNO: [[u8; 3]; 6] =
    [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];

/// The colour of a value from 0 to 1 on a scale.
fn on_scale(scale: &[[u8; 3]], value: f32) -> [u8; 3] {
    let place = value.clamp(0.0, 1.0) * (scale.len() - 1) as f32;
    let low = (place as usize).min(scale.len() - 2);
    let share = place - low as f32;
    let mix = |channel: usize| {
        let (a, b) = (f32::from(scale[low][channel]), f32::from(scale[low + 1][channel]));
        (a + (b - a) * share).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

/// Nothing to much, for a value from 0 to 1.
pub(crate) fn inferno(value: f32) -> [u8; 3] {
    on_scale(&INFERNO, value)
}

/// Blue for -1, white for 0, red for 1.
pub(crate) fn diverging(value: f32) -> [u8; 3] {
    on_scale(
        &[[33, 102, 172], [146, 197, 222], [247, 247, 247], [244, 165, 130], [178, 24, 43]],
        (value + 1.0) / 2.0,
    )
}

/// A picture as large as it is shown.
fn shown(picture: &Picture) -> Result<Picture> {
    let picture = picture.clone().into_rgb();
    let short = picture.width().min(picture.height());
    if short >= LEAST {
        return Ok(picture);
    }
    // A strip is not enlarged without end.
    let most = (MOST as f64 / picture.width().max(picture.height()) as f64).max(1.0);
    let times = (LEAST as f64 / short as f64).min(most);
    let side = |length: usize| (length as f64 * times).round() as usize;
    let (width, height) = (side(picture.width()), side(picture.height()));
    // The pixels of a small picture are shown as such.
    if short < 64 {
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                let from =
                    (y * picture.height() / height * picture.width() + x * picture.width() / width) * 3;
                pixels.extend_from_slice(&picture.pixels()[from..from + 3]);
            }
        }
        return Ok(Picture::new(width, height, Channels::Rgb, pixels)?);
    }
    Ok(resize::resize(&picture, width, height, Filter::Bicubic)?)
}

/// The picture under the heat: the colder, the more of the picture is seen.
///
/// # Errors
/// A size that no picture can have.
pub fn over(picture: &Picture, heat: &Heat) -> Result<Picture> {
    let picture = shown(picture)?;
    let (width, height) = (picture.width(), picture.height());
    let levels = heat.scaled(height, width, heat.most());
    let (pixels, _) = picture.pixels().as_chunks::<3>();
    let mut painted = Vec::with_capacity(3 * pixels.len());
    for (pixel, level) in pixels.iter().zip(levels) {
        let opaque = OPAQUE * level.powf(0.7);
        let grey =
            (0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])) * 0.85;
        for (value, hot) in pixel.iter().zip(on_scale(&TURBO, level)) {
            // Half of the colour is taken off, so that the heat's is told from the picture's own.
            let faded = 0.5 * f32::from(*value) + 0.5 * grey;
            painted.push((faded * (1.0 - opaque) + f32::from(hot) * opaque).round() as u8);
        }
    }
    Ok(Picture::new(width, height, Channels::Rgb, painted)?)
}

/// The picture, and beside it the picture under the heat.
///
/// # Errors
/// As [`over`].
pub fn beside(picture: &Picture, heat: &Heat) -> Result<Picture> {
    let (left, right) = (shown(picture)?, over(picture, heat)?);
    let (width, height) = (left.width() + right.width() + 3 * GAP, left.height() + 2 * GAP);
    let mut pixels = vec![255; 3 * width * height];
    put(&mut pixels, width, (GAP, GAP), &left);
    put(&mut pixels, width, (left.width() + 2 * GAP, GAP), &right);
    Ok(Picture::new(width, height, Channels::Rgb, pixels)?)
}

/// Copies an RGB picture into rows of `width` pixels.
pub(crate) fn put(pixels: &mut [u8], width: usize, (x, y): (usize, usize), picture: &Picture) {
    for (row, line) in picture.pixels().chunks_exact(3 * picture.width()).enumerate() {
        let start = 3 * ((y + row) * width + x);
        pixels[start..start + line.len()].copy_from_slice(line);
    }
}

/// The bytes of a PNG file.
///
/// # Errors
/// A size that PNG has no numbers for.
pub fn png(picture: &Picture) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let kind = match picture.channels() {
        Channels::Grey => ExtendedColorType::L8,
        Channels::Rgb => ExtendedColorType::Rgb8,
    };
    let side = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    PngEncoder::new(&mut bytes).write_image(
        picture.pixels(),
        side(picture.width()),
        side(picture.height()),
        kind,
    )?;
    Ok(bytes)
}
