//! What crates that don't know each other have in common, so that it stands once.
//!
//! | module | what it gives |
//! |---|---|
//! | [`random`] | random numbers that are a function of seed, purpose and index |
//! | [`size`] | amounts of memory as people read them |
//!
//! Nothing here knows a network, a picture's pixels, a file or candle.

pub mod random;
pub mod size;
