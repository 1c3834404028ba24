//! Resampling equal to Pillow's, bit for bit.
//!
//! Two passes, rows first, each rounding to bytes. The weights of a pass are computed in double precision,
//! normalised, and rounded to 22 fractional bits; the sums are integers. When a picture shrinks, the filter
//! grows with the step, so that every source pixel counts (antialiasing). Networks were trained on pictures
//! made in this way, and a resampling that skips pixels costs them about a point of accuracy.

use std::f64::consts::PI;
use std::ops::Range;

pub use zoo_base::preprocess::Filter;

use crate::{Error, Picture, Result, picture::MAX_PIXELS};

/// How far from the centre the weights reach, in pixels of the coarser picture.
const fn support(filter: Filter) -> f64 {
    match filter {
        Filter::Nearest | Filter::Box => 0.5,
        Filter::Bilinear => 1.0,
        Filter::Bicubic => 2.0,
        Filter::Lanczos => 3.0,
    }
}

/// The weight at a distance from the centre.
fn weight(filter: Filter, x: f64) -> f64 {
    const A: f64 = -0.5;
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    let distance = x.abs();
    match filter {
        // Half open: of two pixels at equal distance one counts.
        Filter::Nearest | Filter::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
        Filter::Bilinear => (1.0 - distance).max(0.0),
        Filter::Bicubic if distance < 1.0 => ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0,
        Filter::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A,
        Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
        Filter::Bicubic | Filter::Lanczos => 0.0,
    }
}

/// Fractional bits of a weight: 32, less 8 of a pixel, less 2 for sums that overshoot.
const BITS: u32 = 22;

/// Scales a picture to a size.
///
/// # Errors
/// A side of 0, or more than [`MAX_PIXELS`] pixels.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Result<Picture> {
    window(picture, (width, height), (0..width, 0..height), filter)
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Columns to the left of it.
    pub x: usize,
    /// Rows above it.
    pub y: usize,
    /// Its columns.
    pub width: usize,
    /// Its rows.
    pub height: usize,
}

impl Region {
    /// All of a picture.
    pub(crate) fn whole(picture: &Picture) -> Region {
        Region { x: 0, y: 0, width: picture.width(), height: picture.height() }
    }
}

/// Scales a part of a picture to a width and height: what cutting it out and then scaling it would give.
///
/// # Errors
/// As [`resize`]; a part that isn't within the picture.
pub fn resize_region(
    picture: &Picture,
    region: Region,
    (width, height): (usize, usize),
    filter: Filter,
) -> Result<Picture> {
    let within = |start: usize, length: usize, whole: usize| {
        length > 0 && start.checked_add(length).is_some_and(|end| end <= whole)
    };
    if !within(region.x, region.width, picture.width()) || !within(region.y, region.height, picture.height())
    {
        let Region { width, height, .. } = region;
        return Err(Error::TargetSize { width, height, limit: MAX_PIXELS });
    }
    sampled(picture, region, (width, height), (0..width, 0..height), filter)
}

/// The part of a scaled picture that lies in a window: what cropping the scaled one would give, without
/// computing the rest. `size` is (width, height), `window` (columns, rows) within it.
pub(crate) fn window(
    picture: &Picture,
    size: (usize, usize),
    window: (Range<usize>, Range<usize>),
    filter: Filter,
) -> Result<Picture> {
    sampled(picture, Region::whole(picture), size, window, filter)
}

/// The window of a region that is scaled to a size.
fn sampled(
    picture: &Picture,
    region: Region,
    size: (usize, usize),
    (columns, rows): (Range<usize>, Range<usize>),
    filter: Filter,
) -> Result<Picture> {
    check_target(columns.len(), rows.len())?;
    // A long side that is only walked over, not computed, has its end too.
    if size.0.max(size.1) as u64 > MAX_PIXELS {
        return Err(Error::TargetSize { width: size.0, height: size.1, limit: MAX_PIXELS });
    }
    let across = Axis::new(region.width, size.0, columns, filter);
    let down = Axis::new(region.height, size.1, rows, filter);

    // Only the rows that the second pass reads go through the first.
    let needed = down.sources();
    let channels = picture.channels().count();
    let stride = picture.width() * channels;
    let lines = picture.pixels()[(region.y + needed.start) * stride..(region.y + needed.end) * stride]
        .chunks_exact(stride)
        .map(|line| &line[region.x * channels..(region.x + region.width) * channels]);
    let narrowed = if across.is_whole() {
        lines.flatten().copied().collect()
    } else {
        across.along_rows(lines, channels)
    };
    let stride = across.len() * channels;
    let result = if down.is_whole() { narrowed } else { down.across_rows(&narrowed, stride, needed.start) };
    Picture::new(across.len(), down.len(), picture.channels(), result)
}

