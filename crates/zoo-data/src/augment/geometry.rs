//! Where pixels come from: mirrored, cut out, turned.

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use super::{check, check_bounds, check_share};
use crate::mask::IGNORED;
use crate::resize::{self, Region};
use crate::{Channels, Filter, Picture, Result};

/// How often a piece of the wanted size and proportions is tried before the middle is taken.
const TRIES: usize = 10;

/// Mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flip {
    /// How likely left and right change places.
    pub horizontal: f64,
    /// How likely above and below do.
    pub vertical: f64,
}

impl Default for Flip {
    fn default() -> Flip {
        Flip { horizontal: 0.5, vertical: 0.0 }
    }
}

impl Flip {
    pub(super) fn check(&self) -> Result<()> {
        check_share("flip's horizontal", self.horizontal)?;
        check_share("flip's vertical", self.vertical)
    }

    pub(super) fn apply(&self, mut picture: Picture, stream: &mut Stream) -> Picture {
        if stream.uniform() < self.horizontal {
            mirror(&mut picture);
        }
        if stream.uniform() < self.vertical {
            upend(&mut picture);
        }
        picture
    }
}

/// Left becomes right.
pub fn mirror(picture: &mut Picture) {
    let (width, channels) = (picture.width(), picture.channels());
    for row in picture.pixels_mut().chunks_exact_mut(width * channels.count()) {
        match channels {
            Channels::Grey => row.reverse(),
            Channels::Rgb => row.as_chunks_mut::<3>().0.reverse(),
        }
    }
}

/// Above becomes below.
pub fn upend(picture: &mut Picture) {
    let stride = picture.width() * picture.channels().count();
    let height = picture.height();
    let pixels = picture.pixels_mut();
    for row in 0..height / 2 {
        let (above, below) = pixels.split_at_mut((height - 1 - row) * stride);
        above[row * stride..(row + 1) * stride].swap_with_slice(&mut below[..stride]);
    }
}

/// A piece of random size and proportions, scaled to the size of the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// The piece's share of the area, evenly between these,
    pub scale: [f64; 2],
    /// and its width over its height, the logarithm evenly.
    pub ratio: [f64; 2],
    /// How it is scaled.
    pub filter: Filter,
}

impl Default for RandomResizedCrop {
    fn default() -> RandomResizedCrop {
        RandomResizedCrop { scale: [0.08, 1.0], ratio: [3.0 / 4.0, 4.0 / 3.0], filter: Filter::Bilinear }
    }
}

impl RandomResizedCrop {
    pub(super) fn check(&self) -> Result<()> {
        check_bounds(
            "random_resized_crop's scale",
            self.scale,
            1e-6,
            "two numbers above 0, the lower one first",
        )?;
        check(self.scale[1] <= 1.0, "random_resized_crop's scale", self.scale, "at most 1")?;
        check_bounds(
            "random_resized_crop's ratio",
            self.ratio,
            1e-3,
            "two numbers above 0, the lower one first",
        )
    }

    /// Draws a piece of a picture of this width and height.
    pub(crate) fn draw(&self, width: usize, height: usize, stream: &mut Stream) -> Region {
        let area = (width * height) as f64;
        let [narrow, wide] = self.ratio.map(f64::ln);
        for _ in 0..TRIES {
            let target = area * stream.range(self.scale[0], self.scale[1]);
            let ratio = stream.range(narrow, wide).exp();
            let columns = (target * ratio).sqrt().round_ties_even() as usize;
            let rows = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&columns) && (1..=height).contains(&rows) {
                let y = stream.below(height - rows + 1);
                let x = stream.below(width - columns + 1);
                return Region { x, y, width: columns, height: rows };
            }
        }
        // As much of the middle as the proportions allow.
        let whole = width as f64 / height as f64;
        let (columns, rows) = if whole < self.ratio[0] {
            (width, (width as f64 / self.ratio[0]).round_ties_even() as usize)
        } else if whole > self.ratio[1] {
            ((height as f64 * self.ratio[1]).round_ties_even() as usize, height)
        } else {
            (width, height)
        };
        let (columns, rows) = (columns.clamp(1, width), rows.clamp(1, height));
        Region { x: (width - columns) / 2, y: (height - rows) / 2, width: columns, height: rows }
    }

    pub(super) fn apply(
        &self,
        picture: &Picture,
        size: (usize, usize),
        stream: &mut Stream,
    ) -> Result<Picture> {
        let region = self.draw(picture.width(), picture.height(), stream);
        resize::resize_region(picture, region, (size.1, size.0), self.filter)
    }
}

