//! MNIST's digits as a network's inputs.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use zoo_layers::{Graph, Shape};

use crate::{Error, Result};

/// The classes' names, in order.
pub const CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// What is done to a grey picture, light on dark, before a network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    /// Channels, height and width of the network's input.
    pub input: [usize; 3],
    /// How many pixels of paper are put around the picture to make it as large as the input.
    pub padding: usize,
    /// Taken off each pixel, of which paper is 0 and ink is 1.
    pub mean: f64,
    /// What each pixel is divided by then.
    pub std: f64,
}

impl Preprocessing {
    /// For pictures of this size and a network's nominal input.
    ///
    /// # Errors
    /// [`Error::Size`] if the input isn't of one channel, or can't be reached by padding all sides alike.
    pub fn new(graph: &Graph, (height, width): (usize, usize), (mean, std): (f64, f64)) -> Result<Self> {
        if let Shape::Map { channels: 1, height: rows, width: columns } = graph.input()
            && let Some(around) = rows.checked_sub(height)
            && columns.checked_sub(width) == Some(around)
            && around % 2 == 0
        {
            return Ok(Self { input: [1, rows, columns], padding: around / 2, mean, std });
        }
        let takes = graph.input().to_string();
        Err(Error::Size { graph: graph.name().into(), takes, height, width })
    }

    /// Height and width of the pictures it takes.
    pub const fn picture(&self) -> (usize, usize) {
        let [_, height, width] = self.input;
        (height.saturating_sub(2 * self.padding), width.saturating_sub(2 * self.padding))
    }

    /// Pictures of 0 (paper) to 255 (ink), row by row, as a tensor `(n, 1, height, width)`.
    ///
    /// # Errors
    /// [`Error::Pixels`] for a picture of another size than [`picture`](Self::picture); candle's.
    pub fn tensor<P: AsRef<[u8]>>(&self, pictures: &[P], device: &Device) -> Result<Tensor> {
        let (height, width) = self.picture();
        let [channels, rows, columns] = self.input;
        let level: [f32; 256] =
            std::array::from_fn(|value| ((value as f64 / 255.0 - self.mean) / self.std) as f32);
        let mut values = vec![level[0]; pictures.len() * rows * columns];
        for (values, picture) in values.chunks_exact_mut(rows * columns).zip(pictures) {
            let pixels = picture.as_ref();
            if pixels.len() != height * width {
                return Err(Error::Pixels { got: pixels.len(), height, width });
            }
            for (y, row) in pixels.chunks_exact(width).enumerate() {
                let start = (y + self.padding) * columns + self.padding;
                for (value, pixel) in values[start..start + width].iter_mut().zip(row) {
                    *value = level[usize::from(*pixel)];
                }
            }
        }
        Ok(Tensor::from_vec(values, (pictures.len(), channels, rows, columns), device)?)
    }
}
