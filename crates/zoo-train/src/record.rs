//! What a file of weights says about itself: enough to use it, and enough to make it again.
//!
//! It stands as JSON with sorted keys under one key of the file's metadata, and holds no time, path or machine:
//! the same run gives the same file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digits::Preprocessing;
use crate::{Error, Recipe, Result, Score};

/// The metadata's key.
pub const KEY: &str = "zoo";

/// What a file of weights says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The network's name.
    pub architecture: String,
    /// What each output stands for.
    pub classes: Vec<String>,
    /// What is done to a picture first.
    pub preprocessing: Preprocessing,
    /// How the weights came about.
    pub training: Training,
}

/// How weights came about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// How it was trained.
    pub recipe: Recipe,
    /// What everything random was drawn from.
    pub seed: u64,
    /// How many digits it learned from.
    pub digits: usize,
    /// How it did on the test digits, after the last step.
    pub test: Score,
}

impl Record {
    /// Reads the record of a file, from its metadata; nothing if it has none.
    ///
    /// # Errors
    /// [`Error::Record`] if it isn't what [`Record`] says.
    pub fn read(metadata: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let text = metadata.get(KEY);
        text.map(|text| serde_json::from_str(text))
            .transpose()
            .map_err(|source| Error::Record { key: KEY, source })
    }
}
