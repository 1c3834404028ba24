//! Inference with the channels innermost: what a compiled network runs on.
//!
//! The other kernels keep a picture plane by plane, `(n, c, h, w)`, as candle does. Here a map lies pixel by pixel, the
//! channels of a pixel side by side, so that a vector holds neighbouring *output channels*: a pixel's products need no
//! unfolded picture, a window may lie anywhere, and a concatenation is written in place by its parts.
//!
//! All maps of a run are parts of one slice, the arena: a [`Map`] says where. A kernel is given the arena and the maps
//! that it reads and writes, checks that they lie in it and don't overlap, and refuses what doesn't fit as the other
//! kernels do. Weights are packed once ([`Conv`]) for the instruction set of that moment.
//!
//! Everything is `f32` and forward only. A number of the result is always the same sum in the same order, however the
//! work is divided, whatever the batch.

mod bands;
mod conv;
mod depthwise;
mod direct;
mod forms;
mod layout;
mod map;
mod pointwise;
mod pool;
mod tile;
mod winograd;

pub use bands::Bands;
pub use conv::{Conv, Fold, Method, Tail};
pub use layout::{from_planes, to_planes};
pub use map::{Arena, Halo, Map};
pub use pointwise::{Pointwise, pointwise};
pub use pool::{average_pool, global_average, max_pool};
