//! Convolutional networks as values.
//!
//! An architecture is described once, as a [`Graph`] of layers, by functions that read like the paper's figure.
//! The graph knows every node's operation, inputs, output shape, parameters and cost; it holds no weights and
//! is built in microseconds. Everything else is read from it: [`Graph::load`] and [`Graph::init`] make a
//! [`Net`], which runs and learns on candle tensors.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use zoo_layers::{Conv2d, Graph, MaxPool2d, Linear, Mode, Shape};
//!
//! let graph = Graph::build("small", Shape::map(1, 28, 28), |net, picture| {
//!     let x = net.conv(picture, Conv2d::k5(6), "conv1")?;           // (n, 6, 28, 28)
//!     let x = net.relu(x)?;
//!     let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool1")?;      // (n, 6, 14, 14)
//!     let x = net.flatten(x)?;                                      // (n, 1176)
//!     let logits = net.linear(x, Linear::new(10), "fc")?;           // (n, 10)
//!     net.output("logits", logits)
//! })?;
//! let net = graph.init(42)?;
//! let pictures = Tensor::zeros((2, 1, 28, 28), DType::F32, &Device::Cpu)?;
//! assert_eq!(net.forward(&pictures, Mode::Eval)?.dims(), [2, 10]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//! This crate knows no architecture. Random numbers come from [`rng`], a function of seed, name and index, never
//! from candle's generator. An operation is one file in `ops`, and the set is the enum [`Op`]: a new variant
//! makes the compiler name every reader that must learn of it.

mod error;
mod fit;
mod geometry;
mod graph;
mod head;
mod init;
mod kernel;
mod load;
mod loss;
mod net;
mod nodes;
pub mod onnx;
mod ops;
mod pass;
mod plan;
mod reach;
mod run;
mod scope;
mod shape;
mod statistics;
mod tape;
mod transform;
mod variants;

pub use error::{Error, Result};
pub use geometry::{Padding, Rounding};
pub use graph::{Graph, Layer, Node, Output, Param, When, is_within};
pub use head::Head;
pub use init::{Fan, Init};
pub use kernel::{
    Arg, Backward, CpuKernel, Element, Following, Forward, Kernel, KernelError, Needs, Shares, Working,
};
pub use loss::{CrossEntropy, Loss};
pub use net::{Net, Outputs};
pub use nodes::NodeSet;
pub use ops::{
    Activation, AdaptiveAvgPool2d, Add, Align, AvgPool2d, BatchNorm2d, Call, ChannelAffine,
    ChannelScaleShift, Concat, Conv2d, ConvTranspose2d, Crop, Divisor, Dropout, Flatten, Input, Linear,
    LocalResponseNorm, MaxPool2d, Mode, Op, Operation, PadChannels, ParamSpec, Rbf, Role, ScaleChannels,
    SelectChannels, Softmax, Subsample, Upsample,
};
pub use pass::{Gradients, Pass};
pub use plan::{Frozen, Plan, Recompute, Route, Source, Step, ValueId};
pub use reach::Reach;
pub use scope::Scope;
pub use shape::Shape;
pub use transform::Carry;
pub use zoo_base::random as rng;

/// The names nearest to a mistyped one, as `; the nearest are …`, or nothing.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> =
        zoo_base::nearest(name, names).into_iter().map(|name| format!("`{name}`")).collect();
    match near.is_empty() {
        true => String::new(),
        false => format!("; the nearest are {}", near.join(", ")),
    }
}
