//! Convolution: forward, gradient of the input, gradient of weight and bias, and transposed.

mod depthwise;
mod flat;
mod forward;
mod gather;
mod grad_input;
mod grad_weight;
mod method;
mod pairs;
mod prepared;
mod runs;
mod spec;
mod transposed;
mod unfolded;
pub(crate) mod winograd;
mod working;

pub use forward::{forward, forward_with};
pub use grad_input::grad_input;
pub use grad_weight::grad_weight;
pub use method::{Method, Pass, choose};
pub use prepared::Prepared;
pub(crate) use runs::inside;
pub(crate) use spec::window_count;
pub use spec::{Conv2d, Padding};
pub use transposed::Transposed;
pub use working::working;
