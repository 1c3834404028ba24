//! What a file of weights says about itself: enough to use it without being told anything else.

use std::path::Path;

use serde::Deserialize;
use zoo_weights::TensorFile;

use crate::{Error, Result};

/// The one key of our files' metadata.
const KEY: &str = "zoo";

/// The part of the metadata that is needed to answer; what else stands there is for other readers.
#[derive(Debug, Deserialize)]
pub(crate) struct Card {
    /// Name of the architecture.
    pub(crate) architecture: String,
    /// Name of each class.
    pub(crate) classes: Vec<String>,
    /// What is done to a picture first.
    pub(crate) preprocessing: Preprocessing,
}

/// What is done to a picture first.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Preprocessing {
    /// Channels, height and width of the network's input.
    pub(crate) input: [usize; 3],
    /// Pixels of paper around a digit.
    #[serde(default)]
    pub(crate) padding: usize,
    /// Taken off each value, of which white is 1.
    pub(crate) mean: f64,
    /// What each value is divided by then.
    pub(crate) std: f64,
}

impl Card {
    /// Reads the card of a file; nothing if it has none.
    pub(crate) fn read(file: &TensorFile) -> Result<Option<Self>> {
        let Some(text) = file.metadata().get(KEY) else { return Ok(None) };
        let card = serde_json::from_str(text);
        card.map(Some).map_err(|source| Error::Card { file: file.path().to_path_buf(), source })
    }

    /// The card of a file that must have one: a file that is given instead of a model's name.
    pub(crate) fn required(file: &TensorFile, path: &Path) -> Result<Self> {
        Self::read(file)?.ok_or_else(|| Error::NoCard { file: path.to_path_buf() })
    }
}
