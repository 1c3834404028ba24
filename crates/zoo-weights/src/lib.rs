//! Weights: where they are published, how they come here, and how they are read.
//!
//! This crate knows no network and no tensor library. It yields names, types, shapes and bytes;
//! whoever builds networks makes tensors of them, and says with a [`LoadReport`] whether they fit.
//!
//! * [`Manifest`] lists what is published.
//! * [`TensorFile`] opens a file of weights.
//! * [`save`] writes safetensors: whole or not at all, the same bytes for the same input.
//! * [`LoadReport`] compares a network's names and shapes with a file's, both ways.

mod error;
mod file;
mod keys;
mod manifest;
mod pth;
mod report;
mod safetensors;
mod tensor;
mod zip;

pub use error::{Error, Result};
pub use file::{Format, TensorFile};
pub use keys::KeyMap;
pub use manifest::{
    Accuracy, Channels, Classes, Digest, Interpolation, Manifest, ManifestError, Place, Preprocess, Source,
    Weights,
};
pub use report::{LoadReport, Misshapen};
pub use safetensors::save;
pub use tensor::{Dtype, Tensor};
