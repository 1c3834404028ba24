//! What must hold for the whole zoo.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod bad_input;
mod dilation;
mod exactness;
mod explain;
#[path = "../common/figures.rs"]
mod figures;
mod files;
mod generated;
mod goldens;
mod keeping;
mod options;
mod pages;
mod published;
mod publishing;
mod readme;
mod segmenting;
mod steps;
mod tidy;
mod transforms;
