//! How much each place speaks for a class.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// A value for each place of a picture, or of a map of it: none is negative, the greater the more it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    height: usize,
    width: usize,
    values: Vec<f32>,
}

impl Heat {
    /// Of a tensor (h, w).
    pub(crate) fn of(values: &Tensor) -> Result<Self> {
        let (height, width) = values.dims2()?;
        let values = values.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        Self::new(height, width, values)
    }

    pub(crate) fn new(height: usize, width: usize, values: Vec<f32>) -> Result<Self> {
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(Self { height, width, values }),
            false => Err(Error::NotFinite { what: "the heat map".into() }),
        }
    }

    /// Without what speaks against.
    pub(crate) fn rectified(mut self) -> Self {
        self.values.iter_mut().for_each(|value| *value = value.max(0.0));
        self
    }

    /// Height and width.
    pub const fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// From 0 to 1 where `most` or more counts as 1, at `height` times `width` places, interpolated between the
    /// middles of the given ones.
    pub(crate) fn scaled(&self, height: usize, width: usize, most: f32) -> Vec<f32> {
        let level = |value: f32| if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
        let rows = places(self.height, height);
        let columns = places(self.width, width);
        let mut scaled = Vec::with_capacity(height * width);
        for &(top, bottom, down) in &rows {
            for &(left, right, across) in &columns {
                let at = |row: usize, column: usize| level(self.values[row * self.width + column]);
                let above = at(top, left) * (1.0 - across) + at(top, right) * across;
                let below = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
                scaled.push(above * (1.0 - down) + below * down);
            }
        }
        scaled
    }

    /// The value that all but a hundredth stay below, so that single points do not leave the rest in the dark; of a
    /// coarse map the greatest.
    pub(crate) fn most(&self) -> f32 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f32::total_cmp);
        let place = sorted.len().saturating_sub(1 + sorted.len() / 100);
        match sorted.get(place) {
            Some(most) if *most > 0.0 => *most,
            _ => sorted.last().copied().unwrap_or(0.0),
        }
    }
}

/// For each of `to` places the two neighbours among `from`, and how far it is from the first to the second.
fn places(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let place = |index: usize| {
        let exact = ((index as f32 + 0.5) * from as f32 / to as f32 - 0.5).clamp(0.0, from as f32 - 1.0);
        let low = exact as usize;
        (low, (low + 1).min(from - 1), exact - low as f32)
    };
    (0..to).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_interpolated_between_middles() {
        let heat = Heat::new(1, 2, vec![0.0, 2.0]).unwrap();
        assert_eq!(heat.scaled(1, 4, 2.0), [0.0, 0.25, 0.75, 1.0]);
        assert_eq!(heat.scaled(2, 2, heat.most()), [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(Heat::new(1, 2, vec![0.0; 2]).unwrap().scaled(1, 2, 0.0), [0.0, 0.0]);
        assert!(Heat::new(1, 1, vec![f32::NAN]).is_err());
    }
}