/// What lies around a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Black.
    Black,
    /// The pixels of the edge, again and again.
    Edge,
    /// The picture mirrored, without its edge.
    Reflect,
}

/// A border around the picture, and a piece of its old size cut out anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PadAndCrop {
    /// How wide the border is, in pixels, on all sides.
    pub padding: usize,
    /// What it shows.
    pub border: Border,
}

impl Default for PadAndCrop {
    fn default() -> PadAndCrop {
        PadAndCrop { padding: 4, border: Border::Black }
    }
}

impl PadAndCrop {
    pub(super) fn check(&self) -> Result<()> {
        check(self.padding <= 4096, "pad_and_crop's padding", self.padding, "at most 4096 pixels")
    }

    pub(super) fn apply(&self, picture: &Picture, stream: &mut Stream) -> Result<Picture> {
        let (x, y) = self.draw(stream);
        self.cut(picture, x, y)
    }

    /// The mask of the same piece, in which a black border doesn't count.
    pub(super) fn follow(&self, mask: &Picture, stream: &mut Stream) -> Result<Picture> {
        let (x, y) = self.draw(stream);
        self.cut_with(mask, x, y, IGNORED)
    }

    fn draw(&self, stream: &mut Stream) -> (usize, usize) {
        let y = stream.below(2 * self.padding + 1);
        (stream.below(2 * self.padding + 1), y)
    }

    /// The piece that begins at `x` and `y` of the picture with its border.
    ///
    /// # Errors
    /// None for places within twice the padding.
    pub fn cut(&self, picture: &Picture, x: usize, y: usize) -> Result<Picture> {
        self.cut_with(picture, x, y, 0)
    }

    fn cut_with(&self, picture: &Picture, x: usize, y: usize, border: u8) -> Result<Picture> {
        let (width, height, channels) = (picture.width(), picture.height(), picture.channels());
        let columns: Vec<Option<usize>> = (0..width).map(|at| self.source(at + x, width)).collect();
        let count = channels.count();
        let mut pixels = Vec::with_capacity(width * height * count);
        for row in 0..height {
            let Some(row) = self.source(row + y, height) else {
                pixels.resize(pixels.len() + width * count, border);
                continue;
            };
            let line = &picture.pixels()[row * width * count..][..width * count];
            for column in &columns {
                match column {
                    Some(column) => pixels.extend_from_slice(&line[column * count..][..count]),
                    None => pixels.resize(pixels.len() + count, border),
                }
            }
        }
        Picture::new(width, height, channels, pixels)
    }

    /// Which pixel of a side stands at a place of the side with its borders.
    fn source(&self, at: usize, length: usize) -> Option<usize> {
        let inner = at.checked_sub(self.padding);
        match (self.border, inner) {
            (_, Some(inner)) if inner < length => Some(inner),
            (Border::Black, _) => None,
            (Border::Edge, None) => Some(0),
            (Border::Edge, Some(_)) => Some(length - 1),
            (Border::Reflect, _) => {
                // To and fro, as often as the border is wide.
                let period = 2 * (length - 1).max(1);
                let out = (at + period * self.padding.div_ceil(period) - self.padding) % period;
                Some(out.min(period - out).min(length - 1))
            }
        }
    }
}

/// How pixels are found between pixels, without antialiasing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// The nearest one.
    #[default]
    Nearest,
    /// Between four.
    Bilinear,
}

/// Turning, moving, scaling and slanting around the middle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Turned by up to so many degrees either way.
    pub degrees: f64,
    /// Moved by up to these shares of width and height.
    pub translate: [f64; 2],
    /// Scaled by a factor between these.
    pub scale: [f64; 2],
    /// Slanted by up to so many degrees along x and along y.
    pub shear: [f64; 2],
    /// How pixels are found.
    pub interpolation: Interpolation,
    /// What shows where the picture ends, in every channel.
    pub fill: u8,
}

