//! What is to be computed, and what is asked of the way back.

use crate::{Graph, Mode, Node, NodeSet, Result};

/// From which nodes' values to which, learning or answering, and of what there are to be gradients.
///
/// ```
/// use zoo_layers::{Conv2d, Graph, Linear, Mode, Plan, Route, Shape};
///
/// let graph = Graph::build("tiny", Shape::map(3, 32, 32), |net, picture| {
///     let x = net.conv_norm_act(picture, Conv2d::k3(8).stride(2), "conv1", "bn1")?;
///     let x = net.global_avg_pool(x)?;
///     let logits = net.linear(x, Linear::new(10), "fc")?;
///     net.output("logits", logits)
/// })?;
/// let map = graph.find("relu")?;
/// let route = Route::new(Mode::Eval, [map], [graph.find("logits")?]).with_gradients_of([map]);
/// let plan = Plan::new(&graph, &route)?;
/// assert_eq!(plan.steps().len(), 3); // the pool, its reading as a vector, the classifier
/// # Ok::<(), zoo_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    pub(crate) mode: Mode,
    pub(crate) sources: Vec<Node>,
    pub(crate) targets: Vec<Node>,
    pub(crate) learn: bool,
    pub(crate) gradients_of: Vec<Node>,
}

impl Route {
    /// From the values of `sources` to those of `targets`, without a way back.
    pub fn new(
        mode: Mode,
        sources: impl IntoIterator<Item = Node>,
        targets: impl IntoIterator<Item = Node>,
    ) -> Self {
        let (sources, targets) = (sources.into_iter().collect(), targets.into_iter().collect());
        Self { mode, sources, targets, learn: false, gradients_of: Vec::new() }
    }

    /// From the picture to all outputs that `mode` computes, without a way back.
    pub fn outputs(graph: &Graph, mode: Mode) -> Self {
        Self::new(mode, [Graph::PICTURE], graph.outputs_in(mode).map(|output| output.node))
    }

    /// From the picture to all outputs in training, and back to every learned parameter.
    pub fn training(graph: &Graph) -> Self {
        Self::outputs(graph, Mode::Train).with_gradients()
    }

    /// And back to the learned parameters.
    #[must_use]
    pub fn with_gradients(mut self) -> Self {
        self.learn = true;
        self
    }

    /// And back to these nodes, sources among them.
    #[must_use]
    pub fn with_gradients_of(mut self, nodes: impl IntoIterator<Item = Node>) -> Self {
        self.gradients_of.extend(nodes);
        self
    }

    /// Whether there is a way back.
    pub fn has_way_back(&self) -> bool {
        self.learn || !self.gradients_of.is_empty()
    }

    /// Learning or answering.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The nodes whose values are given.
    pub fn sources(&self) -> &[Node] {
        &self.sources
    }

    /// The nodes whose values are computed.
    pub fn targets(&self) -> &[Node] {
        &self.targets
    }
}

/// What does not learn although the rest does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    pub(crate) params: NodeSet,
    pub(crate) statistics: NodeSet,
}

impl Frozen {
    /// Nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The parameters of these layers, or of all layers in these scopes, get no gradient.
    ///
    /// # Errors
    /// [`crate::Error::UnknownNode`].
    pub fn params<S: AsRef<str>>(mut self, graph: &Graph, names: &[S]) -> Result<Self> {
        for name in names {
            self.params.extend(graph.scope(name.as_ref())?);
        }
        Ok(self)
    }

    /// The batch norms of these names, or in these scopes, keep their running statistics and normalise by them in
    /// training too.
    ///
    /// # Errors
    /// [`crate::Error::UnknownNode`].
    pub fn statistics<S: AsRef<str>>(mut self, graph: &Graph, names: &[S]) -> Result<Self> {
        for name in names {
            self.statistics.extend(graph.scope(name.as_ref())?);
        }
        Ok(self)
    }
}
