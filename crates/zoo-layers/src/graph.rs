//! A network as a value: nodes in execution order, each with its operation, inputs, output shape, parameters
//! and cost. It holds no weights and allocates nothing worth naming.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::{
    Error, Init, Mode, NodeSet, Op, Result, Role, Scope, Shape,
    ops::{Input, ParamSpec},
};

/// A node's place in its graph's execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub(crate) usize);

impl Node {
    /// The place, from 0, which is the input.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A parameter under its full name.
#[derive(Clone, Debug)]
pub struct Param {
    /// Full name, as in the published checkpoint: `layer1.0.conv1.weight`.
    pub name: String,
    /// Dimensions, outputs first.
    pub shape: Vec<usize>,
    /// Learned or kept.
    pub role: Role,
    /// How a fresh one is drawn.
    pub init: Init,
}

impl Param {
    /// How many numbers it holds.
    pub fn elements(&self) -> usize {
        self.shape.iter().fold(1, |count, side| count.saturating_mul(*side))
    }
}

/// One node with all that is known of it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Full path: `layer1.0.conv1`.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<Node>,
    /// What it yields for one picture.
    pub output: Shape,
    /// Its parameters, in the operation's order.
    pub params: Vec<Param>,
    /// Multiply-accumulates for one picture.
    pub macs: u64,
}

impl Layer {
    /// Numbers held by its parameters of one role.
    pub fn elements(&self, role: Role) -> usize {
        self.params
            .iter()
            .filter(|param| param.role == role)
            .map(Param::elements)
            .fold(0, usize::saturating_add)
    }
}

/// When an output is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// In training only: an auxiliary head's.
    Training,
}

/// A named result of the network.
#[derive(Clone, Debug)]
pub struct Output {
    /// `logits`, `aux1`, …
    pub name: String,
    /// The node that yields it.
    pub node: Node,
    /// Always, or in training only.
    pub when: When,
}

/// Whether a node's or parameter's name is `scope`, or lies in it: `layer4.0.conv1` in `layer4`.
pub fn is_within(name: &str, scope: &str) -> bool {
    name.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A network described, checked and ready to be read, loaded or run.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) name: String,
    pub(crate) layers: Vec<Layer>,
    pub(crate) outputs: Vec<Output>,
}

impl Graph {
    /// Describes a network: `describe` is given the scope of the whole network and the picture's node, and names
    /// at least one output.
    ///
    /// ```
    /// use zoo_layers::{Conv2d, Graph, Linear, Shape};
    ///
    /// let graph = Graph::build("tiny", Shape::map(3, 32, 32), |net, picture| {
    ///     let x = net.conv_norm_act(picture, Conv2d::k3(8).stride(2), "conv1", "bn1")?; // (n, 8, 16, 16)
    ///     let x = net.global_avg_pool(x)?;                                              // (n, 8)
    ///     let logits = net.linear(x, Linear::new(10), "fc")?;                           // (n, 10)
    ///     net.output("logits", logits)
    /// })?;
    /// assert_eq!(graph.layer("conv1")?.output, Shape::map(8, 16, 16));
    /// # Ok::<(), zoo_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever does not fit, named by its node; a name given twice; no output.
    pub fn build(
        name: impl Into<String>,
        input: Shape,
        describe: impl FnOnce(&mut Scope<'_>, Node) -> Result<()>,
    ) -> Result<Self> {
        let mut builder = Builder::new(name.into());
        let picture = builder.push("input".into(), Op::Input(Input { shape: input }), Vec::new())?;
        describe(&mut Scope::root(&mut builder), picture)?;
        builder.finish()
    }

    /// The network's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nominal picture.
    pub fn input(&self) -> Shape {
        self.layers[0].output
    }

    /// All nodes in execution order, the input first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// All nodes with their handles, in execution order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (Node, &Layer)> + ExactSizeIterator {
        self.layers.iter().enumerate().map(|(index, layer)| (Node(index), layer))
    }

    /// What a node is. The handle must be this graph's own.
    pub fn get(&self, node: Node) -> &Layer {
        &self.layers[node.0]
    }