impl Default for Affine {
    fn default() -> Affine {
        Affine {
            degrees: 0.0,
            translate: [0.0; 2],
            scale: [1.0; 2],
            shear: [0.0; 2],
            interpolation: Interpolation::Nearest,
            fill: 0,
        }
    }
}

impl Affine {
    pub(super) fn check(&self) -> Result<()> {
        let turns = |degrees: f64| (0.0..=360.0).contains(&degrees);
        check(turns(self.degrees), "affine's degrees", self.degrees, "from 0 to 360")?;
        check_share("affine's translate", self.translate[0])?;
        check_share("affine's translate", self.translate[1])?;
        check_bounds("affine's scale", self.scale, 1e-3, "two numbers above 0, the lower one first")?;
        let slants = self.shear.iter().all(|shear| (0.0..90.0).contains(shear));
        check(slants, "affine's shear", self.shear, "from 0 to below 90 degrees")
    }

    pub(super) fn apply(&self, picture: &Picture, stream: &mut Stream) -> Picture {
        let within = |stream: &mut Stream, reach: f64| stream.range(-reach, reach);
        let angle = within(stream, self.degrees);
        let sides = [picture.width() as f64, picture.height() as f64];
        let shift = [0, 1].map(|axis| within(stream, self.translate[axis] * sides[axis]).round_ties_even());
        let scale = stream.range(self.scale[0], self.scale[1]);
        let shear = self.shear.map(|reach| within(stream, reach));
        let centre = sides.map(|side| side * 0.5);
        let matrix = inverse_affine(centre, angle, shift, scale, shear);
        transform(picture, matrix, self.interpolation, self.fill)
    }
}

/// Where each pixel comes from, if a picture is turned by `angle` degrees, moved, scaled and slanted around `centre`:
/// torchvision's matrix, the first two rows of three.
pub fn inverse_affine(
    centre: [f64; 2],
    angle: f64,
    shift: [f64; 2],
    scale: f64,
    shear: [f64; 2],
) -> [f64; 6] {
    let [rotation, slant_x, slant_y] = [angle, shear[0], shear[1]].map(f64::to_radians);
    let [cx, cy] = centre;
    let [tx, ty] = shift;
    let a = (rotation - slant_y).cos() / slant_y.cos();
    let b = -(rotation - slant_y).cos() * slant_x.tan() / slant_y.cos() - rotation.sin();
    let c = (rotation - slant_y).sin() / slant_y.cos();
    let d = -(rotation - slant_y).sin() * slant_x.tan() / slant_y.cos() + rotation.cos();
    let mut matrix = [d, -b, 0.0, -c, a, 0.0].map(|value| value / scale);
    matrix[2] += matrix[0] * (-cx - tx) + matrix[1] * (-cy - ty);
    matrix[5] += matrix[3] * (-cx - tx) + matrix[4] * (-cy - ty);
    matrix[2] += cx;
    matrix[5] += cy;
    matrix
}

/// A picture turned against the clock by so many degrees, as Pillow turns it: nothing is rounded for a right angle.
pub fn rotate(picture: &Picture, degrees: f64, interpolation: Interpolation, fill: u8) -> Picture {
    // To the fifteenth decimal, by way of decimals: a multiplication would round before the rounding.
    let rounded = |value: f64| format!("{value:.15}").parse().unwrap_or(value);
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let (cos, sin) = (rounded(angle.cos()), rounded(angle.sin()));
    let [cx, cy] = [picture.width() as f64 / 2.0, picture.height() as f64 / 2.0];
    let other = rounded(-angle.sin());
    let x = cos * -cx + sin * -cy + 0.0 + cx;
    let y = other * -cx + cos * -cy + 0.0 + cy;
    transform(picture, [cos, sin, x, other, cos, y], interpolation, fill)
}

