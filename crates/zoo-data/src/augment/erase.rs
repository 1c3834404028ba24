//! A piece of a picture that a network doesn't see.

use serde::{Deserialize, Serialize};
use zoo_base::random::Stream;

use super::{check, check_bounds, check_share};
use crate::{Input, Result};

/// How often a piece of the wanted size and proportions is tried before nothing is erased.
const TRIES: usize = 10;

/// Erasing of a rectangle, of the numbers that a network sees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Erase {
    /// How likely a piece is erased.
    pub probability: f64,
    /// Its share of the area, evenly between these,
    pub scale: [f64; 2],
    /// and its height over its width, the logarithm evenly.
    pub ratio: [f64; 2],
    /// What takes its place.
    pub with: With,
}

/// What takes the place of what is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum With {
    /// 0: the mean colour.
    Mean,
    /// For each number another one, normally distributed.
    Noise,
}

impl Default for Erase {
    fn default() -> Erase {
        Erase { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], with: With::Mean }
    }
}

impl Erase {
    pub(super) fn check(&self) -> Result<()> {
        check_share("erase's probability", self.probability)?;
        check_bounds("erase's scale", self.scale, 0.0, "two numbers from 0 to 1, the lower one first")?;
        check(self.scale[1] <= 1.0, "erase's scale", self.scale, "at most 1")?;
        check_bounds("erase's ratio", self.ratio, 1e-3, "two numbers above 0, the lower one first")
    }

    /// Erases, drawing from `stream`.
    pub(crate) fn apply(&self, input: &mut Input, stream: &mut Stream) {
        if stream.uniform() >= self.probability {
            return;
        }
        let (height, width) = (input.height, input.width);
        let [flat, tall] = self.ratio.map(f64::ln);
        for _ in 0..TRIES {
            let area = (height * width) as f64 * stream.range(self.scale[0], self.scale[1]);
            let ratio = stream.range(flat, tall).exp();
            let rows = (area * ratio).sqrt().round_ties_even() as usize;
            let columns = (area / ratio).sqrt().round_ties_even() as usize;
            if rows < height && columns < width {
                let y = stream.below(height - rows + 1);
                let x = stream.below(width - columns + 1);
                for plane in input.values.chunks_exact_mut(height * width) {
                    for row in plane.chunks_exact_mut(width).skip(y).take(rows) {
                        for value in &mut row[x..x + columns] {
                            *value = match self.with {
                                With::Mean => 0.0,
                                With::Noise => stream.normal() as f32,
                            };
                        }
                    }
                }
                return;
            }
        }
    }
}
