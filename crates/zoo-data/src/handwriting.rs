//! A picture of a handwritten digit, made into what MNIST would have made of it.
//!
//! MNIST's digits were scaled to fit 20x20 pixels with their proportions kept, and laid into 28x28 with their
//! centre of mass in the middle, light on dark. A network that has seen nothing else recognises nothing else,
//! so a photograph of paper goes the same way: find the ink, whatever its colour and however the light falls,
//! cut it out, scale it, thicken a stroke that would vanish, centre it.

use crate::{Error, Filter, Picture, PictureError, Result, resize::resize};

/// The side of MNIST's pictures.
pub const SIDE: usize = 28;

/// The side of the square that a digit fills.
const FIELD: usize = 20;

/// Longer sides are scaled down to this first: it is ten times what is left at the end.
const WORKING_SIDE: usize = 280;

/// Ink must stand out by so many of 255 levels,
const LEAST_CONTRAST: f32 = 20.0;

/// and by so many standard deviations of the paper's grain: noise, cut in two, gives 2.7 to 3.5.
const LEAST_CLARITY: f32 = 4.0;

/// A blot smaller than this part of the largest is dirt.
const DIRT: f32 = 0.05;

/// The width of MNIST's strokes, and the least that is left as it is, in pixels of the field.
const STROKE: f32 = 2.2;
const THIN_STROKE: f32 = 1.6;

/// Prepares a picture of one digit: [`SIDE`]x[`SIDE`] values, 0 the paper and 255 the ink.
///
/// A picture that has this form already, 28x28 and light on dark, is used as it is. `name` is what errors
/// call the picture.
///
/// # Errors
/// If nothing stands out in it, as on a blank page.
pub fn prepare(picture: &Picture, name: &str) -> Result<Vec<u8>> {
    let no_digit = |why| {
        let (width, height) = (picture.width(), picture.height());
        Error::from(PictureError::NoDigit { name: name.into(), width, height, why })
    };
    let grey = picture.clone().into_grey();
    if let Some(pixels) = already_prepared(&grey) {
        return Ok(pixels);
    }
    let ink = Ink::find(&shrink(grey)?).map_err(no_digit)?;
    ink.centred()
}

/// The pixels of a picture that needs no preparation.
fn already_prepared(grey: &Picture) -> Option<Vec<u8>> {
    let pixels = grey.pixels();
    if (grey.width(), grey.height()) != (SIDE, SIDE) {
        return None;
    }
    let edge: Vec<f32> = border(SIDE, SIDE).map(|at| f32::from(pixels[at])).collect();
    let paper = mean(&edge);
    let inked = pixels.iter().any(|&value| f32::from(value) > paper + 4.0 * LEAST_CONTRAST);
    (paper < 64.0 && inked).then(|| pixels.to_vec())
}

fn shrink(grey: Picture) -> Result<Picture> {
    let (width, height) = (grey.width(), grey.height());
    let long = width.max(height);
    if long <= WORKING_SIDE {
        return Ok(grey);
    }
    let side = |side: usize| (side * WORKING_SIDE / long).max(1);
    resize(&grey, side(width), side(height), Filter::Box)
}

/// What was written: how strongly each pixel is inked, and which pixels belong to the digit.
struct Ink {
    width: usize,
    height: usize,
    /// 0 for paper, 1 for full ink.
    strength: Vec<f32>,
    /// The digit, without dirt.
    mask: Vec<bool>,
}

impl Ink {
    fn find(grey: &Picture) -> std::result::Result<Ink, &'static str> {
        let (width, height) = (grey.width(), grey.height());
        let values: Vec<f32> = grey.pixels().iter().map(|&value| f32::from(value)).collect();
        let (ink, threshold) = lift_off_paper(&values, width, height);
        let mut mask: Vec<bool> = ink.iter().map(|&value| value > threshold).collect();

        let of = |inked: bool| -> Vec<f32> {
            ink.iter().zip(&mask).filter(|(_, m)| **m == inked).map(|(v, _)| *v).collect()
        };
        let (inked, paper) = (of(true), of(false));
        if inked.is_empty() || paper.is_empty() {
            return Err("it has one colour only");
        }
        let (full, ground) = (mean(&inked), mean(&paper));
        let contrast = full - ground;
        let deviations: Vec<f32> = paper.iter().map(|value| (value - ground).powi(2)).collect();
        let grain = mean(&deviations).sqrt();
        if contrast < LEAST_CONTRAST {
            return Err("nothing stands out from the paper");
        }
        if contrast < LEAST_CLARITY * grain {
            return Err("nothing stands out from its grain");
        }
        drop_dirt(&mut mask, width);