/// Takes each pixel from where the matrix says: `x' = m0 x + m1 y + m2`, `y' = m3 x + m4 y + m5`, of the pixels' centres.
/// Pillow's `transform`, whose three ways of stepping differ in what they round.
pub fn transform(picture: &Picture, matrix: [f64; 6], interpolation: Interpolation, fill: u8) -> Picture {
    match picture.channels() {
        Channels::Grey => transformed::<1>(picture, matrix, interpolation, fill),
        Channels::Rgb => transformed::<3>(picture, matrix, interpolation, fill),
    }
}

fn transformed<const C: usize>(
    picture: &Picture,
    matrix: [f64; 6],
    interpolation: Interpolation,
    fill: u8,
) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let (source, _) = picture.pixels().as_chunks::<C>();
    let mut result = picture.clone();
    result.pixels_mut().fill(fill);
    let (target, _) = result.pixels_mut().as_chunks_mut::<C>();
    let [a, b, c, d, e, f] = matrix;
    match interpolation {
        Interpolation::Bilinear => {
            for (at, pixel) in target.iter_mut().enumerate() {
                let (x, y) = ((at % width) as f64 + 0.5, (at / width) as f64 + 0.5);
                let (x, y) = (a * x + b * y + c, d * x + e * y + f);
                if let Some(found) = between(source, (width, height), x, y) {
                    *pixel = found;
                }
            }
        }
        Interpolation::Nearest if b == 0.0 && d == 0.0 => {
            // Pillow walks along a side by adding, and what that rounds off is part of the answer.
            let walk = |start: f64, step: f64, length: usize| {
                let places = std::iter::successors(Some(start), |at| Some(at + step)).take(length);
                places.map(|at| inside(at, length)).collect::<Vec<_>>()
            };
            let (columns, rows) = (walk(c + a * 0.5, a, width), walk(f + e * 0.5, e, height));
            for (line, row) in target.chunks_exact_mut(width).zip(rows) {
                let Some(row) = row else { continue };
                for (pixel, column) in line.iter_mut().zip(&columns) {
                    if let Some(column) = column {
                        *pixel = source[row * width + column];
                    }
                }
            }
        }
        Interpolation::Nearest => {
            // In 16 fractional bits, as Pillow does where coordinates stay below 32,768.
            let fixed = |value: f64| (value * 65_536.0 + 0.5).floor() as i64;
            let [a0, b0, d0, e0] = [a, b, d, e].map(fixed);
            let (mut row_x, mut row_y) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
            for line in target.chunks_exact_mut(width) {
                let (mut x, mut y) = (row_x, row_y);
                for pixel in line {
                    let place = (usize::try_from(x >> 16), usize::try_from(y >> 16));
                    if let (Ok(column), Ok(row)) = place
                        && column < width
                        && row < height
                    {
                        *pixel = source[row * width + column];
                    }
                    (x, y) = (x + a0, y + d0);
                }
                (row_x, row_y) = (row_x + b0, row_y + e0);
            }
        }
    }
    result
}

/// The pixel in which a coordinate lies.
fn inside(at: f64, length: usize) -> Option<usize> {
    (at >= 0.0 && (at as usize) < length).then_some(at as usize)
}

/// A value between four pixels, truncated; the edge's pixels go on beyond it.
fn between<const C: usize>(
    source: &[[u8; C]],
    (width, height): (usize, usize),
    x: f64,
    y: f64,
) -> Option<[u8; C]> {
    inside(x, width)?;
    inside(y, height)?;
    let (x, y) = (x - 0.5, y - 0.5);
    let (left, top) = (x.floor(), y.floor());
    let (right, lower) = (x - left, y - top);
    let clipped = |at: f64, length: usize| (at.max(0.0) as usize).min(length - 1);
    let (x0, x1) = (clipped(left, width), clipped(left + 1.0, width));
    let (y0, y1) = (clipped(top, height) * width, clipped(top + 1.0, height) * width);
    Some(std::array::from_fn(|channel| {
        let mix = |from: f64, to: f64, share: f64| from + (to - from) * share;
        let value = |at: usize| f64::from(source[at][channel]);
        let above = mix(value(y0 + x0), value(y0 + x1), right);
        let below = mix(value(y1 + x0), value(y1 + x1), right);
        mix(above, below, lower) as u8
    }))
}
