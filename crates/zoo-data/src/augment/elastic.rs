//! Distorted digits for training: a digit turned, scaled, slanted, moved and bent a little is still that digit.
//!
//! The affine part is what every reader of MNIST does; the elastic part is Simard, Steinkraus and Platt, *Best
//! Practices for Convolutional Neural Networks Applied to Visual Document Analysis* (2003): a random field of
//! displacements, smoothed until it is a hand's wobble.
//!
//! Only additions, multiplications, divisions and square roots are used, which every machine rounds alike.

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use super::check;
use crate::mask::IGNORED;
use crate::{Channels, Picture, Result};

/// How far digits are distorted, each draw evenly between the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distortion {
    /// Turned by up to so many radians either way.
    pub rotation: f64,
    /// Each side scaled by up to this fraction up or down.
    pub scale: f64,
    /// Slanted by up to so many pixels for each pixel of height.
    pub shear: f64,
    /// Moved by up to so many pixels along each side.
    pub shift: f64,
    /// Bent by so many pixels in the root mean square.
    pub bend: f64,
    /// Half the side of the square over which displacements are smoothed, three times, in pixels.
    pub smoothness: usize,
}

impl Default for Distortion {
    fn default() -> Distortion {
        Distortion::NONE
    }
}

impl Distortion {
    /// Nothing changes.
    pub const NONE: Distortion =
        Distortion { rotation: 0.0, scale: 0.0, shear: 0.0, shift: 0.0, bend: 0.0, smoothness: 0 };

    /// What suits MNIST's digits of 28x28.
    pub const MNIST: Distortion =
        Distortion { rotation: 0.2, scale: 0.12, shear: 0.15, shift: 2.0, bend: 0.8, smoothness: 4 };

    /// Whether it can be done.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first value that can't be meant.
    pub fn check(&self) -> Result<()> {
        let reaches = [
            ("distort's rotation", self.rotation),
            ("distort's shear", self.shear),
            ("distort's shift", self.shift),
            ("distort's bend", self.bend),
        ];
        for (what, reach) in reaches {
            check((0.0..1e3).contains(&reach), what, reach, "at least 0 and less than 1000")?;
        }
        check((0.0..1.0).contains(&self.scale), "distort's scale", self.scale, "at least 0 and less than 1")?;
        check(self.smoothness < 1000, "distort's smoothness", self.smoothness, "less than 1000")
    }

    /// A distorted copy of a picture, whose channels go the same way.
    pub(super) fn distort(&self, picture: &Picture, stream: &mut Stream) -> Picture {
        let width = picture.width();
        let mut result = picture.clone();
        match picture.channels() {
            Channels::Grey => {
                let bent = self.apply(picture.pixels(), width, stream);
                result.pixels_mut().copy_from_slice(&bent);
            }
            Channels::Rgb => {
                let before = stream.clone();
                for channel in 0..3 {
                    let plane: Vec<u8> = picture.pixels().iter().skip(channel).step_by(3).copied().collect();
                    *stream = before.clone();
                    let bent = self.apply(&plane, width, stream);
                    let values = result.pixels_mut().iter_mut().skip(channel).step_by(3);
                    values.zip(bent).for_each(|(value, bent)| *value = bent);
                }
            }
        }
        result
    }

    /// A distorted copy of a grey picture of `width` columns, drawn from `stream`; paper is 0.
    ///
    /// Every pixel is taken, by linear interpolation, from where the distortion came from.
    pub fn apply(&self, image: &[u8], width: usize, stream: &mut Stream) -> Vec<u8> {
        self.moved(image, width, stream, interpolate)
    }

    /// The mask of a picture that is distorted with the same draws; what comes from beyond the edge doesn't count.
    pub(super) fn follow(&self, mask: &Picture, stream: &mut Stream) -> Picture {
        let mut result = mask.clone();
        let labels = self.moved(mask.pixels(), mask.width(), stream, nearest);
        result.pixels_mut().copy_from_slice(&labels);
        result
    }

    /// Every pixel by `pick` from where the distortion came from.
    fn moved(
        &self,
        image: &[u8],
        width: usize,
        stream: &mut Stream,
        pick: fn(&[u8], usize, usize, f32, f32) -> u8,
    ) -> Vec<u8> {
        let height = image.len().checked_div(width).unwrap_or(0);
        let matrix = self.matrix(stream);
        let shift = [within(stream, self.shift), within(stream, self.shift)];
        let bends = [self.field(width, height, stream), self.field(width, height, stream)];
        let centre = [(width as f32 - 1.0) / 2.0, (height as f32 - 1.0) / 2.0];
        let mut result = Vec::with_capacity(image.len());
        for y in 0..height {
            for x in 0..width {
                let [u, v] = [x as f32 - centre[0] - shift[0], y as f32 - centre[1] - shift[1]];
                let bend = bends.each_ref().map(|field| field.get(y * width + x).copied().unwrap_or(0.0));
                let from_x = matrix[0] * u + matrix[1] * v + centre[0] + bend[0];
                let from_y = matrix[2] * u + matrix[3] * v + centre[1] + bend[1];
                result.push(pick(image, width, height, from_x, from_y));
            }
        }
        result
    }