        // Edges are half ink: full ink is the mean of the upper half.
        let full = mean(&inked.into_iter().filter(|&value| value >= full).collect::<Vec<_>>());
        let (floor, full) = ((ground + 2.0 * grain).min(threshold), full.max(threshold + 1.0));
        let strength = ink.iter().map(|value| ((value - floor) / (full - floor)).clamp(0.0, 1.0)).collect();
        Ok(Ink { width, height, strength, mask })
    }

    /// Scaled into the field and laid into MNIST's square.
    fn centred(mut self) -> Result<Vec<u8>> {
        let (columns, rows) = self.extent();
        let scale = FIELD as f32 / columns.len().max(rows.len()) as f32;
        self.thicken(scale);
        let (columns, rows) = self.extent();
        let mut cut = Vec::with_capacity(columns.len() * rows.len());
        for y in rows.clone() {
            let line = &self.strength[y * self.width..][..self.width];
            cut.extend(line[columns.clone()].iter().map(|value| (value * 255.0 + 0.5) as u8));
        }
        let side = |length: usize| {
            let long = columns.len().max(rows.len());
            ((length * FIELD + long / 2) / long).max(1)
        };
        let cut = Picture::new(columns.len(), rows.len(), crate::Channels::Grey, cut)?;
        let small = resize(&cut, side(columns.len()), side(rows.len()), Filter::Bilinear)?;
        Ok(lay(&small))
    }

    /// The columns and rows that hold the digit.
    fn extent(&self) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let inked = || (0..self.mask.len()).filter(|&at| self.mask[at]);
        let span = |place: &dyn Fn(usize) -> usize| {
            let first = inked().map(place).min().unwrap_or(0);
            first..inked().map(place).max().unwrap_or(0) + 1
        };
        (span(&|at| at % self.width), span(&|at| at / self.width))
    }

    /// Removes what isn't the digit, and widens a stroke that scaling down would make faint.
    fn thicken(&mut self, scale: f32) {
        let stroke = self.stroke_width() * scale;
        let wanted = if stroke < THIN_STROKE { (STROKE - stroke) / 2.0 / scale } else { 0.0 };
        // One pixel around the mask is the ink's soft edge.
        let edge = grow(&self.mask, self.width, self.height, 1);
        for (strength, near) in self.strength.iter_mut().zip(edge) {
            *strength = if near { *strength } else { 0.0 };
        }
        let reach = wanted.round() as usize;
        if reach > 0 {
            self.mask = grow(&self.mask, self.width, self.height, reach);
            for (strength, &inked) in self.strength.iter_mut().zip(&self.mask) {
                *strength = if inked { 1.0 } else { *strength };
            }
        }
    }

    /// The area over half the outline.
    fn stroke_width(&self) -> f32 {
        let inked = |x: usize, y: usize| x < self.width && y < self.height && self.mask[y * self.width + x];
        let (mut area, mut outline) = (0, 0);
        for at in (0..self.mask.len()).filter(|&at| self.mask[at]) {
            let (x, y) = (at % self.width, at / self.width);
            let around = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
            area += 1;
            outline += around.iter().filter(|(x, y)| !inked(*x, *y)).count();
        }
        2.0 * area as f32 / outline.max(1) as f32
    }
}

/// How far each pixel lies from the paper towards the ink, and the level that parts them.
///
/// Paper is what most of the border is made of. Light that falls off across it is a plane, fitted to what
/// is thought to be paper, which is thought over twice.
fn lift_off_paper(values: &[f32], width: usize, height: usize) -> (Vec<f32>, f32) {
    let mut threshold = otsu(values);
    let lighter = border(width, height).filter(|&at| values[at] > threshold).count();
    let paper_is_light = 2 * lighter > border(width, height).count();
    let sign = if paper_is_light { -1.0 } else { 1.0 };
    let mut ink: Vec<f32> = values.iter().map(|value| sign * value).collect();
    threshold *= sign;
    for _ in 0..3 {
        let plane = fit_plane(&ink, width, threshold);
        for (at, value) in ink.iter_mut().enumerate() {
            *value -= plane[0] + plane[1] * (at % width) as f32 + plane[2] * (at / width) as f32;
        }
        threshold = otsu(&ink);
    }
    (ink, threshold)
}