    /// The named results, the main one first.
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// The main result.
    pub fn main_output(&self) -> &Output {
        &self.outputs[0]
    }

    /// All parameters, in execution order.
    pub fn params(&self) -> impl Iterator<Item = &Param> {
        self.layers.iter().flat_map(|layer| &layer.params)
    }

    /// The layer of that very name.
    ///
    /// # Errors
    /// [`Error::UnknownNode`] with the nearest names.
    pub fn layer(&self, name: &str) -> Result<&Layer> {
        self.layers.iter().find(|layer| layer.name == name).ok_or_else(|| self.unknown(name))
    }

    /// The node a name stands for: a node's own name, an output, or a scope (its last node: `layer4`).
    ///
    /// # Errors
    /// [`Error::UnknownNode`] with the nearest names.
    pub fn find(&self, name: &str) -> Result<Node> {
        if let Some(index) = self.layers.iter().position(|layer| layer.name == name) {
            return Ok(Node(index));
        }
        if let Some(output) = self.outputs.iter().find(|output| output.name == name) {
            return Ok(output.node);
        }
        self.layers
            .iter()
            .rposition(|layer| is_within(&layer.name, name))
            .map(Node)
            .ok_or_else(|| self.unknown(name))
    }

    /// The nodes of that very name, or those of a scope: all of `layer4`.
    ///
    /// # Errors
    /// [`Error::UnknownNode`] with the nearest names.
    pub fn scope(&self, name: &str) -> Result<Vec<Node>> {
        let within = self.nodes().filter(|(_, layer)| is_within(&layer.name, name));
        let nodes: Vec<Node> = within.map(|(node, _)| node).collect();
        match (nodes.is_empty(), self.outputs.iter().find(|output| output.name == name)) {
            (false, _) => Ok(nodes),
            (true, Some(output)) => Ok(vec![output.node]),
            (true, None) => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> Error {
        let scopes = self.layers.iter().flat_map(|layer| {
            layer.name.match_indices('.').map(|(end, _)| &layer.name[..end]).chain([layer.name.as_str()])
        });
        let names: BTreeSet<&str> =
            scopes.chain(self.outputs.iter().map(|output| output.name.as_str())).collect();
        let hint = crate::nearest(name, names);
        Error::UnknownNode { graph: self.name.clone(), name: name.into(), hint }
    }

    /// The classifier's input: what [`Graph::main_output`]'s last parameterised layer reads.
    pub fn features(&self) -> Node {
        let needed = self.ancestors([self.main_output().node]);
        let last = self.nodes().rev().find(|(node, layer)| {
            needed.contains(*node) && !layer.params.is_empty() && !layer.inputs.is_empty()
        });
        last.map_or(self.main_output().node, |(_, layer)| layer.inputs[0])
    }

    /// The nodes that `targets` need, themselves included.
    pub fn ancestors(&self, targets: impl IntoIterator<Item = Node>) -> NodeSet {
        let mut needed = NodeSet::none(self.layers.len());
        needed.extend(targets);
        for (node, layer) in self.nodes().rev() {
            if needed.contains(node) {
                needed.extend(layer.inputs.iter().copied());
            }
        }
        needed
    }

    /// The nodes that run in `mode`: all that its outputs need.
    pub fn active(&self, mode: Mode) -> NodeSet {
        self.ancestors(self.outputs_in(mode).map(|output| output.node))
    }

    /// The outputs that are computed in `mode`.
    pub fn outputs_in(&self, mode: Mode) -> impl Iterator<Item = &Output> {
        self.outputs.iter().filter(move |output| mode == Mode::Train || output.when == When::Always)
    }

    /// The same network with operations exchanged: `exchange` gives each layer's new one. Names and inputs stay;
    /// shapes, parameters and costs are inferred again.
    ///
    /// # Errors
    /// What does not fit any more, by node.
    pub fn with_ops(&self, mut exchange: impl FnMut(Node, &Layer) -> Op) -> Result<Self> {
        let mut builder = Builder::new(self.name.clone());
        for (node, layer) in self.nodes() {
            builder.push(layer.name.clone(), exchange(node, layer), layer.inputs.clone())?;
        }
        builder.outputs = self.outputs.clone();
        builder.finish()
    }

    /// The part of the network that the named nodes, scopes or outputs need, which become its outputs under the
    /// names as given.
    ///
    /// # Errors
    /// [`Error::UnknownNode`]; [`Error::NoOutput`] if `names` is empty.
    pub fn cut<S: AsRef<str>>(&self, names: &[S]) -> Result<Self> {
        let targets = names.iter().map(|name| self.find(name.as_ref())).collect::<Result<Vec<_>>>()?;
        let needed = self.ancestors(targets.iter().copied().chain([Node(0)]));
        let mut moved = HashMap::new();
        let mut builder = Builder::new(self.name.clone());
        for (node, layer) in self.nodes().filter(|(node, _)| needed.contains(*node)) {
            moved.insert(node, Node(builder.layers.len()));
            let inputs = layer.inputs.iter().map(|input| moved[input]).collect();
            builder.layers.push(Layer { inputs, ..layer.clone() });
        }
        for (name, target) in names.iter().zip(targets) {
            builder.output(name.as_ref(), moved[&target], When::Always)?;
        }
        builder.finish()
    }
}

/// The most values of one output or parameter: 64 GiB in f32. Below it, sizes in bytes and counts of whole networks
/// are far from overflowing.
const MOST_VALUES: usize = 1 << 34;

/// A graph in the making.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) name: String,
    pub(crate) layers: Vec<Layer>,
    pub(crate) outputs: Vec<Output>,
    names: HashSet<String>,
}

impl Builder {
    pub(crate) fn new(name: String) -> Self {
        Self { name, layers: Vec::new(), outputs: Vec::new(), names: HashSet::new() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds a node, checks it against its inputs and infers its shape and parameters.
    pub(crate) fn push(&mut self, name: String, op: Op, inputs: Vec<Node>) -> Result<Node> {
        if !self.names.insert(name.clone()) {
            return Err(Error::Duplicate { graph: self.name.clone(), name });
        }
        let operation = op.operation();
        if inputs.is_empty() && !self.layers.is_empty() {
            let reason = "it reads nothing; give it at least one input".into();
            return Err(Error::Misfit { node: name, op: operation.kind(), reason });
        }
        let shapes: Vec<Shape> = inputs.iter().map(|node| self.layers[node.0].output).collect();
        let misfit = |reason| Error::Misfit { node: name.clone(), op: operation.kind(), reason };
        let output = operation.output(&shapes).map_err(misfit)?;
        if output.elements() > MOST_VALUES {
            return Err(misfit(format!(
                "its output of {output} is larger than any memory; give a smaller picture or fewer classes"
            )));
        }
        let full = |spec: ParamSpec| Param {
            name: format!("{name}.{}", spec.name),
            shape: spec.shape,
            role: spec.role,
            init: spec.init,
        };
        let params: Vec<Param> = operation.params(&shapes).into_iter().map(full).collect();
        if let Some(Param { name, shape, .. }) = params.iter().find(|param| param.elements() > MOST_VALUES) {
            return Err(misfit(format!("its parameter `{name}` of {shape:?} is larger than any memory")));
        }
        let macs = operation.macs(&shapes, &output);
        self.layers.push(Layer { name, op, inputs, output, params, macs });
        Ok(Node(self.layers.len() - 1))
    }

    pub(crate) fn output(&mut self, name: &str, node: Node, when: When) -> Result<()> {
        if self.outputs.iter().any(|output| output.name == name) {
            return Err(Error::Duplicate { graph: self.name.clone(), name: name.into() });
        }
        self.outputs.push(Output { name: name.into(), node, when });
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Graph> {
        match self.outputs.is_empty() {
            true => Err(Error::NoOutput { graph: self.name }),
            false => Ok(Graph { name: self.name, layers: self.layers, outputs: self.outputs }),
        }
    }
}
