//! Which pictures are learned from, which are chosen by, and which are tested on.
//!
//! A split is drawn from a seed, class by class in the same proportion, and keeps together what belongs together. It is
//! written down by the pictures' names ([`Listing`]), so that it can be repeated, read and compared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zoo_base::random;

use crate::{Dataset, Error, Finding, Fingerprint, Part, Pattern, Result, Subset};

/// How a data set is parted, where it doesn't say so itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shares {
    /// The share of the pictures to choose by, from 0 to below 1.
    pub validation: f64,
    /// The share to be tested on.
    pub test: f64,
    /// What decides who goes where.
    pub seed: u64,
    /// What belongs together, by the names of files.
    pub group_by: Option<Pattern>,
}

impl Default for Shares {
    fn default() -> Shares {
        Shares { validation: 0.15, test: 0.15, seed: 0, group_by: None }
    }
}

/// A data set in its parts: the places of the pictures, in ascending order within each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// To learn from.
    pub train: Vec<usize>,
    /// To choose by.
    pub validation: Vec<usize>,
    /// To be tested on.
    pub test: Vec<usize>,
}

/// A split as it is written down: by the names of the pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// Of the data that was split.
    pub fingerprint: Fingerprint,
    /// How it was split.
    pub shares: Shares,
    /// Names of the pictures to learn from,
    pub train: Vec<String>,
    /// to choose by,
    pub validation: Vec<String>,
    /// to be tested on.
    pub test: Vec<String>,
}
