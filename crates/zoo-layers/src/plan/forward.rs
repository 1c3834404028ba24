//! The way forward: which nodes run, which as one, and what each reads.

use super::{Buffer, Frozen, How, Place, Plan, Route, Sizes, Source, Step, Value, ValueId};
use crate::{BatchNorm2d, Error, Graph, Layer, Mode, Node, NodeSet, Op, Result, Shape, kernel::Following};

/// The multiply-accumulates that a core does while it moves one number between memory and itself: some fifty thousand
/// million a second beside twenty gigabytes.
pub(super) const MOVE: u64 = 10;

/// The plan's way forward, without lifetimes.
pub(super) fn plan(
    graph: &Graph,
    route: &Route,
    frozen: &Frozen,
    shapes: &[Shape],
    taped: bool,
) -> Result<Plan> {
    let active = active(graph, route)?;
    let shapes = inferred(graph, route, &active, shapes)?;
    let mut planner = Planner::new(graph, route, frozen, active, shapes, taped);
    planner.sources();
    for index in 0..graph.layers.len() {
        if planner.active.contains(Node(index)) && planner.value_of[index].is_none() && !planner.inside[index]
        {
            planner.step(Node(index));
        }
    }
    Ok(planner.finish())
}

/// The nodes that the targets need, the sources included.
fn active(graph: &Graph, route: &Route) -> Result<NodeSet> {
    let mut active = NodeSet::none(graph.layers.len());
    for node in route.sources.iter().chain(&route.targets).chain(&route.gradients_of) {
        graph.known(*node)?;
    }
    if route.targets.is_empty() {
        return Err(Error::NoTarget { graph: graph.name.clone() });
    }
    let is_again = |place: usize| route.sources[..place].contains(&route.sources[place]);
    if let Some(place) = (0..route.sources.len()).find(|place| is_again(*place)) {
        let node = graph.get(route.sources[place]).name.clone();
        return Err(Error::GivenTwice { graph: graph.name.clone(), node });
    }
    active.extend(route.targets.iter().copied());
    for index in (0..graph.layers.len()).rev() {
        let node = Node(index);
        if !active.contains(node) || route.sources.contains(&node) {
            continue;
        }
        let layer = graph.get(node);
        if layer.inputs.is_empty() {
            let name = |node: &Node| graph.get(*node).name.clone();
            return Err(Error::Unreached {
                graph: graph.name.clone(),
                targets: route.targets.iter().map(name).collect::<Vec<_>>().join("`, `"),
                sources: match route.sources.is_empty() {
                    true => "nothing".into(),
                    false => {
                        format!("`{}` alone", route.sources.iter().map(name).collect::<Vec<_>>().join("`, `"))
                    }
                },
                missing: layer.name.clone(),
            });
        }
        active.extend(layer.inputs.iter().copied());
    }
    match route.gradients_of.iter().find(|node| !active.contains(**node)) {
        None => Ok(active),
        Some(node) => Err(Error::OffRoute { graph: graph.name.clone(), node: graph.get(*node).name.clone() }),
    }
}

