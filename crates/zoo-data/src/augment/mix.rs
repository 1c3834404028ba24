//! Pictures mixed with one another, and their targets with them: mixup (Zhang et al. 2017) and `CutMix` (Yun et al. 2019).

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use super::{check, check_share};
use crate::Result;

/// How the pictures of a batch are mixed, each with the one before it in the batch, and the first with the last. As
/// batches are shuffled, that is any other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mix {
    /// Mixup's alpha: 0 for none, 0.2 for what is usual on ImageNet.
    pub mixup: f64,
    /// `CutMix`'s alpha: 0 for none, 1 for what is usual. If both are above 0, each batch goes one of both ways.
    pub cutmix: f64,
    /// The share of batches that are mixed at all.
    pub probability: f64,
}

impl Mix {
    /// No mixing.
    pub const NONE: Mix = Mix { mixup: 0.0, cutmix: 0.0, probability: 1.0 };

    /// Whether it can be done.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first value that can't be meant.
    pub fn check(&self) -> Result<()> {
        let alpha = |alpha: f64| alpha == 0.0 || (1e-3..=1e3).contains(&alpha);
        check(alpha(self.mixup), "mix's mixup", self.mixup, "0, or from 0.001 to 1000")?;
        check(alpha(self.cutmix), "mix's cutmix", self.cutmix, "0, or from 0.001 to 1000")?;
        check_share("mix's probability", self.probability)
    }

    /// Whether anything is ever mixed.
    pub fn is_none(&self) -> bool {
        self.probability == 0.0 || (self.mixup == 0.0 && self.cutmix == 0.0)
    }

    /// Mixes a batch of shape (n, c, h, w), drawing from `stream`; nothing if this batch stays as it is.
    pub(crate) fn apply(
        &self,
        values: &mut [f32],
        shape: [usize; 4],
        labels: &[usize],
        stream: &mut Stream,
    ) -> Option<Mixed> {
        let [n, channels, height, width] = shape;
        if self.is_none() || n < 2 || stream.uniform() >= self.probability {
            return None;
        }
        let cut = self.cutmix > 0.0 && (self.mixup == 0.0 || stream.below(2) == 1);
        let share = beta(if cut { self.cutmix } else { self.mixup }, stream);
        let size = channels * height * width;
        let share = if cut {
            let (x, y) = (stream.below(width), stream.below(height));
            let half = 0.5 * (1.0 - share).sqrt();
            let (across, down) = ((half * width as f64) as usize, (half * height as f64) as usize);
            let (x0, x1) = (x.saturating_sub(across), (x + across).min(width));
            let (y0, y1) = (y.saturating_sub(down), (y + down).min(height));
            each_with_the_one_before(values, size, |picture, before| {
                for plane in 0..channels {
                    for row in y0..y1 {
                        let start = (plane * height + row) * width;
                        picture[start + x0..start + x1].copy_from_slice(&before[start + x0..start + x1]);
                    }
                }
            });
            1.0 - ((x1 - x0) * (y1 - y0)) as f64 / (width * height) as f64
        } else {
            each_with_the_one_before(values, size, |picture, before| {
                for (value, before) in picture.iter_mut().zip(before) {
                    *value = before * (1.0 - share as f32) + *value * share as f32;
                }
            });
            share
        };
        let mut others = labels.to_vec();
        others.rotate_right(1);
        Some(Mixed { share: share as f32, labels: others })
    }
}

impl Default for Mix {
    fn default() -> Mix {
        Mix::NONE
    }
}

/// With what the pictures of a batch were mixed.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// The share of a picture's own class in its target.
    pub share: f32,
    /// The class that has the rest, for each picture.
    pub labels: Vec<usize>,
}

