//! Scenes of handwritten digits: pictures to learn segmentation from, made from MNIST's digits by a seed.
//!
//! A scene holds two to six digits of different sizes at different places, some over others, on uneven paper with lines,
//! spots and scraps of other digits between them, under noise; one to learn from three to eight, since what is hard to
//! learn is where digits touch, and crowded scenes show more of it. Each pixel that a digit's ink covers by half or more
//! has that digit's class; where two digits lie over each other, the upper one's. The background is class 0, as in PASCAL
//! VOC, and the digit d is class d + 1.
//!
//! The parts don't share a digit: scenes to learn from show the first 7,200 of the 8,000 digits to train on, scenes to
//! choose by the other 800, and scenes to be tested on MNIST's test digits. All are as they were written: one that is bent
//! is interpolated twice, and who learns where such faint strokes end, ends others too early. What a scene to learn from
//! shows is a function of the seed and its number, what another shows of its part and number alone, so that figures compare
//! whatever the seed. It takes additions, multiplications, divisions and square roots alone, which every machine rounds
//! alike.
//!
//! ```
//! use zoo_data::{Dataset, Scenes, scenes::Plan};
//!
//! let scenes = Scenes::new(Plan { train: 4, validation: 2, test: 2, ..Plan::default() })?;
//! let (picture, mask) = scenes.masked(0)?.expect("every scene has a mask");
//! assert_eq!((picture.width(), mask.width(), scenes.len()), (96, 96, 8));
//! assert_eq!((scenes.classes()[0].as_str(), scenes.classes()[8].as_str()), ("background", "7"));
//! # Ok::<(), zoo_data::Error>(())
//! ```

use std::sync::Arc;

use zoo_base::random::Stream;

use crate::dataset::Fingerprinter;
use crate::{Channels, Dataset, Digits, Fingerprint, Part, Picture, Result, Stored, classes, digits};

/// Of the digits to train on, those that scenes to learn from show.
const LEARNED: usize = 7200;
/// How many digits are put into a scene, at least and at most, and into one to learn from.
const SPARSE: (usize, usize) = (2, 6);
const CROWDED: (usize, usize) = (3, 8);
/// How much of a digit's ink another may cover.
const COVERED: f32 = 0.25;
/// How often a place is looked for where a digit covers no more than that.
const TRIES: usize = 8;
/// What scenes to choose by and to be tested on are drawn from, and scenes to learn from if nothing is said.
const SEED: u64 = 7;
/// The class of a digit is the digit and this.
const FIRST: u8 = 1;

/// Which scenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Height and width of a scene.
    pub size: (usize, usize),
    /// Scenes to learn from.
    pub train: usize,
    /// Scenes to choose by.
    pub validation: usize,
    /// Scenes to be tested on.
    pub test: usize,
    /// What scenes to learn from are drawn from; the others are the same whatever it is.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { size: (96, 96), train: 48_000, validation: 200, test: 500, seed: SEED }
    }
}

/// Scenes of handwritten digits, each made when it is asked for.
#[derive(Debug, Clone)]
pub struct Scenes {
    plan: Plan,
    classes: Vec<String>,
    /// The digits to train on and those to test on.
    digits: Arc<(Digits, Digits)>,
}

/// What is being drawn.
struct Canvas {
    width: usize,
    height: usize,
    /// From 0, black, to 1.
    light: Vec<f32>,
    labels: Vec<u8>,
}

impl Scenes {
    /// Scenes of the digits that are compiled in.
    ///
    /// # Errors
    /// A scene of no pixel.
    pub fn new(plan: Plan) -> Result<Scenes> {
        let (height, width) = plan.size;
        crate::resize::check_target(width, height)?;
        let names = std::iter::once("background").chain(classes::DIGITS);
        let classes = names.map(String::from).collect();
        Ok(Scenes { plan, classes, digits: Arc::new(digits::bundled()?) })
    }

    /// A scene's part, and its number there.
    fn place(&self, index: usize) -> (Part, usize) {
        let Plan { train, validation, .. } = self.plan;
        match index {
            _ if index < train => (Part::Train, index),
            _ if index < train + validation => (Part::Validation, index - train),
            _ => (Part::Test, index - train - validation),
        }
    }

