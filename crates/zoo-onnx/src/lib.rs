//! Networks of the zoo as ONNX files, which any runtime runs.
//!
//! A graph says what is computed, a source of [`Weights`] with what: a [`zoo_layers::Net`], or anything that gives
//! parameters by name. They are written as they come, so that no second copy of them is ever in memory.
//!
//! ```
//! use zoo_layers::{Conv2d, Graph, Linear, Shape};
//! use zoo_onnx::{Model, Options};
//!
//! let graph = Graph::build("tiny", Shape::map(3, 32, 32), |net, picture| {
//!     let x = net.conv_norm_act(picture, Conv2d::k3(8).stride(2), "conv1", "bn1")?;
//!     let x = net.global_avg_pool(x)?;
//!     let logits = net.linear(x, Linear::new(10), "fc")?;
//!     net.output("logits", logits)
//! })?;
//! let net = graph.init(42)?;
//!
//! let model = Model::new(&graph, Options { fold_norms: true, ..Options::default() })?;
//! let mut file = Vec::new();
//! model.write(&net, &mut file)?;
//! assert_eq!(file.len() as u64, model.bytes());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is in the file
//! Opset 17, f32. Nodes have the graph's names, tensors the parameters', inputs and outputs the graph's: `input` of shape
//! `(batch, channels, height, width)` and `logits`. Only what answers is there: no auxiliary heads, no dropout. Where one
//! operation is several nodes of ONNX, the last has its name and the others theirs behind it: `upsample/Shape`.
//!
//! A layer of one's own says in [`zoo_layers::Operation::onnx`] how it is written.
//!
//! # Invariants
//! [`Model::new`] checks graph and options, and knows the length of the file, before a byte is written; weights are looked at
//! as they are, so that they are never all in memory: write to a place that can be taken back. The same graph, options
//! and weights give the same bytes.

mod dims;
mod error;
mod fold;
mod form;
mod model;
mod nodes;
mod proto;
mod tensor;
mod weights;
mod window;

pub use dims::{Dim, Value};
pub use error::{Error, Result};
pub use model::{Model, Options};
pub use weights::Weights;
