//! Training: a [`Graph`](zoo_layers::Graph), digits, a [`Recipe`] and a seed give a network and a record of how
//! it came about.
//!
//! | module | what it gives |
//! |---|---|
//! | [`recipe`] | what a run is: epochs, optimizer, learning rate, distortions; the recipes found for MNIST |
//! | [`optim`] | SGD with momentum, and AdamW |
//! | [`schedule`] | the learning rate of each step |
//! | [`loss`] | cross entropy, with label smoothing |
//! | [`digits`] | MNIST's digits as a network's inputs |
//! | [`record`] | what a file of weights says about itself |
//!
//! ```
//! use candle_core::Device;
//! use zoo_layers::{Graph, Linear, Shape};
//! use zoo_train::{Recipe, Run};
//!
//! let graph = Graph::build("one_layer", Shape::map(1, 28, 28), |net, picture| {
//!     let x = net.flatten(picture)?;
//!     let logits = net.linear(x, Linear::new(10), "fc")?;
//!     net.output("logits", logits)
//! })?;
//! let (digits, test) = zoo_data::digits::bundled()?;
//! let few = digits.select(&(0..640).collect::<Vec<_>>());
//! let recipe = Recipe { epochs: 3, ..Recipe::PLAIN };
//! let run = Run { graph: &graph, digits: &few, test: &test, recipe: &recipe, seed: 42, device: &Device::Cpu };
//! let trained = run.train(|progress| assert!(progress.loss.is_finite()))?;
//! assert!(trained.score().accuracy() > 0.7);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//! The same graph, digits, recipe and seed give the same bits, whatever the number of threads: everything random
//! is a function of the seed and of what it is for, never of the order in which threads came to it.
//! Nothing is printed: progress goes to the caller's closure. No architecture is known here; recipes name them
//! as data.

pub mod digits;
mod error;
pub mod loss;
pub mod optim;
pub mod recipe;
pub mod record;
pub mod schedule;
mod train;

pub use error::{Error, Result};
pub use recipe::Recipe;
pub use record::Record;
pub use train::{Epoch, Progress, Run, Score, Trained, evaluate};
