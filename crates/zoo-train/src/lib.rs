//! Training: a network, pictures with their classes, a [`Recipe`] and a seed give the best network that a run came to,
//! a log, and a checkpoint from which it goes on if it was stopped.
//!
//! | module | what it gives |
//! |---|---|
//! | [`Recipe`] | what a run is: epochs, optimizer, learning rate, augmentation; TOML |
//! | [`Trainer`], [`Stage`] | the loop, and its parts with recipes of their own |
//! | [`RunFolder`] | where a run keeps what it makes |
//! | [`optim`] | SGD with momentum, AdamW and RMSprop |
//! | [`Schedule`] | the learning rate of each step |
//! | [`loss`] | cross entropy: smoothed, soft, weighted |
//! | [`PixelLoss`] | where each pixel has a class: cross entropy, Dice, focal |
//! | [`evaluate`], [`Score`] | accuracy, confusion, calibration |
//! | [`evaluate_pixels`], [`Confusion`] | of pixels: accuracies, intersections over unions |
//! | [`Cached`] | features computed once, for a head to learn from |
//! | [`precise_norms`] | norms' statistics, of weights that have come to rest |
//! | [`chart`] | curves and confusion as SVG |
//!
//! # Invariants
//! The same network, pictures, recipe and seed give the same bits, whatever the number of threads, and however often the
//! run was interrupted: everything random is a function of the seed and of what it is for, never of the order in which
//! threads came to it. Nothing is printed: progress goes to the caller's closure. No architecture is known here; recipes
//! name them as data.

mod average;
mod cached;
pub mod chart;
mod checkpoint;
mod clock;
mod error;
mod evaluate;
mod folder;
mod gradients;
mod groups;
pub mod loss;
mod norms;
pub mod optim;
mod pixel_loss;
mod pixels;
mod progress;
mod recipe;
mod schedule;
mod source;
mod sum;
mod trainer;
mod values;

pub use cached::Cached;
pub use checkpoint::{Epoch, Standing, take_up};
pub use error::{Error, Result};
pub use evaluate::{Score, Scorer, evaluate};
pub use folder::{RunFolder, save};
pub use groups::{class_layers, frozen, head, units};
pub use norms::precise_norms;
pub use pixel_loss::PixelLoss;
pub use pixels::{Confusion, PixelScore, evaluate_pixels, likeliest};
pub use progress::Progress;
pub use recipe::{Checkpointing, Recipe, Scale};
pub use schedule::{Curve, Schedule};
pub use source::{Batches, Source};
pub use trainer::{Ending, Stage, Trainer, stage_seed};
pub use zoo_data::{Batch, Place};