/// Every active node's shape for sources of these.
fn inferred(graph: &Graph, route: &Route, active: &NodeSet, given: &[Shape]) -> Result<Vec<Shape>> {
    if given.len() != route.sources.len() {
        let (expected, got) = (route.sources.len(), given.len());
        return Err(Error::Sources { graph: graph.name.clone(), expected, got });
    }
    let mut shapes: Vec<Shape> = graph.layers.iter().map(|layer| layer.output).collect();
    let nominal = route.sources.iter().zip(given).all(|(node, shape)| shapes[node.0] == *shape);
    if nominal {
        return Ok(shapes);
    }
    for (node, shape) in route.sources.iter().zip(given) {
        shapes[node.0] = *shape;
    }
    for node in active.iter().filter(|node| !route.sources.contains(node)) {
        let layer = graph.get(node);
        let inputs: Vec<Shape> = layer.inputs.iter().map(|input| shapes[input.0]).collect();
        let operation = layer.op.operation();
        let misfit = |reason| Error::Misfit { node: layer.name.clone(), op: operation.kind(), reason };
        shapes[node.0] = operation.output(&inputs).map_err(misfit)?;
        let needed = operation.params(&inputs);
        if let Some((param, needed)) =
            layer.params.iter().zip(&needed).find(|(param, needed)| param.shape != needed.shape)
        {
            return Err(Error::FixedSize {
                node: layer.name.clone(),
                op: operation.kind(),
                param: param.name.clone(),
                has: param.shape.clone(),
                needs: needed.shape.clone(),
                input: given.first().copied().unwrap_or_else(|| graph.input()),
                nominal: graph.get(route.sources.first().copied().unwrap_or(Graph::PICTURE)).output,
            });
        }
    }
    Ok(shapes)
}

/// Who reads a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    Nobody,
    One(Node),
    Several,
}

struct Planner<'g> {
    graph: &'g Graph,
    route: &'g Route,
    frozen: &'g Frozen,
    taped: bool,
    active: NodeSet,
    shapes: Vec<Shape>,
    readers: Vec<Reader>,
    /// Nodes whose value somebody outside wants, so that it can't vanish inside of a step.
    wanted: NodeSet,
    /// Nodes that ran inside of a step.
    inside: Vec<bool>,
    value_of: Vec<Option<ValueId>>,
    /// For each buffer, how often its values will be read yet; a target is read once more.
    unread: Vec<usize>,
    reads: Vec<usize>,
    plan: Plan,
}

/// A step in the making: its operation and those that follow.
struct Chain<'g> {
    nodes: Vec<Node>,
    norm: Option<(Node, &'g BatchNorm2d)>,
    addend: Option<ValueId>,
    following: Following<'g>,
}

impl<'g> Planner<'g> {
    fn new(
        graph: &'g Graph,
        route: &'g Route,
        frozen: &'g Frozen,
        active: NodeSet,
        shapes: Vec<Shape>,
        taped: bool,
    ) -> Self {
        let nodes = graph.layers.len();
        let mut readers = vec![Reader::Nobody; nodes];
        let mut reads = vec![0; nodes];
        for node in active.iter().filter(|node| !route.sources.contains(node)) {
            for input in &graph.get(node).inputs {
                reads[input.0] += 1;
                readers[input.0] = match readers[input.0] {
                    Reader::Nobody => Reader::One(node),
                    Reader::One(_) | Reader::Several => Reader::Several,
                };
            }
        }
        let mut wanted = NodeSet::none(nodes);
        for node in route.targets.iter().chain(&route.gradients_of) {
            wanted.insert(*node);
            reads[node.0] += 1;
        }
        let plan = Plan {
            route: route.clone(),
            steps: Vec::with_capacity(nodes),
            back: Vec::new(),
            values: Vec::with_capacity(nodes),
            buffers: Vec::with_capacity(nodes),
            sources: Vec::new(),
            targets: Vec::new(),
            seeds: Vec::new(),
            gradients_of: Vec::new(),
            slots: Vec::new(),
            halves: Vec::new(),
            sizes: Sizes::default(),
        };
        let (inside, value_of) = (vec![false; nodes], vec![None; nodes]);
        let unread = Vec::with_capacity(nodes);
        Self {
            graph,
            route,
            frozen,
            taped,
            active,
            shapes,
            readers,
            wanted,
            inside,
            value_of,
            unread,
            reads,
            plan,
        }
    }

    fn sources(&mut self) {
        for (place, node) in self.route.sources.iter().enumerate() {
            let shape = self.shapes[node.0];
            let buffer = self.plan.buffer(shape.elements(), Place::Given(place), 0);
            self.unread.push(0);
            let value = self.value(*node, buffer);
            self.plan.sources.push(value);
        }
    }

