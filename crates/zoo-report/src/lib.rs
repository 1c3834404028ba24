//! What a network costs, read from its graph: parameters, multiply-accumulates and memory. No weights are needed
//! and nothing is run.
//!
//! ```
//! use zoo_layers::{Conv2d, Graph, Linear, Shape};
//! use zoo_report::{Options, Summary};
//!
//! let graph = Graph::build("tiny", Shape::map(3, 32, 32), |net, picture| {
//!     let x = net.conv_norm_act(picture, Conv2d::k3(8), "conv1", "bn1")?;
//!     let x = net.global_avg_pool(x)?;
//!     let logits = net.linear(x, Linear::new(10), "fc")?;
//!     net.output("logits", logits)
//! })?;
//! let summary = Summary::of(&graph, &Options::default())?;
//! assert_eq!(summary.params.total, 8 * 27 + 2 * 8 + 8 * 10 + 10);
//! assert_eq!(summary.macs, 8 * 27 * 32 * 32 + 8 * 10);
//! # Ok::<(), zoo_layers::Error>(())
//! ```
//!
//! # What is counted
//! * **Parameters** are what is learned and used to answer: no running statistics (`buffers`), no heads whose
//!   output exists in training only (`auxiliary`).
//! * **MACs** are the multiply-accumulates of convolutions and matrix products for one picture; one is two
//!   floating-point operations. Norms, activations and pools are not counted, as everywhere in the field.
//! * **Memory** is for f32 and a whole batch; see [`Memory`].

mod advice;
mod diagram;
mod fit;
mod memory;
mod plot;
mod summary;
mod table;
mod training;
mod tree;

pub use advice::{Advice, Advised, Other, Plain, Question, Remedy, options};
pub use diagram::{Drawing, Theme};
pub use fit::{Fit, Fitted, fit, has_batch_norms};
pub use memory::{Memory, Optimizer};
pub use plot::{Bubble, Plot};
pub use summary::{LayerRow, Options, Params, Summary};
pub use table::{Align, Cell, Format, Table, count, short, thousands};
pub use training::{Lesson, Training};
pub use tree::{layer_lines, layer_table};
pub use zoo_base::size::bytes;
