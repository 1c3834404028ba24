//! Convolutional networks compiled for fast answers on a CPU.
//!
//! ```
//! use zoo_engine::{Engine, Options};
//! use zoo_layers::{Conv2d, Graph, Linear, Shape};
//!
//! let graph = Graph::build("tiny", Shape::map(3, 32, 32), |net, picture| {
//!     let x = net.conv_norm_act(picture, Conv2d::k3(8).stride(2), "conv1", "bn1")?;
//!     let x = net.global_avg_pool(x)?;
//!     let logits = net.linear(x, Linear::new(10), "fc")?;
//!     net.output("logits", logits)
//! })?;
//! let net = graph.init(1)?;
//! let engine = Engine::compile(&graph, &net, [1, 3, 32, 32], Options::default())?;
//! let answers = engine.run(&vec![0.5; 3 * 32 * 32])?;
//! assert_eq!(answers[0].len(), 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An [`Engine`] is a graph's [`Plan`](zoo_layers::Plan) for one size of picture, with its weights, made into a program:
//! norms are multiplied into weights, activations and residuals follow sums while these are in registers, what changes
//! nothing is gone, the parts of a concatenation are computed where they belong, and everything between the layers lies
//! in one arena, channels innermost ([`zoo_kernels::nhwc`]), in places that it finds itself: a part of a concatenation lives as long
//! as the whole, and bands of rows never are a map. Each convolution
//! is computed by the method that a model of measured costs expects to be the fastest.
//!
//! The plan decides what runs, in which order, and which norm, sum and activation belong to which step. What the engine
//! adds is of its own layout: whether a result may be written over its argument where concatenations are no copies, and
//! which convolutions go through in bands. An operation that has
//! no kernel on pixels (local response normalisation, bilinear upsampling, a layer of one's own) runs by its kernel on
//! planes, or by candle's operations, and its arguments are laid out for it.
//!
//! One engine serves any number of threads at once: its program and packed weights are shared, and each run has memory
//! of its own, which is kept for the next. The results' bits don't depend on threads, nor on a picture's neighbours in
//! the batch.

mod compile;
mod engine;
mod error;
mod memory;
mod step;
mod there;
mod weights;

pub use engine::{Engine, Options, Sizes, StepInfo};
pub use error::{Error, Result};
pub use there::memory_there;
pub use weights::Weights;
