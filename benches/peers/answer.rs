//! How the zoo answers: the one place that knows.

use std::path::Path;

use anyhow::Result;
use candle_core::Tensor;
use zoo::Network;

/// A network with its input.
pub(crate) struct Answer {
    network: Network,
    pictures: Tensor,
}

impl Answer {
    /// Loads the weights of a file, and makes ready for pictures of this shape.
    pub(crate) fn load(network: &str, weights: &Path, pictures: &Tensor) -> Result<Self> {
        Ok(Self { network: zoo::model(network)?.weights(weights)?, pictures: pictures.clone() })
    }

    /// The main output, row by row.
    pub(crate) fn run(&self) -> Result<Vec<f32>> {
        Ok(self.network.output(&self.pictures)?.flatten_all()?.to_vec1()?)
    }
}
