//! How the zoo answers: the one place that knows.

use std::path::Path;

use anyhow::{Result, bail};
use candle_core::Tensor;
use zoo_engine::Engine;

/// A compiled network with its input.
pub(crate) struct Answer {
    engine: Engine,
    pictures: Vec<f32>,
}

impl Answer {
    /// Loads the weights of a file, and makes ready for pictures of this shape.
    pub(crate) fn load(network: &str, weights: &Path, pictures: &Tensor) -> Result<Self> {
        let &[n, c, h, w] = pictures.dims() else {
            bail!("pictures are (n, c, h, w), got {:?}", pictures.dims())
        };
        let engine = zoo::model(network)?.weights(weights)?.engine([n, c, h, w])?;
        Ok(Self { engine, pictures: pictures.flatten_all()?.to_vec1()? })
    }

    /// The main output, row by row.
    pub(crate) fn run(&self) -> Result<Vec<f32>> {
        Ok(self.engine.run(&self.pictures)?.swap_remove(0))
    }
}
