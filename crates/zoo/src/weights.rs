//! Published weights: what there is for a network, and what of it is here.

use crate::Result;

/// Weights that somebody published for an architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWeights {
    /// `resnet50.tv_in1k`.
    pub tag: String,
    /// Whether they can be loaded without the network.
    pub here: bool,
}

/// What is published for the architecture called `name`, the default first.
///
/// # Errors
/// A manifest that can't be read.
pub fn weights_of(_name: &str) -> Result<Vec<KnownWeights>> {
    Ok(Vec::new())
}
