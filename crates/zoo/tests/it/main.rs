//! What must hold for the whole zoo.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod bad_input;
mod dilation;
#[path = "../common/figures.rs"]
mod figures;
mod files;
mod generated;
mod goldens;
mod options;
mod pages;
mod published;
mod publishing;
mod steps;
mod tidy;
mod transforms;
