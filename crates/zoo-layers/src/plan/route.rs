//! What is to be computed, and what is asked of the way back.

use crate::{Error, Graph, Mode, Node, NodeSet, Op, Result};

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
    pub(crate) recompute: Recompute,
    pub(crate) in_half: bool,
}

/// What is computed again on the way back, where it isn't kept: gradient checkpointing (Chen et al. 2016, "Training deep
/// nets with sublinear memory cost").
///
/// Gradients are the same bits: the same kernels compute the same numbers, dropout draws the same masks, and running
/// statistics move once. On candle's tape, where the device or the type is not the kernels', everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Recompute {
    /// Nothing: all that the way back needs is kept.
    #[default]
    Nothing,
    /// Norms, activations, pools and other steps that cost little beside a convolution.
    Cheap,
    /// Whatever saves most memory for the time, each step once at most.
    All,
}

impl Route {
    /// From the values of `sources` to those of `targets`, without a way back.
    pub fn new(
        mode: Mode,
        sources: impl IntoIterator<Item = Node>,
        targets: impl IntoIterator<Item = Node>,
    ) -> Self {
        let (sources, targets) = (sources.into_iter().collect(), targets.into_iter().collect());
        Self {
            mode,
            sources,
            targets,
            learn: false,
            gradients_of: Vec::new(),
            recompute: Recompute::Nothing,
            in_half: false,
        }
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

    /// And computes on the way back again what isn't kept for it.
    ///
    /// ```
    /// use zoo_layers::{Conv2d, Graph, Plan, Recompute, Route, Shape};
    ///
    /// let graph = Graph::build("tower", Shape::map(8, 32, 32), |net, mut x| {
    ///     for unit in 0..12 {
    ///         x = net.conv_norm_act(x, Conv2d::k3(8), &format!("conv{unit}"), &format!("bn{unit}"))?;
    ///     }
    ///     net.output("map", x)
    /// })?;
    /// let plain = Plan::new(&graph, &Route::training(&graph))?;
    /// let spare = Plan::new(&graph, &Route::training(&graph).recomputing(Recompute::All))?;
    /// assert!(spare.taken(8) < plain.taken(8) / 2);
    /// assert!(plain.work_again() == 0 && spare.work_again() < spare.work());
    /// # Ok::<(), zoo_layers::Error>(())
    /// ```
    #[must_use]
    pub fn recomputing(mut self, what: Recompute) -> Self {
        self.recompute = what;
        self
    }

    /// And keeps for the way back bf16 copies, eight bits of each number's fraction: half the size. What is computed is
    /// computed as ever, but from rounded numbers on the way back.
    #[must_use]
    pub fn keeping_bf16(mut self) -> Self {
        self.in_half = true;
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

fn nothing_to_freeze(graph: &Graph, name: &str, what: &'static str) -> Error {
    Error::NothingToFreeze { graph: graph.name().into(), name: name.into(), what }
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
    /// [`crate::Error::UnknownNode`], [`crate::Error::NothingToFreeze`].
    pub fn params<S: AsRef<str>>(mut self, graph: &Graph, names: &[S]) -> Result<Self> {
        for name in names {
            let nodes = graph.scope(name.as_ref())?;
            if nodes.iter().all(|node| graph.get(*node).params.is_empty()) {
                return Err(nothing_to_freeze(graph, name.as_ref(), "parameters"));
            }
            self.params.extend(nodes);
        }
        Ok(self)
    }

    /// The batch norms of these names, or in these scopes, keep their running statistics and normalise by them in
    /// training too.
    ///
    /// # Errors
    /// [`crate::Error::UnknownNode`], [`crate::Error::NothingToFreeze`].
    pub fn statistics<S: AsRef<str>>(mut self, graph: &Graph, names: &[S]) -> Result<Self> {
        for name in names {
            let nodes = graph.scope(name.as_ref())?;
            if !nodes.iter().any(|node| matches!(graph.get(*node).op, Op::BatchNorm2d(_))) {
                return Err(nothing_to_freeze(graph, name.as_ref(), "batch norms"));
            }
            self.statistics.extend(nodes);
        }
        Ok(self)
    }

    /// Whether this node's parameters don't learn.
    pub fn has_params(&self, node: Node) -> bool {
        self.params.contains(node)
    }

    /// Whether this norm keeps its running statistics.
    pub fn has_statistics(&self, node: Node) -> bool {
        self.statistics.contains(node)
    }
}