/// Changes each picture of `size` values by the one before it, as that was.
fn each_with_the_one_before(values: &mut [f32], size: usize, change: impl Fn(&mut [f32], &[f32])) {
    let last = values[values.len() - size..].to_vec();
    // From the end: what stands before isn't changed yet.
    for index in (1..values.len() / size).rev() {
        let (before, picture) = values[(index - 1) * size..(index + 1) * size].split_at_mut(size);
        change(picture, before);
    }
    change(&mut values[..size], &last);
}

/// Beta(alpha, alpha), as the share that one of two gammas has in their sum.
fn beta(alpha: f64, stream: &mut Stream) -> f64 {
    // As logarithms: for a small alpha both gammas are too small for numbers.
    let (one, other) = (ln_gamma_draw(alpha, stream), ln_gamma_draw(alpha, stream));
    1.0 / (1.0 + (other - one).exp())
}

/// The logarithm of a gamma of this shape (Marsaglia and Tsang 2000; below 1, section 6).
fn ln_gamma_draw(shape: f64, stream: &mut Stream) -> f64 {
    if shape < 1.0 {
        let boost = (1.0 - stream.uniform()).ln() / shape;
        return boost + ln_gamma_draw(shape + 1.0, stream);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal();
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - stream.uniform();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beta_has_its_moments() {
        for alpha in [0.1, 0.2, 1.0, 4.0] {
            let mut stream = Stream::new(1, "beta");
            let draws: Vec<f64> = (0..40_000).map(|_| beta(alpha, &mut stream)).collect();
            let mean = draws.iter().sum::<f64>() / draws.len() as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / draws.len() as f64;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "{alpha}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.03, "{alpha}: {variance} {expected}");
        }
    }

    #[test]
    fn mixup_mixes_with_the_one_before() {
        let mut values = vec![0.0, 0.0, 1.0, 1.0, 4.0, 4.0];
        let mix = Mix { mixup: 1.0, ..Mix::NONE };
        let mixed = mix.apply(&mut values, [3, 1, 1, 2], &[5, 6, 7], &mut Stream::new(3, "mix")).unwrap();
        assert_eq!(mixed.labels, [7, 5, 6]);
        let (own, other) = (mixed.share, 1.0 - mixed.share);
        let expected = [4.0 * other, own, other + 4.0 * own];
        for (pair, expected) in values.chunks(2).zip(expected) {
            assert!((pair[0] - expected).abs() < 1e-6 && pair[0] == pair[1], "{values:?} {mixed:?}");
        }
    }

    #[test]
    fn a_cut_piece_is_as_large_as_the_target_says() {
        let mix = Mix { cutmix: 1.0, ..Mix::NONE };
        let mut seen = 0;
        for seed in 0..50 {
            let mut values: Vec<f32> = (0..2 * 2 * 6 * 5).map(|at| (at / 60) as f32).collect();
            let mixed = mix.apply(&mut values, [2, 2, 6, 5], &[0, 1], &mut Stream::new(seed, "mix")).unwrap();
            let foreign = values[..60].iter().filter(|&&value| value == 1.0).count();
            assert!((foreign as f32 / 60.0 - (1.0 - mixed.share)).abs() < 1e-6, "{seed}");
            assert_eq!(values[60..].iter().filter(|&&value| value == 0.0).count(), foreign);
            seen += usize::from(foreign > 0);
        }
        assert!(seen > 25, "{seen}");
    }

    #[test]
    fn nothing_is_mixed_without_a_wish_or_a_partner() {
        let mut values = vec![1.0, 2.0];
        let mut stream = Stream::new(0, "mix");
        assert_eq!(Mix::NONE.apply(&mut values, [2, 1, 1, 1], &[0, 1], &mut stream), None);
        let mix = Mix { mixup: 1.0, ..Mix::NONE };
        assert_eq!(mix.apply(&mut values[..1], [1, 1, 1, 1], &[0], &mut stream), None);
        assert_eq!(values, [1.0, 2.0]);
        assert!(Mix { mixup: -1.0, ..Mix::NONE }.check().is_err());
    }
}