    /// Makes a node's value in a buffer, old or new.
    fn value(&mut self, node: Node, buffer: usize) -> ValueId {
        self.plan.values.push(Value { shape: self.shapes[node.0], buffer });
        self.unread[buffer] += self.reads[node.0];
        self.value_of[node.0] = Some(self.plan.values.len() - 1);
        self.plan.values.len() - 1
    }

    fn mode(&self, node: Node) -> Mode {
        match self.frozen.statistics.contains(node) && matches!(self.graph.get(node).op, Op::BatchNorm2d(_)) {
            true => Mode::Eval,
            false => self.route.mode,
        }
    }

    fn step(&mut self, node: Node) {
        let (layer, mode, moment) = (self.graph.get(node), self.mode(node), self.plan.steps.len());
        let operation = layer.op.operation();
        let size = |node: &Node| self.shapes[node.0].elements();
        let is_view = operation.is_view(mode) && layer.inputs.first().map(size) == Some(size(&node));
        let (chain, kernel) = if is_view { (self.alone(node), None) } else { self.fused(node, layer, mode) };
        let args = self.args(node, layer, &chain);
        let gives = *chain.nodes.last().unwrap_or(&node);
        let shape = self.shapes[gives.0];
        let first = args.iter().find_map(|arg| match arg {
            Source::Value(value) => Some(self.plan.values[*value].buffer),
            Source::Param(..) => None,
        });
        let shapes: Vec<Shape> = layer.inputs.iter().map(|input| self.shapes[input.0]).collect();
        let saved = kernel.as_ref().map_or(0, |kernel| kernel.saved(&shapes));
        self.mark_read(&args);
        let work = self.work(node, layer, &shapes, shape);
        let over = first.filter(|&buffer| {
            let Buffer { place, elements, .. } = self.plan.buffers[buffer];
            !self.taped
                && !self.route.has_way_back()
                && kernel.as_ref().is_some_and(|kernel| kernel.works_in_place())
                && self.unread[buffer] == 0
                && !matches!(place, Place::Given(_))
                && elements == shape.elements()
                && !args[1..].iter().any(|arg| self.lies_in(arg, buffer))
        });
        let (how, buffer) = match (is_view, first, over) {
            (true, Some(buffer), _) => (How::View, buffer),
            (_, _, Some(buffer)) => (How::InPlace, buffer),
            _ => (How::Fresh, self.fresh(shape, moment)),
        };
        let out = self.value(gives, buffer);
        self.plan.steps.push(Step {
            nodes: chain.nodes,
            mode,
            kernel,
            args,
            inputs: layer.inputs.len(),
            out,
            how,
            saved,
            dies: Vec::new(),
            learns: false,
            taped: false,
            narrows: Vec::new(),
            work: if is_view { 0 } else { work },
        });
    }

    /// What a step costs: its products, and for each number that it moves what could have been done meanwhile.
    fn work(&self, node: Node, layer: &Layer, inputs: &[Shape], output: Shape) -> u64 {
        let macs = layer.op.operation().macs(inputs, &self.shapes[node.0]);
        let moved = inputs.iter().chain([&output]).map(|shape| shape.elements() as u64);
        moved.fold(macs, |work, numbers| work.saturating_add(numbers.saturating_mul(MOVE)))
    }

    fn fresh(&mut self, shape: Shape, moment: usize) -> usize {
        self.unread.push(0);
        self.plan.buffer(shape.elements(), Place::Slot(0), moment)
    }

    fn lies_in(&self, arg: &Source, buffer: usize) -> bool {
        matches!(arg, Source::Value(value) if self.plan.values[*value].buffer == buffer)
    }

    fn mark_read(&mut self, args: &[Source]) {
        for arg in args {
            if let Source::Value(value) = arg {
                let buffer = self.plan.values[*value].buffer;
                self.unread[buffer] = self.unread[buffer].saturating_sub(1);
            }
        }
    }