/// The indices along the edge of a picture.
fn border(width: usize, height: usize) -> impl Iterator<Item = usize> {
    let edge = move |at: &usize| {
        let (x, y) = (at % width, at / width);
        x == 0 || y == 0 || x + 1 == width || y + 1 == height
    };
    (0..width * height).filter(edge)
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

/// Otsu's threshold: where a cut makes the two sides most unlike.
fn otsu(values: &[f32]) -> f32 {
    const BINS: usize = 256;
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let step = ((high - low) / BINS as f32).max(f32::MIN_POSITIVE);
    let mut counts = [0u64; BINS];
    for value in values {
        counts[(((value - low) / step) as usize).min(BINS - 1)] += 1;
    }
    let total: u64 = counts.iter().sum();
    let moment: u64 = counts.iter().zip(0u64..).map(|(count, bin)| count * bin).sum();
    let (mut below, mut moment_below) = (0u64, 0u64);
    let mut best = (0.0, 0);
    for (bin, count) in counts.iter().enumerate() {
        below += count;
        moment_below += count * bin as u64;
        if below == 0 || below == total {
            continue;
        }
        let (left, right) = (below as f64, (total - below) as f64);
        let apart = moment_below as f64 / left - (moment - moment_below) as f64 / right;
        best = if left * right * apart * apart > best.0 { (left * right * apart * apart, bin) } else { best };
    }
    low + step * (best.1 + 1) as f32
}

/// The plane a + b x + c y through the values that are not above the threshold, by least squares.
fn fit_plane(values: &[f32], width: usize, threshold: f32) -> [f32; 3] {
    // Sums of 1, x, y and of their products, and of the values with them.
    let mut matrix = [[0.0f64; 4]; 3];
    for (at, &value) in values.iter().enumerate().filter(|(_, value)| **value <= threshold) {
        let terms = [1.0, (at % width) as f64, (at / width) as f64, f64::from(value)];
        for (row, &term) in matrix.iter_mut().zip(&terms) {
            row.iter_mut().zip(&terms).for_each(|(sum, other)| *sum += term * other);
        }
    }
    let level = if matrix[0][0] > 0.0 { matrix[0][3] / matrix[0][0] } else { 0.0 };
    let flat = [level as f32, 0.0, 0.0];
    // Gauss-Jordan; paper of a single row or column has no plane, and then a level serves.
    for pivot in 0..3 {
        let scale = matrix[pivot][pivot];
        if scale.abs() < 1e-6 * matrix[0][0].max(1.0) {
            return flat;
        }
        matrix[pivot].iter_mut().for_each(|value| *value /= scale);
        for row in (0..3).filter(|&row| row != pivot) {
            let factor = matrix[row][pivot];
            let pivot_row = matrix[pivot];
            matrix[row].iter_mut().zip(pivot_row).for_each(|(value, above)| *value -= factor * above);
        }
    }
    [matrix[0][3] as f32, matrix[1][3] as f32, matrix[2][3] as f32]
}

/// Removes blots far smaller than the largest.
fn drop_dirt(mask: &mut [bool], width: usize) {
    let height = mask.len() / width;
    let mut label = vec![0usize; mask.len()];
    let mut areas = vec![0usize];
    let mut open = Vec::new();
    for seed in 0..mask.len() {
        if !mask[seed] || label[seed] != 0 {
            continue;
        }
        let blot = areas.len();
        areas.push(0);
        label[seed] = blot;
        open.push(seed);
        while let Some(at) = open.pop() {
            areas[blot] += 1;
            let (x, y) = (at % width, at / width);
            for y in y.saturating_sub(1)..(y + 2).min(height) {
                for x in x.saturating_sub(1)..(x + 2).min(width) {
                    let next = y * width + x;
                    if mask[next] && label[next] == 0 {
                        label[next] = blot;
                        open.push(next);
                    }
                }
            }
        }
    }
    let largest = areas.iter().max().copied().unwrap_or(0) as f32;
    for (inked, blot) in mask.iter_mut().zip(label) {
        *inked &= areas[blot] as f32 >= DIRT * largest;
    }
}

/// Every pixel within `reach` of the mask, in a disc.
fn grow(mask: &[bool], width: usize, height: usize, reach: usize) -> Vec<bool> {
    let mut grown = mask.to_vec();
    for at in (0..mask.len()).filter(|&at| mask[at]) {
        let (x, y) = (at % width, at / width);
        for row in y.saturating_sub(reach)..(y + reach + 1).min(height) {
            let off = row.abs_diff(y);
            // A disc of radius reach + 1/2 has no single pixels sticking out.
            let across = (0..=reach).rev().find(|across| across * across + off * off <= reach * (reach + 1));
            let across = across.unwrap_or(0);
            grown[row * width + x.saturating_sub(across)..=row * width + (x + across).min(width - 1)]
                .fill(true);
        }
    }
    grown
}

/// Lays a digit into MNIST's square, its centre of mass in the middle, its darkest ink at 255.
fn lay(small: &Picture) -> Vec<u8> {
    let (width, height) = (small.width(), small.height());
    let peak = small.pixels().iter().copied().max().unwrap_or(0).max(1);
    let ink: Vec<f32> = small.pixels().iter().map(|&v| f32::from(v) * 255.0 / f32::from(peak)).collect();
    let mass = ink.iter().sum::<f32>().max(1.0);
    let centre = |place: &dyn Fn(usize) -> usize| {
        ink.iter().enumerate().map(|(at, value)| place(at) as f32 * value).sum::<f32>() / mass
    };
    // In MNIST the mean of the ink's indices rounds to 14.
    let start = |centre: f32, length: usize| {
        let wanted = (SIDE as f32 / 2.0 - centre).round().max(0.0) as usize;
        wanted.min(SIDE - length)
    };
    let (left, top) = (start(centre(&|at| at % width), width), start(centre(&|at| at / width), height));
    let mut result = vec![0; SIDE * SIDE];
    for (at, value) in ink.iter().enumerate() {
        result[(top + at / width) * SIDE + left + at % width] = (value + 0.5) as u8;
    }
    result
}