/// Refuses a size of nothing, and one that memory wasn't meant for.
pub(crate) fn check_target(width: usize, height: usize) -> Result<()> {
    let pixels = (width as u64).saturating_mul(height as u64);
    if pixels == 0 || pixels > MAX_PIXELS {
        return Err(Error::TargetSize { width, height, limit: MAX_PIXELS });
    }
    Ok(())
}

/// One direction of a resampling: for each target pixel, where its sources begin and their weights.
struct Axis {
    /// For each target pixel: the first source, and where its weights lie in `weights`.
    targets: Vec<(usize, Range<usize>)>,
    weights: Vec<i32>,
    /// Every source is its own target: the pass changes nothing.
    whole: bool,
}

impl Axis {
    fn new(source: usize, target: usize, window: Range<usize>, filter: Filter) -> Axis {
        if source == target || filter == Filter::Nearest {
            return Axis::picked(source, target, window);
        }
        let scale = source as f64 / target as f64;
        let stretch = scale.max(1.0);
        let support = support(filter) * stretch;
        let mut targets = Vec::with_capacity(window.len());
        let mut weights = Vec::new();
        let mut exact = Vec::new();
        for index in window {
            let centre = (index as f64 + 0.5) * scale;
            // Casts of a float saturate, so that what lies before the first pixel becomes 0.
            let first = (centre - support + 0.5) as usize;
            let last = ((centre + support + 0.5) as usize).min(source);
            exact.clear();
            exact.extend((first..last).map(|x| weight(filter, (x as f64 - centre + 0.5) * (1.0 / stretch))));
            let sum = exact.iter().sum::<f64>();
            let start = weights.len();
            weights.extend(exact.iter().map(|&weight| fixed(if sum == 0.0 { weight } else { weight / sum })));
            targets.push((first, start..weights.len()));
        }
        Axis { targets, weights, whole: false }
    }

    /// Each target takes one source as it is: the nearest, or its own where the size stays.
    fn picked(source: usize, target: usize, window: Range<usize>) -> Axis {
        let scale = source as f64 / target as f64;
        let whole = source == target && window == (0..target);
        // Pillow walks by adding the step, and what that rounds off is part of the answer.
        let mut walker = 0.5 * scale;
        let mut nearest = Vec::with_capacity(window.len());
        for index in 0..window.end {
            if index >= window.start {
                nearest.push((walker as usize).min(source - 1));
            }
            walker += scale;
        }
        Axis {
            targets: nearest.into_iter().map(|first| (first, 0..1)).collect(),
            weights: vec![1 << BITS],
            whole,
        }
    }

    fn len(&self) -> usize {
        self.targets.len()
    }

    fn is_whole(&self) -> bool {
        self.whole
    }

    /// The sources that any target reads.
    fn sources(&self) -> Range<usize> {
        let first = self.targets.iter().map(|(first, _)| *first).min();
        let last = self.targets.iter().map(|(first, weights)| first + weights.len()).max();
        first.unwrap_or(0)..last.unwrap_or(0)
    }

    /// Resamples within each line.
    fn along_rows<'a>(&self, lines: impl ExactSizeIterator<Item = &'a [u8]>, channels: usize) -> Vec<u8> {
        match channels {
            1 => self.along_rows_of::<1>(lines),
            _ => self.along_rows_of::<3>(lines),
        }
    }

    fn along_rows_of<'a, const C: usize>(&self, lines: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut result = Vec::with_capacity(lines.len() * self.len() * C);
        for line in lines {
            let (pixels, _) = line.as_chunks::<C>();
            for (first, range) in &self.targets {
                let mut sums = [1 << (BITS - 1); C];
                for (pixel, &weight) in pixels[*first..].iter().zip(&self.weights[range.clone()]) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(value) * weight;
                    }
                }
                result.extend(sums.map(byte));
            }
        }
        result
    }

    /// Resamples between rows of `stride` values, the first of which is row `offset` of the picture.
    fn across_rows(&self, source: &[u8], stride: usize, offset: usize) -> Vec<u8> {
        let mut result = Vec::with_capacity(self.len() * stride);
        let mut sums = vec![0i32; stride];
        for (first, range) in &self.targets {
            sums.fill(1 << (BITS - 1));
            let rows = source[(first - offset) * stride..].chunks_exact(stride);
            for (row, &weight) in rows.zip(&self.weights[range.clone()]) {
                for (sum, &value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(value) * weight;
                }
            }
            result.extend(sums.iter().map(|&sum| byte(sum)));
        }
        result
    }
}

/// A weight in fixed point, rounded half away from zero.
fn fixed(weight: f64) -> i32 {
    (weight * f64::from(1 << BITS) + 0.5f64.copysign(weight)) as i32
}

/// A sum back to a byte; cubic weights overshoot at edges.
fn byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
