//! How a plan is run: on slices without candle's tape, or on candle's tensors, on any device.

mod backward;
mod halves;
mod memory;
mod slices;
pub(crate) mod tensors;

pub(crate) use memory::{Pool, Shelved};
pub(crate) use slices::Run;
