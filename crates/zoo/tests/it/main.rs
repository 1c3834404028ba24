//! What must hold for the whole zoo.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod dilation;
mod generated;
mod goldens;
mod published;
mod tidy;
mod transforms;