    /// A digit of a part: its pixels, and which it is.
    fn digit(&self, part: Part, stream: &mut Stream) -> (&[u8], u8) {
        let (train, test) = &*self.digits;
        let all = train.labels.len();
        let (of, index) = match part {
            Part::Train => (train, stream.below(LEARNED.min(all))),
            Part::Validation => {
                (train, LEARNED.min(all - 1) + stream.below(all.saturating_sub(LEARNED).max(1)))
            }
            Part::Test => (test, stream.below(test.labels.len())),
        };
        (of.image(index), of.labels[index])
    }

    fn draw(&self, index: usize) -> Result<(Picture, Picture)> {
        let (part, number) = self.place(index);
        let seed = if part == Part::Train { self.plan.seed } else { SEED };
        let mut stream = Stream::new(seed, "scenes").fork(part as u64).fork(number as u64);
        let (height, width) = self.plan.size;
        let mut canvas = Canvas::paper(width, height, &mut stream.fork(0));
        let clutter = &mut stream.fork(1);
        for _ in 0..clutter.below(7) {
            match clutter.below(3) {
                0 => canvas.line(clutter),
                1 => canvas.spot(clutter),
                _ => canvas.scrap(self.digit(part, clutter).0, clutter),
            }
        }
        let (fewest, most) = if part == Part::Train { CROWDED } else { SPARSE };
        for number in 0..fewest + stream.below(most - fewest + 1) {
            let hand = &mut stream.fork(2 + number as u64);
            let (pixels, digit) = self.digit(part, hand);
            canvas.digit(pixels, digit + FIRST, hand);
        }
        canvas.noise(&mut stream.fork(100));
        canvas.finish()
    }
}

impl Canvas {
    /// Uneven dark paper.
    fn paper(width: usize, height: usize, stream: &mut Stream) -> Canvas {
        let level = stream.range(0.0, 0.2) as f32;
        let slopes = [stream.range(-0.1, 0.1) as f32, stream.range(-0.1, 0.1) as f32];
        let light = |at: usize| {
            let (x, y) = ((at % width) as f32 / width as f32, (at / width) as f32 / height as f32);
            level + slopes[0] * (x - 0.5) + slopes[1] * (y - 0.5)
        };
        let light = (0..width * height).map(light).collect();
        Canvas { width, height, light, labels: vec![0; width * height] }
    }

    /// Lets something cover the pixel by `share`.
    fn cover(&mut self, at: usize, share: f32, light: f32) {
        self.light[at] += (light - self.light[at]) * share;
    }

