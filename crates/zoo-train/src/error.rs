//! What can go wrong in training, each in a sentence that names the thing, both values and the way out.

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be trained, saved or read about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A recipe that can't be followed.
    #[error("the recipe's {field} is {value}; it must be {allowed}")]
    Recipe {
        /// Which of its fields.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },

    /// No digit to learn from, or none to be tested on.
    #[error("there are no digits to {purpose}; at least 1 is needed")]
    NoDigits {
        /// `train on` or `test on`.
        purpose: &'static str,
    },

    /// Digits that don't fit the network's input.
    #[error(
        "`{graph}` takes an input of {takes}, and digits of {height}x{width} pixels can't be padded evenly to \
         that; train a network of one channel and of the digits' size or an even number of pixels more"
    )]
    Size {
        /// The network.
        graph: String,
        /// Its input.
        takes: String,
        /// The digits' height.
        height: usize,
        /// The digits' width.
        width: usize,
    },

    /// A picture of another size than the network was prepared for.
    #[error("a picture has {got} pixels, but the network takes {height}x{width}; resize it first")]
    Pixels {
        /// Its pixels.
        got: usize,
        /// The height wanted.
        height: usize,
        /// The width wanted.
        width: usize,
    },

    /// A network whose output isn't one number for each digit.
    #[error("`{graph}` gives {gives}, but digits need {classes} outputs, one for each class")]
    Classes {
        /// The network.
        graph: String,
        /// Its output.
        gives: String,
        /// How many classes there are.
        classes: usize,
    },

    /// Nothing in the network can learn.
    #[error("`{graph}` has no parameter that can be trained; build it with fresh or loaded weights as variables")]
    NothingToTrain {
        /// The network.
        graph: String,
    },

    /// The loss left the numbers.
    #[error(
        "the loss is {loss} at epoch {epoch}, step {step}, with a learning rate of {rate}: training diverged; \
         lower the learning rate (to a third, say) or warm it up for longer"
    )]
    Diverged {
        /// NaN or infinity.
        loss: f64,
        /// From 1.
        epoch: usize,
        /// Within the epoch, from 1.
        step: usize,
        /// The learning rate of that step.
        rate: f64,
    },

    /// A file of weights whose record can't be read.
    #[error("the file's `{key}` metadata can't be read ({source}); it was not written by this program")]
    Record {
        /// The metadata's key.
        key: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },

    /// The state of an optimizer that belongs to another network.
    #[error("the optimizer's state doesn't fit the network: {reason}")]
    State {
        /// Which tensor, and what is wrong with it.
        reason: String,
    },

    /// The network's.
    #[error(transparent)]
    Layers(#[from] zoo_layers::Error),

    /// The file's.
    #[error(transparent)]
    Weights(#[from] zoo_weights::Error),

    /// candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
