//! Pictures, preprocessing and data sets: plain numbers with shapes, for whoever makes tensors of them.
//!
//! | module | what it gives |
//! |---|---|
//! | [`digits`] | MNIST's digits: the 9,000 that are compiled in, and anyone's own [IDX](idx) files |
//!
//! Nothing here knows a network. Everything that is random is drawn from a seed, and the same seed gives the
//! same bits on every machine.

pub mod digits;
mod error;
pub mod idx;

pub use digits::{Digits, Part};
pub use error::{Error, Result};
