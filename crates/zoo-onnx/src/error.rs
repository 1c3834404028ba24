//! What can go wrong when a network is written. Every message names the node or the parameter.

use std::io;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be written as ONNX.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation that ONNX has no words for, and that brings none.
    #[error(
        "`{node}` ({op}) has no form in ONNX: implement `Operation::onnx` for it, or cut the network before it"
    )]
    NoForm {
        /// Full path of the node.
        node: String,
        /// Kind of operation.
        op: &'static str,
    },
    /// A form that names an input, parameter or result that there isn't.
    #[error("the ONNX form of `{node}` ({op}) {reason}; mend its `Operation::onnx`")]
    BadForm {
        /// Full path of the node.
        node: String,
        /// Kind of operation.
        op: &'static str,
        /// What is wrong, as the rest of the sentence.
        reason: String,
    },
    /// An operation that can only be written for pictures of one size.
    #[error("`{node}` ({op}) {reason}; give a size of pictures")]
    NeedsSize {
        /// Full path of the node.
        node: String,
        /// Kind of operation.
        op: &'static str,
        /// Why, as the rest of the sentence.
        reason: String,
    },
    /// A network that takes one size of pictures only, asked for with any.
    #[error(
        "`{graph}` can't take pictures of any size: {source}; give one size, or make its dense layers convolutions"
    )]
    FixedSize {
        /// Name of the graph.
        graph: String,
        /// The node that can't follow.
        source: zoo_layers::Error,
    },
    /// A number that can't be one: of a batch, a size, a window.
    #[error("{what} is {value}, which ONNX can't hold")]
    TooLarge {
        /// Of what.
        what: String,
        /// The number.
        value: usize,
    },
    /// A weight that is no number.
    #[error(
        "`{param}` holds {value} at place {place} of {of}; a network with such a weight answers nothing: mend the weights"
    )]
    NotFinite {
        /// Full name of the parameter.
        param: String,
        /// The value.
        value: f32,
        /// Where it is, row by row from 0.
        place: usize,
        /// How many values there are.
        of: usize,
    },
    /// A norm whose statistics can't be folded.
    #[error(
        "`{node}` can't be folded into the convolution before it: channel {channel} has a variance of {variance}, and with the \
         norm's epsilon of {eps} it has no square root; mend the weights"
    )]
    Unfoldable {
        /// Full path of the norm.
        node: String,
        /// Number of the channel.
        channel: usize,
        /// Its running variance.
        variance: f32,
        /// What is added to it.
        eps: f64,
    },
    /// A parameter that the weights don't have, or in another length.
    #[error("the weights give {got} values for `{param}`, which has {wanted}; give those of this network")]
    Missing {
        /// Full name of the parameter.
        param: String,
        /// How many values were given.
        got: usize,
        /// How many it has.
        wanted: usize,
    },
    /// Weights that can't be read.
    #[error("`{param}` can't be read: {source}")]
    Weights {
        /// Full name of the parameter.
        param: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Weights too large for one file, and no name for a second.
    #[error(
        "the file would take {bytes} bytes, and one of ONNX holds less than {limit}: its weights need a file of their own"
    )]
    NeedsSecondFile {
        /// What it would take.
        bytes: u64,
        /// What it may.
        limit: u64,
    },
    /// A network that can't be changed as asked.
    #[error(transparent)]
    Graph(#[from] zoo_layers::Error),
    /// What can't be written.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// For whoever writes in a function that tells of files only.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Write(inner) => inner,
            other => Self::other(other),
        }
    }
}
