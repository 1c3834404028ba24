//! What can go wrong when a network is compiled or run. Every message names the node.

use zoo_base::size::bytes;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a network could not be compiled or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan could not be made: a size that the network can't take, for example.
    #[error(transparent)]
    Plan(#[from] zoo_layers::Error),
    /// A source of weights that can't give a tensor.
    #[error("`{node}`: its weights `{name}` can't be had: {reason}; give all weights of this network")]
    Weights {
        /// The node.
        node: String,
        /// The parameter.
        name: String,
        /// What the source says.
        reason: String,
    },
    /// A tensor of another size than the graph's parameter.
    #[error(
        "`{node}`: its weights `{name}`, rows {rows:?}, have {got} values where {want:?} are wanted; give those of this network"
    )]
    Length {
        /// The node.
        node: String,
        /// The parameter.
        name: String,
        /// Which of its rows were asked for.
        rows: std::ops::Range<usize>,
        /// Values given.
        got: usize,
        /// The shape of those rows.
        want: Vec<usize>,
    },
    /// Weights that are no numbers.
    #[error(
        "`{node}`: {count} of the {of} values in rows {rows:?} of its weights `{name}` are no finite numbers; the file is \
         damaged, or its training failed"
    )]
    NotFinite {
        /// The node.
        node: String,
        /// The parameter.
        name: String,
        /// The rows that were looked at.
        rows: std::ops::Range<usize>,
        /// How many values are none.
        count: usize,
        /// How many there are in them.
        of: usize,
    },
    /// A norm whose variances and epsilon have no square root.
    #[error(
        "`{node}`: the variance of channel {channel} is {variance}, and with the norm's epsilon of {eps} it has no square \
         root; the file is damaged, or its training failed"
    )]
    Variance {
        /// The norm.
        node: String,
        /// The channel.
        channel: usize,
        /// Its variance.
        variance: f32,
        /// What is added.
        eps: f64,
    },
    /// What a kernel refused.
    #[error("in `{node}`: {source}")]
    Kernel {
        /// The node.
        node: String,
        /// The cause.
        source: zoo_kernels::KernelError,
    },
    /// A layer without a kernel that failed, or gave another shape than it said.
    #[error("in `{node}`: {reason}")]
    Layer {
        /// The node.
        node: String,
        /// What it said.
        reason: String,
    },
    /// More memory than there is.
    #[error(
        "`{model}` at {input:?} needs {} for its pictures and what lies between its layers, the most of it \
         at `{node}`, and there are {}; give a smaller batch or picture", bytes(*needed), bytes(*available)
    )]
    Memory {
        /// The network.
        model: String,
        /// Batch, channels, height and width.
        input: [usize; 4],
        /// The largest node.
        node: String,
        /// What lies between the layers at most, in bytes.
        needed: u64,
        /// What the machine has, in bytes.
        available: u64,
    },
    /// An input of another size than was compiled for.
    #[error(
        "`{model}` was compiled for up to {pictures} pictures of {picture:?}, got {got} values for {asked}"
    )]
    Input {
        /// The network.
        model: String,
        /// The largest batch.
        pictures: usize,
        /// Channels, height and width.
        picture: [usize; 3],
        /// Values given.
        got: usize,
        /// Pictures said to be in them.
        asked: usize,
    },
}
