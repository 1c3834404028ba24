//! Pictures, preprocessing and data sets: plain numbers with shapes, for whoever makes tensors of them.
//!
//! | module | what it gives |
//! |---|---|
//! | [`open`] | whatever data lies at a path: folders, a table, MNIST's or CIFAR's files |
//! | [`dataset`] | what every [`Dataset`] is: pictures by number, each with its class |
//! | [`scenes`] | pictures of many digits with their masks, made by a seed |
//! | [`split`] | parts to learn from, to choose by and to be tested on |
//! | [`mask`] | a class for each pixel: masks of indices, in PASCAL VOC's layout or a plain one |
//! | [`augment`] | changes at random, as a recipe writes them down |
//! | [`pipeline`] | from a picture to a network's input |
//! | [`loader`] | batches, made ready on threads of their own |
//! | [`digits`] | MNIST's digits: the 9,000 that are compiled in, and anyone's own [IDX](idx) files |
//!
//! Nothing here knows a network. Everything that is random is drawn from a seed, and the same seed gives the
//! same bits, whatever the number of threads.

pub mod augment;
pub mod cifar;
pub mod classes;
pub mod dataset;
pub mod digits;
mod error;
mod finding;
pub mod folder;
mod gif;
pub mod handwriting;
pub mod idx;
mod jpeg;
pub mod loader;
pub mod mask;
mod memory;
mod names;
mod open;
mod pattern;
pub mod picture;
pub mod pipeline;
pub mod preprocess;
pub mod resize;
pub mod scenes;
pub mod split;
mod table;
mod tiff;
mod tiff_pieces;
mod tiff_tags;

pub use augment::{Augment, Mix, Mixed};
pub use dataset::{
    Dataset, Fingerprint, Part, Stored, Subset, class_weights, counts, match_classes, pixel_counts,
};
pub use digits::Digits;
pub use error::{Error, PictureError, Result};
pub use finding::Finding;
pub use folder::{Found, ImageFolder, Item, LeftOut, Why};
pub use loader::{
    Batch, Batches, Loader, LoaderOptions, Place, Remainder, Sampling, Skipped, balanced, unreadable,
};
pub use mask::{MaskError, MaskFolder};
pub use memory::{InMemory, bundled_digits};
pub use names::shown;
pub use open::{open, open_any};
pub use pattern::Pattern;
pub use picture::{Channels, Picture};
pub use pipeline::Pipeline;
pub use preprocess::{Input, Preprocess, Views};
pub use resize::Filter;
pub use scenes::Scenes;
pub use split::{Listing, Shares, Split};
pub use table::Table;
