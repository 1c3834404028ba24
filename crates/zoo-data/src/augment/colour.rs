//! What pixels become: brighter, greyer, of another hue.
//!
//! Every function is Pillow's, as torchvision calls it.

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use super::check;
use crate::{Channels, Picture, Result};

/// How far colours change: factors are drawn evenly from 1 less so much (but not below 0) to 1 more so much.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColourJitter {
    /// Against black.
    pub brightness: f64,
    /// Against the mean grey.
    pub contrast: f64,
    /// Against the picture in grey.
    pub saturation: f64,
    /// Round the circle of hues by up to so much of it either way: at most 0.5.
    pub hue: f64,
}

impl ColourJitter {
    pub(super) fn check(&self) -> Result<()> {
        let strengths = [
            ("colour_jitter's brightness", self.brightness),
            ("colour_jitter's contrast", self.contrast),
            ("colour_jitter's saturation", self.saturation),
        ];
        for (what, strength) in strengths {
            check((0.0..=100.0).contains(&strength), what, strength, "a number of at least 0")?;
        }
        check((0.0..=0.5).contains(&self.hue), "colour_jitter's hue", self.hue, "from 0 to 0.5")
    }

    pub(super) fn apply(&self, mut picture: Picture, stream: &mut Stream) -> Picture {
        let mut order = [0, 1, 2, 3];
        stream.shuffle(&mut order);
        let mut factor = |strength: f64| stream.range((1.0 - strength).max(0.0), 1.0 + strength);
        let factors = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let hue = stream.range(-self.hue, self.hue);
        for step in order {
            match step {
                0 if self.brightness > 0.0 => brightness(&mut picture, factors[0]),
                1 if self.contrast > 0.0 => contrast(&mut picture, factors[1]),
                2 if self.saturation > 0.0 => saturation(&mut picture, factors[2]),
                3 if self.hue > 0.0 => turn_hue(&mut picture, hue),
                _ => {}
            }
        }
        picture
    }
}

/// Brighter for a factor above 1; black for 0.
pub fn brightness(picture: &mut Picture, factor: f64) {
    look_up(picture, |value| blend(0, value, factor));
}

/// More contrast for a factor above 1; the mean grey for 0.
pub fn contrast(picture: &mut Picture, factor: f64) {
    let sum: u64 = match picture.channels() {
        Channels::Grey => picture.pixels().iter().map(|&value| u64::from(value)).sum(),
        Channels::Rgb => picture.pixels().as_chunks::<3>().0.iter().map(|rgb| u64::from(luma(*rgb))).sum(),
    };
    let mean = (sum as f64 / (picture.width() * picture.height()) as f64 + 0.5) as u8;
    look_up(picture, |value| blend(mean, value, factor));
}

/// More colour for a factor above 1; grey for 0.
pub fn saturation(picture: &mut Picture, factor: f64) {
    if picture.channels() == Channels::Rgb {
        for pixel in picture.pixels_mut().as_chunks_mut::<3>().0 {
            let grey = luma(*pixel);
            *pixel = pixel.map(|value| blend(grey, value, factor));
        }
    }
}

/// Hues turned by a share of their circle, from -0.5 to 0.5.
pub fn turn_hue(picture: &mut Picture, share: f64) {
    // A negative number of steps goes round the other way.
    let steps = ((share * 255.0) as i32) as u8;
    if picture.channels() == Channels::Rgb {
        for pixel in picture.pixels_mut().as_chunks_mut::<3>().0 {
            let [hue, saturation, value] = to_hsv(*pixel);
            *pixel = from_hsv([hue.wrapping_add(steps), saturation, value]);
        }
    }
}

/// Sharper for a factor above 1; smoothed over 3x3 pixels for 0.
pub fn sharpness(picture: &mut Picture, factor: f64) {
    let smooth = smoothed(picture);
    for (value, smooth) in picture.pixels_mut().iter_mut().zip(smooth) {
        *value = blend(smooth, *value, factor);
    }
}

/// So many of the highest bits of each value are kept.
pub fn posterize(picture: &mut Picture, bits: u32) {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    look_up(picture, |value| value & mask);
}

/// Values from the threshold on become negative.
pub fn solarize(picture: &mut Picture, threshold: f64) {
    look_up(picture, |value| if f64::from(value) < threshold { value } else { 255 - value });
}

