//! Pictures, preprocessing and data sets: plain numbers with shapes, for whoever makes tensors of them.
//!
//! | module | what it gives |
//! |---|---|
//! | [`digits`] | MNIST's digits: the 9,000 that are compiled in, and anyone's own [IDX](idx) files |
//!
//! Nothing here knows a network. Everything that is random is drawn from a seed, and the same seed gives the
//! same bits on every machine.

pub mod augment;
pub mod classes;
pub mod digits;
mod error;
pub mod folder;
pub mod handwriting;
pub mod idx;
mod jpeg;
mod names;
pub mod picture;
pub mod preprocess;
pub mod resize;
mod tiff;
mod tiff_pieces;

pub use digits::{Digits, Part};
pub use error::{Error, Result};
pub use folder::{Found, ImageFolder, Item, LeftOut, Why};
pub use names::shown;
pub use picture::{Channels, Picture};
pub use preprocess::{Input, Preprocess};
pub use resize::Filter;
