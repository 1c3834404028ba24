//! What can go wrong when a graph is built, loaded or run. Every message names the node.

use crate::Shape;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a graph could not be built, loaded or run. Not exhaustive, since who reads an error tells it to a person, and a new
/// kind of fault breaks nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation's inputs or options do not fit each other.
    #[error("`{node}` ({op}): {reason}")]
    Misfit {
        /// Full path of the node.
        node: String,
        /// Kind of operation.
        op: &'static str,
        /// Both values, and what would fit.
        reason: String,
    },
    /// At another input size, a node would need other parameters than it has.
    #[error(
        "`{node}` ({op}) has a parameter `{param}` of shape {has:?}, but an input of {input} would need \
         {needs:?}; this network takes {nominal}"
    )]
    FixedSize {
        /// Full path of the node.
        node: String,
        /// Kind of operation.
        op: &'static str,
        /// The parameter that cannot follow.
        param: String,
        /// Its shape.
        has: Vec<usize>,
        /// The shape it would need.
        needs: Vec<usize>,
        /// The input asked for.
        input: Shape,
        /// The input the network is described for.
        nominal: Shape,
    },
    /// Two nodes or two outputs have the same name.
    #[error("the name `{name}` is given twice in `{graph}`; names must be unique")]
    Duplicate {
        /// Name of the graph.
        graph: String,
        /// The repeated name.
        name: String,
    },
    /// A name that no node, scope or output has.
    #[error("`{graph}` has no node, scope or output named `{name}`{hint}")]
    UnknownNode {
        /// Name of the graph.
        graph: String,
        /// The name asked for.
        name: String,
        /// The nearest names, as a sentence, or nothing.
        hint: String,
    },
    /// Targets that the given values don't determine.
    #[error(
        "`{targets}` of `{graph}` can't be computed from {sources}: it needs `{missing}` too; give its value as \
         well, or start before"
    )]
    Unreached {
        /// Name of the graph.
        graph: String,
        /// What was to be computed.
        targets: String,
        /// What was given, in words.
        sources: String,
        /// What else is needed.
        missing: String,
    },
    /// A gradient of something that the results don't depend on.
    #[error(
        "no target depends on `{node}` of `{graph}` behind the sources, so it has no gradient; name a node between them"
    )]
    OffRoute {
        /// Name of the graph.
        graph: String,
        /// The node.
        node: String,
    },
    /// A value given for a node has the wrong shape.
    #[error(
        "`{node}` of `{graph}` is {expected} for each picture of a batch, got {got:?}; all values need one batch"
    )]
    Given {
        /// Name of the graph.
        graph: String,
        /// The node.
        node: String,
        /// What would fit.
        expected: String,
        /// The shape given.
        got: Vec<usize>,
    },
    /// Another number of values than the route has sources.
    #[error(
        "a route of `{graph}` with {expected} sources was given {got} values; give one for each, in its order"
    )]
    Sources {
        /// Name of the graph.
        graph: String,
        /// How many sources there are.
        expected: usize,
        /// How many values were given.
        got: usize,
    },
    /// A layer computed something else than its shape rule says.
    #[error(
        "`{node}` ({op}) gave {got:?}, but its shape rule says {expected:?}; make `Operation::output` and \
         `Operation::forward` agree"
    )]
    WrongShape {
        /// Full path of the node.
        node: String,
        /// Kind of operation.
        op: &'static str,
        /// What it gave.
        got: Vec<usize>,
        /// What it should have given.
        expected: Vec<usize>,
    },
    /// A route to nowhere.
    #[error("nothing of `{graph}` is to be computed; name at least one node as a target")]
    NoTarget {
        /// Name of the graph.
        graph: String,
    },
    /// A node's value that is given twice.
    #[error("the value of `{node}` of `{graph}` is given twice; give it once")]
    GivenTwice {
        /// Name of the graph.
        graph: String,
        /// The node.
        node: String,
    },
    /// Values of different batches, or of none.
    #[error(
        "the value given for `{node}` of `{graph}` is of {got} pictures, and the first of {first}; give at least one \
         picture, and as many everywhere"
    )]
    Batches {
        /// Name of the graph.
        graph: String,
        /// The node.
        node: String,
        /// Pictures in its value.
        got: usize,
        /// Pictures in the first value.
        first: usize,
    },
    /// Something frozen that holds nothing that could be.
    #[error("`{name}` of `{graph}` has no {what} that could be frozen; name a layer or a scope with some")]
    NothingToFreeze {
        /// Name of the graph.
        graph: String,
        /// What was named.
        name: String,
        /// `parameters` or `batch norms`.
        what: &'static str,
    },
    /// The graph has no output.
    #[error("`{graph}` has no output; end its description with `net.output(\"logits\", node)`")]
    NoOutput {
        /// Name of the graph.
        graph: String,
    },
    /// The tensor given to a network has the wrong shape.
    #[error("`{graph}` takes pictures of shape (n, {expected}), got {got:?}")]
    Input {
        /// Name of the graph.
        graph: String,
        /// Expected dimensions behind the batch, as text.
        expected: String,
        /// The shape given.
        got: Vec<usize>,
    },
    /// Tensors that do not fit the graph's parameters.
    #[error("the weights do not fit `{graph}`: {report}")]
    Weights {
        /// Name of the graph.
        graph: String,
        /// What is missing, unexpected or misshapen, by name.
        report: String,
    },
    /// An error of candle's, in the node that met it.
    #[error("in `{node}`: {source}")]
    Run {
        /// Full path of the node.
        node: String,
        /// The cause.
        source: candle_core::Error,
    },
    /// An error of candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// candle's traits want candle's error: the message is kept whole.
impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(inner) => inner,
            other => candle_core::Error::msg(other.to_string()),
        }
    }
}
