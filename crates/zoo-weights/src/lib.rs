//! Weights: where they are published, how they come here, and how they are read.
//!
//! This crate knows no architecture and no tensor library. It yields names, types, shapes and bytes;
//! whoever builds networks makes tensors of them, and says with a [`LoadReport`] whether they fit.
//!
//! * [`Manifest`] lists what is published: sources, checksums, accuracy, and how a picture is prepared.
//! * [`DataSets`] lists data sets that have a public address, which the same fetcher brings.
//! * [`Fetcher`] finds weights here or brings them: resumed, verified, whole or not at all.
//! * [`TensorFile`] opens safetensors, PyTorch's `.pth` of both kinds, and Keras' `.h5` and `.keras`.
//! * [`KeyMap`] leads from a file's names, and its order of values, to the architecture's.
//! * [`LoadReport`] compares a network's names and shapes with a file's, both ways.
//! * [`save`] writes safetensors: whole or not at all, the same bytes for the same input. [`Destination`] is how
//!   every result gets where its caller wants it.
//!
//! # Where files land
//!
//! | file | place | variables |
//! |---|---|---|
//! | of the hub | the Hugging Face cache: `blobs`, `snapshots`, `refs` | `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` |
//! | `.pth` | `hub/checkpoints` in PyTorch's folder | `TORCH_HOME`, `XDG_CACHE_HOME` |
//! | `.h5` | `models` in Keras' folder | `KERAS_HOME` |
//!
//! There other tools find them, and this crate finds what other tools have brought. `HF_ENDPOINT`, `HF_TOKEN`,
//! `HF_HUB_OFFLINE`, `HTTPS_PROXY` and `NO_PROXY` are honoured too.
//!
//! # Trust
//!
//! A file's checksum is counted while it comes and compared with its publisher's, or with the hash that the hub
//! announces; a pickle is read by a machine that runs nothing; and what a file says of its own sizes is believed
//! only as far as the file reaches.

mod data;
mod error;
mod fetch;
mod file;
mod foreign;
mod hdf5;
mod keys;
mod listing;
mod manifest;
mod output;
mod pth;
mod reading;
mod report;
mod safetensors;
mod tensor;
mod zip;

pub use data::{DataFile, DataSet, DataSets};
pub use error::{Error, Result, way_out};
pub use fetch::{Checked, Event, FetchError, Fetcher, Here, Progress, Proxy, Settings, Verified};
pub use file::{Format, TensorFile};
pub use keys::KeyMap;
pub use listing::{Listed, ListedSource};
pub use manifest::{Accuracy, Classes, Digest, Manifest, ManifestError, Place, Source, Weights};
pub use output::Destination;
pub use report::{LoadReport, Misshapen};
pub use safetensors::{save, save_each};
pub use tensor::{Dtype, Tensor};
