//! What can go wrong in training, each in a sentence that names the thing, both values and the way out.

use std::path::PathBuf;

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

    /// A file that is no recipe.
    #[error("{name} is no recipe: {source}")]
    Toml {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        source: Box<toml::de::Error>,
    },

    /// A recipe that can't be written down.
    #[error("the recipe can't be written as TOML: {source}; tell the zoo's authors")]
    Written {
        /// What is wrong with it.
        source: toml::ser::Error,
    },

    /// No picture to learn from.
    #[error("there are no pictures to learn from; at least a batch is needed")]
    NoPictures,

    /// Pictures of which an epoch gave nothing to learn from.
    #[error(
        "{stage}: not one picture of an epoch could be learned from{}",
        first.as_ref().map_or_else(|| ": no pixel of theirs counts; label more than what is ignored".into(), |why| format!(", check that the files are pictures; the first: {why}"))
    )]
    EmptyEpoch {
        /// The stage.
        stage: String,
        /// What was wrong with the first of them, if it could not be read.
        first: Option<String>,
    },

    /// A validation part of which nothing could be judged, so that no epoch is better than another.
    #[error(
        "not one picture of the validation part could be judged{}",
        first.as_ref().map_or_else(|| ": no pixel of theirs counts; label more than what is ignored".into(), |why| format!(", check that the files are pictures; the first: {why}"))
    )]
    NothingToJudge {
        /// What was wrong with the first of them, if it could not be read.
        first: Option<String>,
    },

    /// What a [`Source`](crate::Source) gives instead of a batch when whoever waits for the pictures no longer wants them.
    #[error("ended before all pictures were seen")]
    Ended,

    /// Batches of one picture, of which a norm would make nothing but zeros and noise.
    #[error(
        "a batch of one picture has no statistics for the norm `{norm}`: take a batch of at least 2, or keep the norms as \
         they are with `frozen_norms = true` in the recipe"
    )]
    BatchOfOne {
        /// The first norm that would take them.
        norm: String,
    },

    /// A label that is none of the network's classes.
    #[error("label {label} is none of the network's {classes} classes")]
    Label {
        /// The label.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },

    /// Answers for another number of pixels than are labelled.
    #[error("{labels} labelled pixels for {answers} answers; take the picture's own mask, of its size")]
    Pixels {
        /// Labelled pixels.
        labels: usize,
        /// Answers.
        answers: usize,
    },

    /// More classes than a mask's bytes can tell apart.
    #[error("{classes} classes are more than a mask tells apart, at most 255; train it for fewer")]
    TooManyClasses {
        /// How many there are.
        classes: usize,
    },

    /// Pictures without masks where pixels are to be learned.
    #[error("the pictures have no masks; give data in which each has one")]
    NoMasks,

    /// A source that gives fewer batches than it says.
    #[error("the pictures of `{stage}` ended before its epochs did")]
    Short {
        /// The stage.
        stage: String,
    },

    /// Nothing in the network can learn.
    #[error(
        "`{graph}` has no parameter that can be trained; build it with fresh or loaded weights as variables"
    )]
    NothingToTrain {
        /// The network.
        graph: String,
    },

    /// The loss left the numbers.
    #[error(
        "the loss is {loss} at epoch {epoch}, step {step}, with a learning rate of {rate}: training diverged ({cause}); \
         lower the learning rate (to a third, say) or warm it up for longer{}",
        kept.as_ref().map_or_else(String::new, |path| format!(". The last state that was all numbers is in {}", path.display()))
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
        /// Where numbers stopped being some.
        cause: String,
        /// The last checkpoint.
        kept: Option<PathBuf>,
    },

    /// A folder for a run that can't be used.
    #[error("the run's folder {}: {source}; {}", folder.display(), zoo_weights::way_out(source))]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },

    /// A folder in which another run is.
    #[error("{} holds a run; take it up again, or name another folder", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },

    /// A folder in which a run is that didn't come to its end.
    #[error("{} holds a run that isn't finished; take it up again, or name another place", folder.display())]
    Unfinished {
        /// The folder.
        folder: PathBuf,
    },

    /// A folder in which no run is.
    #[error("{} holds no run that could be taken up again: it has no run.json; name the folder of a run", folder.display())]
    NoRun {
        /// The folder.
        folder: PathBuf,
    },

    /// A run that is still at work.
    #[error("the run in {} is still at work; wait for its end, stop it, or name another folder", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },

    /// A checkpoint that can't be gone on from.
    #[error("{} can't be gone on from: {why}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },

    /// The state of an optimizer that belongs to another network.
    #[error("the optimizer's state doesn't fit the network: {reason}")]
    State {
        /// Which tensor, and what is wrong with it.
        reason: String,
    },

    /// The data's.
    #[error(transparent)]
    Data(#[from] zoo_data::Error),

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