    /// A thin line.
    fn line(&mut self, stream: &mut Stream) {
        let (width, height) = (self.width as f64, self.height as f64);
        let [x, y] = [stream.range(0.0, width), stream.range(0.0, height)];
        let [across, down] = [stream.range(-0.4, 0.4) * width, stream.range(-0.4, 0.4) * height];
        let light = stream.range(0.25, 0.7) as f32;
        let steps = across.abs().max(down.abs()).max(1.0) as usize;
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            let (x, y) = (x + share * across, y + share * down);
            if x >= 0.0 && y >= 0.0 && x < width && y < height {
                self.cover(y as usize * self.width + x as usize, 0.8, light);
            }
        }
    }

    /// A soft spot.
    fn spot(&mut self, stream: &mut Stream) {
        let [x, y] = [stream.range(0.0, self.width as f64), stream.range(0.0, self.height as f64)];
        let reach = stream.range(1.5, 4.5);
        let light = stream.range(0.3, 0.9) as f32;
        for at in 0..self.light.len() {
            let (across, down) = ((at % self.width) as f64 - x, (at / self.width) as f64 - y);
            let share = 1.0 - (across * across + down * down) / (reach * reach);
            if share > 0.0 {
                self.cover(at, share as f32, light);
            }
        }
    }

    /// Six by six to nine by nine pixels of a digit, too few to tell which.
    fn scrap(&mut self, digit: &[u8], stream: &mut Stream) {
        let side = 6 + stream.below(4);
        let [from_x, from_y] = [8 + stream.below(8), 8 + stream.below(8)];
        let [to_x, to_y] = [stream.below(self.width), stream.below(self.height)];
        let light = stream.range(0.4, 1.0) as f32;
        for y in 0..side.min(self.height - to_y) {
            for x in 0..side.min(self.width - to_x) {
                let share = f32::from(digit[(from_y + y) * 28 + from_x + x]) / 255.0;
                self.cover((to_y + y) * self.width + to_x + x, share, light);
            }
        }
    }

    /// A digit of 28x28 pixels at a size and place that are drawn, where it covers little of others.
    fn digit(&mut self, pixels: &[u8], label: u8, stream: &mut Stream) {
        let least = self.width.min(self.height);
        let side = (stream.range(0.25, 0.5) * least as f64).max(8.0);
        let light = stream.range(0.55, 1.0) as f32;
        for _ in 0..TRIES {
            // A little of a digit may lie beyond the edge; of its frame, a seventh is empty on each side.
            let place = |whole: usize, stream: &mut Stream| {
                stream.range(-0.15 * side, (whole as f64 - 0.85 * side).max(0.0))
            };
            let (left, top) = (place(self.width, stream), place(self.height, stream));
            let ink = self.ink(pixels, side, left, top);
            let covered = |label: u8| {
                let all = self.labels.iter().filter(|&&other| other == label).count();
                let under =
                    ink.iter().filter(|(at, share)| *share >= 0.5 && self.labels[*at] == label).count();
                under as f32 > COVERED * all as f32
            };
            if (FIRST..FIRST + 10).any(covered) {
                continue;
            }
            for (at, share) in ink {
                self.cover(at, share, light);
                if share >= 0.5 {
                    self.labels[at] = label;
                }
            }
            return;
        }
    }

    /// The pixels that a digit scaled to `side` covers, each with the share.
    fn ink(&self, pixels: &[u8], side: f64, left: f64, top: f64) -> Vec<(usize, f32)> {
        let scale = 28.0 / side;
        let value = |x: f64, y: f64| {
            let inside = x >= 0.0 && y >= 0.0 && x < 28.0 && y < 28.0;
            if inside { f64::from(pixels[y as usize * 28 + x as usize]) / 255.0 } else { 0.0 }
        };
        let rows = top.max(0.0) as usize..((top + side).max(0.0).ceil() as usize).min(self.height);
        let columns = left.max(0.0) as usize..((left + side).max(0.0).ceil() as usize).min(self.width);
        let mut ink = Vec::new();
        for row in rows {
            for column in columns.clone() {
                let x = (column as f64 + 0.5 - left) * scale - 0.5;
                let y = (row as f64 + 0.5 - top) * scale - 0.5;
                let (x0, y0) = (x.floor(), y.floor());
                let (right, lower) = (x - x0, y - y0);
                let above = value(x0, y0) * (1.0 - right) + value(x0 + 1.0, y0) * right;
                let below = value(x0, y0 + 1.0) * (1.0 - right) + value(x0 + 1.0, y0 + 1.0) * right;
                let share = (above * (1.0 - lower) + below * lower) as f32;
                if share > 0.02 {
                    ink.push((row * self.width + column, share));
                }
            }
        }
        ink
    }

    /// A camera's: about normal, being the sum of four even numbers.
    fn noise(&mut self, stream: &mut Stream) {
        let strength = stream.range(0.0, 0.07);
        for light in &mut self.light {
            let sum: f64 = (0..4).map(|_| stream.range(-0.5, 0.5)).sum();
            // Four even numbers have a variance of a third.
            *light += (sum * strength * 3.0_f64.sqrt()) as f32;
        }
    }

    fn finish(self) -> Result<(Picture, Picture)> {
        let bytes = self.light.iter().map(|light| (light.clamp(0.0, 1.0) * 255.0 + 0.5) as u8).collect();
        let picture = Picture::new(self.width, self.height, Channels::Grey, bytes)?;
        Ok((picture, Picture::new(self.width, self.height, Channels::Grey, self.labels)?))
    }
}

impl Dataset for Scenes {
    fn len(&self) -> usize {
        self.plan.train + self.plan.validation + self.plan.test
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, _: usize) -> usize {
        0
    }

    fn name(&self, index: usize) -> String {
        let (part, number) = self.place(index);
        format!("{part}/{number}")
    }