    /// Rotation, scale and slant as one matrix, row by row.
    fn matrix(&self, stream: &mut Stream) -> [f32; 4] {
        // Half-angle formulas spare the sine, which machines round differently: t is half the angle,
        // and for the small angles meant here its tangent as well.
        let t = 0.5 * within(stream, self.rotation);
        let (cos, sin) = ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t));
        let (wide, tall) = (1.0 + within(stream, self.scale), 1.0 + within(stream, self.scale));
        let slant = within(stream, self.shear);
        [cos / wide, (slant * cos - sin) / wide, sin / tall, (slant * sin + cos) / tall]
    }

    /// A smooth field of displacements along one axis, or none.
    fn field(&self, width: usize, height: usize, stream: &mut Stream) -> Vec<f32> {
        if self.bend == 0.0 {
            return Vec::new();
        }
        let mut field: Vec<f32> = (0..width * height).map(|_| within(stream, 1.0)).collect();
        // Three box blurs are near enough to a Gaussian.
        for _ in 0..3 {
            field = blur_rows(&field, width, self.smoothness);
            field = transpose(&field, width, height);
            field = blur_rows(&field, height, self.smoothness);
            field = transpose(&field, height, width);
        }
        let square = field.iter().map(|x| x * x).sum::<f32>() / field.len().max(1) as f32;
        let gain = if square > 0.0 { self.bend as f32 / square.sqrt() } else { 0.0 };
        field.iter_mut().for_each(|x| *x *= gain);
        field
    }
}

/// A number from `-reach` to `reach`.
fn within(stream: &mut Stream, reach: f64) -> f32 {
    // In single precision: digits that were distorted before stay as they were.
    let reach = f64::from(reach as f32);
    stream.range(-reach, reach) as f32
}

/// The mean over `reach` neighbours on either side within a row; beyond the edge lies 0.
fn blur_rows(field: &[f32], width: usize, reach: usize) -> Vec<f32> {
    let mut result = Vec::with_capacity(field.len());
    for row in field.chunks_exact(width.max(1)) {
        for x in 0..row.len() {
            let near = &row[x.saturating_sub(reach)..(x + reach + 1).min(row.len())];
            result.push(near.iter().sum::<f32>() / (2 * reach + 1) as f32);
        }
    }
    result
}

fn transpose(field: &[f32], width: usize, height: usize) -> Vec<f32> {
    (0..width).flat_map(|x| (0..height).map(move |y| field[y * width + x])).collect()
}

/// The value between four pixels; beyond the edge lies paper.
fn interpolate(image: &[u8], width: usize, height: usize, x: f32, y: f32) -> u8 {
    let (left, top) = (x.floor(), y.floor());
    let (right_share, lower_share) = (x - left, y - top);
    let at = |x: f32, y: f32| {
        let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
        if inside { f32::from(image[y as usize * width + x as usize]) } else { 0.0 }
    };
    let upper = at(left, top) * (1.0 - right_share) + at(left + 1.0, top) * right_share;
    let lower = at(left, top + 1.0) * (1.0 - right_share) + at(left + 1.0, top + 1.0) * right_share;
    (upper * (1.0 - lower_share) + lower * lower_share + 0.5) as u8
}

/// The label of the nearest pixel.
fn nearest(mask: &[u8], width: usize, height: usize, x: f32, y: f32) -> u8 {
    let (x, y) = ((x + 0.5).floor(), (y + 0.5).floor());
    let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
    if inside { mask[y as usize * width + x as usize] } else { IGNORED }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seven() -> Vec<u8> {
        crate::digits::bundled().unwrap().1.image(0).to_vec()
    }

    #[test]
    fn no_distortion_changes_nothing() {
        assert_eq!(Distortion::NONE.apply(&seven(), 28, &mut Stream::numbered(1, 1)), seven());
    }

    #[test]
    fn the_same_stream_gives_the_same_digit_and_another_another() {
        let digit = |seed| Distortion::MNIST.apply(&seven(), 28, &mut Stream::numbered(seed, 0));
        assert_eq!(digit(1), digit(1));
        assert_ne!(digit(1), digit(2));
        let ink = |image: &[u8]| image.iter().map(|&v| u64::from(v)).sum::<u64>() as f64;
        let ratio = ink(&digit(1)) / ink(&seven());
        assert!((0.7..1.4).contains(&ratio), "{ratio}");
    }

    #[test]
    fn a_turn_turns_and_a_shift_shifts() {
        let mut dot = vec![0; 81];
        dot[4 * 9 + 7] = 200; // three to the right of the centre
        let quarter = Distortion { rotation: 2.0, ..Distortion::NONE };
        let mut stream = Stream::numbered(0, 0);
        while (within(&mut stream.clone(), 2.0).abs() - 2.0).abs() > 0.01 {
            stream.next_u64();
        }
        let turned = quarter.apply(&dot, 9, &mut stream);
        let at = turned.iter().position(|&v| v > 100).unwrap();
        assert!([9 + 4, 7 * 9 + 4].contains(&at), "half an angle of 1 is a quarter turn: {at}");

        let moved = Distortion { shift: 3.0, ..Distortion::NONE }.apply(&dot, 9, &mut Stream::numbered(0, 4));
        assert!(moved.iter().map(|&v| u32::from(v)).sum::<u32>().abs_diff(200) < 4);
        assert_ne!(moved, dot);
    }

    #[test]
    fn odd_pictures_are_survived() {
        for width in [0, 1, 5] {
            let image = vec![9; width];
            assert_eq!(Distortion::MNIST.apply(&image, width, &mut Stream::numbered(1, 1)).len(), width);
        }
    }
}