/// Each channel is stretched from black to white.
pub fn autocontrast(picture: &mut Picture) {
    each_channel(picture, |counts| {
        let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
        let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
        let scale = 255.0 / (high.saturating_sub(low) as f64);
        let offset = -(low as f64) * scale;
        std::array::from_fn(|value| match high <= low {
            true => value as u8,
            false => (value as f64 * scale + offset).clamp(0.0, 255.0) as u8,
        })
    });
}

/// Each channel gets as many dark values as bright ones.
pub fn equalize(picture: &mut Picture) {
    each_channel(picture, |counts| {
        let last = counts.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (counts.iter().sum::<usize>() - last) / 255;
        let mut n = step / 2;
        std::array::from_fn(|value| {
            let Some(level) = n.checked_div(step) else { return value as u8 };
            n += counts[value];
            level.min(255) as u8
        })
    });
}

/// ITU-R 601 in 16 fractional bits.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let [red, green, blue] = [red, green, blue].map(u32::from);
    ((red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000) >> 16) as u8
}

/// From one value towards another and beyond it, truncated: a cast of a float stops at 0 and 255.
fn blend(from: u8, to: u8, share: f64) -> u8 {
    let (from, to) = (f32::from(from), f32::from(to));
    (from + share as f32 * (to - from)) as u8
}

fn look_up(picture: &mut Picture, value: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|index| value(index as u8));
    picture.pixels_mut().iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Replaces the values of each channel by a table that depends on how often each occurs.
fn each_channel(picture: &mut Picture, table: impl Fn(&[usize; 256]) -> [u8; 256]) {
    let channels = picture.channels().count();
    for channel in 0..channels {
        let mut counts = [0; 256];
        picture.pixels()[channel..]
            .iter()
            .step_by(channels)
            .for_each(|&value| counts[usize::from(value)] += 1);
        let table = table(&counts);
        let values = picture.pixels_mut()[channel..].iter_mut().step_by(channels);
        values.for_each(|value| *value = table[usize::from(*value)]);
    }
}

/// The mean over 3x3 pixels, the middle one five times. The outermost pixels stay.
fn smoothed(picture: &Picture) -> Vec<u8> {
    const AROUND: f32 = 1.0 / 13.0;
    const MIDDLE: f32 = 5.0 / 13.0;
    let (channels, height) = (picture.channels().count(), picture.height());
    let stride = picture.width() * channels;
    let source = picture.pixels();
    let mut result = source.to_vec();
    let inner = |length: usize, edge: usize| length.saturating_sub(edge);
    for (row, line) in result.chunks_exact_mut(stride).enumerate().take(inner(height, 1)).skip(1) {
        for (column, value) in line.iter_mut().enumerate().take(inner(stride, channels)).skip(channels) {
            let at = row * stride + column;
            let across = |at: usize, middle: f32| {
                let value = |at: usize| f32::from(source[at]);
                value(at - channels) * AROUND + value(at) * middle + value(at + channels) * AROUND
            };
            // In this order: sums of floats depend on it.
            let sum = 0.5 + across(at + stride, AROUND) + across(at, MIDDLE) + across(at - stride, AROUND);
            *value = sum as u8;
        }
    }
    result
}

/// Hue, saturation and value, in bytes.
fn to_hsv(rgb: [u8; 3]) -> [u8; 3] {
    let [red, green, blue] = rgb;
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    if most == least {
        return [0, 0, most];
    }
    let range = f32::from(most - least);
    let saturation = range / f32::from(most);
    let [r, g, b] = rgb.map(|value| f32::from(most - value) / range);
    // In double precision from here on, as C has it where a 2.0 takes part.
    let hue = if red == most {
        b - g
    } else if green == most {
        (2.0 + f64::from(r) - f64::from(b)) as f32
    } else {
        (4.0 + f64::from(g) - f64::from(r)) as f32
    };
    let hue = ((f64::from(hue) / 6.0 + 1.0) % 1.0) as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// Back to red, green and blue.
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f64::from(f32::from(hue) * 6.0) / 255.0;
    let sector = sixths.floor();
    let rest = (sixths - sector) as f32;
    let saturation = (f64::from(saturation) / 255.0) as f32;
    let level = |share: f64| (f64::from(value) * (1.0 - share)).round() as u8;
    let (p, q) = (level(saturation.into()), level((saturation * rest).into()));
    let t = level(f64::from(saturation) * (1.0 - f64::from(rest)));
    match sector as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}