    fn part(&self, index: usize) -> Option<Part> {
        Some(self.place(index).0)
    }

    fn stored(&self, index: usize) -> Result<Stored> {
        Ok(Stored::Picture(self.draw(index)?.0))
    }

    fn has_masks(&self) -> bool {
        true
    }

    fn mask(&self, index: usize) -> Result<Option<Picture>> {
        Ok(Some(self.draw(index)?.1))
    }

    fn masked(&self, index: usize) -> Result<Option<(Picture, Picture)>> {
        self.draw(index).map(Some)
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        let mut all = Fingerprinter::new(&self.classes);
        let Plan { size, train, validation, test, seed } = self.plan;
        [size.0, size.1, train, validation, test].into_iter().for_each(|number| all.number(number));
        all.bytes(&seed.to_le_bytes());
        let (train, test) = &*self.digits;
        [train, test].into_iter().for_each(|digits| all.bytes(&digits.images));
        // What the drawing makes of them: a scene of each part.
        for index in [0, self.plan.train, self.plan.train + self.plan.validation] {
            if index < self.len() {
                all.bytes(self.draw(index)?.0.pixels());
            }
        }
        Ok(all.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenes() -> Scenes {
        Scenes::new(Plan { train: 40, validation: 10, test: 10, ..Plan::default() }).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_scenes_and_parts_differ() {
        let all = scenes();
        assert_eq!(all.masked(3).unwrap(), scenes().masked(3).unwrap());
        let other = Scenes::new(Plan { seed: 8, ..all.plan }).unwrap();
        assert_ne!(all.masked(3).unwrap(), other.masked(3).unwrap());
        assert_eq!(all.masked(41).unwrap(), other.masked(41).unwrap());
        assert_eq!(all.masked(59).unwrap(), other.masked(59).unwrap());
        assert_ne!(all.fingerprint().unwrap(), other.fingerprint().unwrap());
        assert_eq!(
            (all.name(0), all.name(41), all.name(59)),
            ("train/0".into(), "validation/1".into(), "test/9".into())
        );
        let firsts: Vec<_> = [0, 40, 50].map(|index| all.masked(index).unwrap()).into();
        assert!(firsts[0] != firsts[1] && firsts[1] != firsts[2]);
        // More scenes leave those before as they are.
        let more = Scenes::new(Plan { train: 50, ..all.plan }).unwrap();
        assert_eq!(all.masked(45).unwrap(), more.masked(55).unwrap());
    }

    #[test]
    fn every_digit_appears_with_ink_on_it() {
        let all = scenes();
        let mut counts = [0_usize; 11];
        let (mut on, mut off) = ((0.0, 0), (0.0, 0));
        for index in 0..all.len() {
            let (picture, mask) = all.masked(index).unwrap().unwrap();
            for (&value, &label) in picture.pixels().iter().zip(mask.pixels()) {
                counts[usize::from(label)] += 1;
                let sum = if label > 0 { &mut on } else { &mut off };
                *sum = (sum.0 + f64::from(value), sum.1 + 1);
            }
            let kinds = (1..=10).filter(|label| mask.pixels().contains(label)).count();
            let most = if all.part(index) == Some(Part::Train) { CROWDED.1 } else { SPARSE.1 };
            assert!((1..=most).contains(&kinds), "{kinds} digits in scene {index}");
        }
        assert!(counts.iter().all(|&count| count > 500), "{counts:?}");
        let share = on.1 as f64 / off.1 as f64;
        assert!((0.05..0.3).contains(&share), "{share}");
        assert!(on.0 / f64::from(on.1) > 2.0 * off.0 / f64::from(off.1), "{on:?} {off:?}");
    }

    #[test]
    fn scenes_of_any_size_are_drawn() {
        for size in [(1, 1), (3, 200), (17, 9)] {
            let all = Scenes::new(Plan { size, train: 5, ..Plan::default() }).unwrap();
            for index in 0..5 {
                let (picture, mask) = all.masked(index).unwrap().unwrap();
                assert_eq!((picture.height(), picture.width()), size);
                assert_eq!((mask.height(), mask.width()), size);
            }
        }
        assert!(Scenes::new(Plan { size: (0, 3), ..Plan::default() }).is_err());
    }
}