    /// A planned node's value.
    fn planned(&self, node: Node) -> ValueId {
        self.value_of[node.0]
            .unwrap_or_else(|| unreachable!("`{}` is read before it is planned", self.graph.get(node).name))
    }

    fn args(&self, node: Node, layer: &Layer, chain: &Chain<'_>) -> Vec<Source> {
        let inputs = layer.inputs.iter().map(|input| Source::Value(self.planned(*input)));
        let params = |node: Node| (0..self.graph.get(node).params.len()).map(move |i| Source::Param(node, i));
        let norm = chain.norm.map(|(norm, _)| norm).into_iter().flat_map(params);
        inputs.chain(params(node)).chain(norm).chain(chain.addend.map(Source::Value)).collect()
    }

    fn alone(&self, node: Node) -> Chain<'g> {
        let following =
            Following { way_back: self.route.has_way_back() || self.taped, ..Following::default() };
        Chain { nodes: vec![node], norm: None, addend: None, following }
    }

    /// The longest run of operations from `node` on that one kernel takes.
    fn fused(
        &mut self,
        node: Node,
        layer: &'g Layer,
        mode: Mode,
    ) -> (Chain<'g>, Option<std::sync::Arc<dyn crate::Kernel>>) {
        let operation = layer.op.operation();
        let mut chains = vec![self.alone(node)];
        while let Some(longer) = chains.last().and_then(|chain| self.longer(chain)) {
            chains.push(longer);
        }
        while let Some(chain) = chains.pop() {
            if chain.nodes.len() == 1 {
                return (chain, operation.kernel(mode));
            }
            if let Some(kernel) = operation.fused(mode, &chain.following) {
                for node in &chain.nodes {
                    self.inside[node.0] = true;
                }
                return (chain, Some(kernel));
            }
        }
        (self.alone(node), operation.kernel(mode))
    }

    /// The chain with the operation behind it: a norm by running statistics, then an addition, then an activation.
    fn longer(&self, chain: &Chain<'g>) -> Option<Chain<'g>> {
        let last = *chain.nodes.last()?;
        let Reader::One(next) = self.readers[last.0] else { return None };
        if self.wanted.contains(last) || self.route.sources.contains(&next) {
            return None;
        }
        let Chain { norm, addend, mut following, .. } = *chain;
        let mut longer = Chain { nodes: [&chain.nodes[..], &[next]].concat(), norm, addend, following };
        match &self.graph.get(next).op {
            _ if following.activation.is_some() => return None,
            Op::BatchNorm2d(norm) => {
                let fits = chain.nodes.len() == 1 && !self.taped && self.mode(next) == Mode::Eval;
                if !fits || self.route.has_way_back() {
                    return None;
                }
                longer.norm = Some((next, norm));
                following.norm = Some(norm);
            }
            Op::Add(_) => {
                let &[a, b] = self.graph.get(next).inputs.as_slice() else { return None };
                let other = if a == last { b } else { a };
                // It can run as soon as both addends are there: with the one that comes last.
                longer.addend = Some(self.value_of[other.0]?);
                if following.sum || self.taped {
                    return None;
                }
                following.sum = true;
            }
            Op::Activation(activation) => following.activation = Some(*activation),
            _ => return None,
        }
        longer.following = following;
        Some(longer)
    }

    fn finish(mut self) -> Plan {
        self.plan.targets = self.route.targets.iter().map(|node| self.planned(*node)).collect();
        self.plan.gradients_of = self.route.gradients_of.iter().map(|node| self.value_of[node.0]).collect();
        self.plan
    }
}

impl Plan {
    /// A new buffer.
    pub(super) fn buffer(&mut self, elements: usize, place: Place, born: usize) -> usize {
        self.buffers.push(Buffer { elements, half: false, place, born, last: born });
        self.buffers.len() - 1
    }
}
