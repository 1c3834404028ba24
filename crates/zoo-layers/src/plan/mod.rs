//! What runs, decided once.
//!
//! A [`Plan`] is computed from a graph, a [`Route`] and the size of what it is given. It says which nodes run as one
//! step and in which order, what each step reads and where its result lies, what is a view or goes over its argument,
//! what the way back needs and when it is let go, and how large everything is. A network runs it, on candle's tape
//! ([`crate::Net::forward`]) or without ([`crate::Net::answer`], [`crate::Pass`]); the memory report reads it. Nobody
//! decides these things a second time, so what a report predicts is what a run takes.

mod back;
mod demand;
mod forward;
mod lifetimes;
mod route;
mod segments;

use std::sync::Arc;

use demand::Demand;
use segments::{Again, Segment};

use crate::{
    Error, Graph, Mode, Node, Result, Shape,
    kernel::{Kernel, Working},
};

pub use route::{Frozen, Recompute, Route};

/// A value's number in its [`Plan`].
pub type ValueId = usize;

/// What runs, from given values to wanted ones and back.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) route: Route,
    pub(crate) steps: Vec<Step>,
    /// The way back, in order.
    pub(crate) back: Vec<Turn>,
    pub(crate) values: Vec<Value>,
    pub(crate) buffers: Vec<Buffer>,
    /// The values of the route's sources and targets.
    pub(crate) sources: Vec<ValueId>,
    pub(crate) targets: Vec<ValueId>,
    /// The gradients of the targets, which the caller gives, and of the nodes that the route names.
    pub(crate) seeds: Vec<ValueId>,
    pub(crate) gradients_of: Vec<Option<ValueId>>,
    /// The numbers for one picture that each slot of memory holds.
    pub(crate) slots: Vec<usize>,
    /// The same of slots for numbers of half the size.
    pub(crate) halves: Vec<usize>,
    pub(crate) sizes: Sizes,
}

/// One or several nodes that run as one operation.
#[derive(Clone, Debug)]
pub struct Step {
    pub(crate) nodes: Vec<Node>,
    pub(crate) mode: Mode,
    pub(crate) kernel: Option<Arc<dyn Kernel>>,
    pub(crate) args: Vec<Source>,
    /// How many of the arguments are the first node's inputs.
    pub(crate) inputs: usize,
    pub(crate) out: ValueId,
    pub(crate) how: How,
    /// Numbers saved for the way back, whatever the batch.
    pub(crate) saved: usize,
    /// The values that nothing reads behind this step.
    pub(crate) dies: Vec<ValueId>,
    /// Whether the way back comes by here.
    pub(crate) learns: bool,
    /// Whether candle's operations, where they run it, are to be taped for the way back.
    pub(crate) taped: bool,
    /// Values that are read for the last time on the way forward, each with the value of half the size that is kept.
    pub(crate) narrows: Vec<(ValueId, ValueId)>,
    /// What it costs, for one picture, in multiply-accumulates.
    pub(crate) work: u64,
}

impl Step {
    /// The nodes that run as one, in execution order; the last one's value is the result.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether a kernel runs it, and not candle's operations.
    pub fn has_kernel(&self) -> bool {
        self.kernel.is_some()
    }

    /// Whether its result is an argument read otherwise.
    pub fn is_view(&self) -> bool {
        self.how == How::View
    }

    /// Whether its result goes over its first argument.
    pub fn is_in_place(&self) -> bool {
        self.how == How::InPlace
    }

    /// The kernel that runs it, if one does.
    pub fn kernel(&self) -> Option<&Arc<dyn Kernel>> {
        self.kernel.as_ref()
    }

    /// What it reads: the first node's inputs and parameters, then a norm's parameters, then the other addend of a sum.
    pub fn args(&self) -> &[Source] {
        &self.args
    }

    /// The value that it gives.
    pub fn out(&self) -> ValueId {
        self.out
    }

    /// The values that nothing reads behind it.
    pub fn dies(&self) -> &[ValueId] {
        &self.dies
    }

    /// The first node.
    pub(crate) fn node(&self) -> Node {
        self.nodes[0]
    }

    /// The node whose value it gives.
    pub(crate) fn gives(&self) -> Node {
        self.nodes[self.nodes.len() - 1]
    }
}

/// Where an argument comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An earlier step, or the caller.
    Value(ValueId),
    /// A node's parameter, by its place.
    Param(Node, usize),
}

/// Where a step's result goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// To a place of its own.
    Fresh,
    /// It lies where the argument does.
    View,
    /// Over the first argument.
    InPlace,
}

/// A moment of the way back.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    /// A forward step, of this number, is run again: what it gave was not kept.
    Again(usize, Box<Step>),
    /// What was kept in half the size is made whole.
    Widen {
        /// What was kept.
        from: ValueId,
        /// Where it is read.
        to: ValueId,
    },
    /// Gradients are computed.
    Back(BackStep),
}

/// A step on the way back.
#[derive(Clone, Debug)]
pub(crate) struct BackStep {
    /// The forward step whose gradients it computes.
    pub(crate) step: usize,
    /// The gradient of that step's result.
    pub(crate) grad: ValueId,
    /// Where each argument's gradient goes.
    pub(crate) into: Vec<Option<Into>>,
    /// What the kernel reads of the forward pass: of the arguments, and the result.
    pub(crate) args: Vec<Option<ValueId>>,
    pub(crate) out: Option<ValueId>,
    /// Gradients that are added up behind it, in order.
    pub(crate) sums: Vec<Sum>,
}

/// Where an argument's gradient goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Into {
    /// It is a node's gradient, or a part of it, in a place of its own.
    Fresh(ValueId),
    /// It lies where the result's gradient does, or another argument's.
    Shared(ValueId),
    /// It is handed out.
    Param(Node, usize),
}

/// `into = before + part`: a node that several steps read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    pub(crate) before: ValueId,
    pub(crate) part: ValueId,
    /// It may lie where one of the two does.
    pub(crate) into: ValueId,
}

/// A tensor on the way, for a batch of any size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) shape: Shape,
    pub(crate) buffer: usize,
}

/// Memory that one or several values share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// Numbers for one picture.
    pub(crate) elements: usize,
    /// Whether they have half the size.
    pub(crate) half: bool,
    pub(crate) place: Place,
    /// The first and the last moment at which it is in use.
    pub(crate) born: usize,
    pub(crate) last: usize,
}

/// Where a buffer lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The caller gave it.
    Given(usize),
    /// The caller is given it.
    Handed(usize),
    /// In this slot of the run's memory.
    Slot(usize),
    /// In this slot for numbers of half the size.
    Half(usize),
}

impl Buffer {
    /// Its size for one picture, in whole numbers.
    pub(crate) fn size(&self) -> usize {
        if self.half { self.elements.div_ceil(2) } else { self.elements }
    }
}

/// Sizes in numbers: each for one picture, but for what is saved.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) kept: usize,
    pub(crate) peak: usize,
    pub(crate) handed: usize,
    pub(crate) saved: usize,
}

impl Plan {
    /// Plans for the graph's nominal size.
    ///
    /// # Errors
    /// A node of another graph; [`Error::Unreached`] where a target needs what the sources don't give.
    pub fn new(graph: &Graph, route: &Route) -> Result<Self> {
        let shapes: Vec<Shape> =
            route.sources.iter().map(|node| Ok(graph.known(*node)?.output)).collect::<Result<_>>()?;
        Self::at(graph, route, &Frozen::nothing(), &shapes)
    }

    /// Plans for sources of other shapes, with something frozen.
    ///
    /// # Errors
    /// As [`Plan::new`]; a shape that a node can't take, by its name.
    pub fn at(graph: &Graph, route: &Route, frozen: &Frozen, shapes: &[Shape]) -> Result<Self> {
        Self::build(graph, route, frozen, shapes, false)
    }

    /// The same for candle's tape, which takes operations of few tensors only, and no way back of ours.
    pub(crate) fn build(
        graph: &Graph,
        route: &Route,
        frozen: &Frozen,
        shapes: &[Shape],
        taped: bool,
    ) -> Result<Self> {
        let explained = |error| match (error, &route.sources[..], shapes) {
            (error @ (Error::Misfit { .. } | Error::FixedSize { .. }), [Graph::PICTURE], [picture]) => {
                graph.refusal(route, *picture).unwrap_or(error)
            }
            (error, ..) => error,
        };
        let plan = forward::plan(graph, route, frozen, shapes, taped).map_err(explained)?;
        let demand = Demand::new(graph, frozen, &plan);
        match route.recompute {
            _ if taped || !route.has_way_back() => Ok(plan.with_way_back(&demand, &[])),
            Recompute::Nothing => Ok(plan.with_way_back(&demand, &[])),
            Recompute::Cheap => Ok(segments::best(&plan, &demand, &[Again::Nothing, Again::Cheap])),
            Recompute::All => Ok(segments::best(&plan, &demand, &[Again::Nothing, Again::Cheap, Again::All])),
        }
    }

    /// The plan with its way back, on which the segments that say so are run again.
    fn with_way_back(&self, demand: &Demand, segments: &[Segment]) -> Self {
        let mut plan = self.clone();
        back::plan(demand, segments, &mut plan);
        lifetimes::settle(&mut plan);
        plan
    }

    /// What was to be planned.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What runs, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many values there are, on the way forward and back.
    pub fn values(&self) -> usize {
        self.values.len()
    }

    /// A value's shape for one picture. The number must be of this plan.
    pub fn shape(&self, value: ValueId) -> Shape {
        self.values[value].shape
    }

    /// The values that are given, in the order of the route's sources.
    pub fn sources(&self) -> &[ValueId] {
        &self.sources
    }

    /// The values that are asked for, in the order of the route's targets.
    pub fn targets(&self) -> &[ValueId] {
        &self.targets
    }

    /// The numbers that are kept for the way back when `batch` pictures have gone forward, the results among them, what
    /// the caller gave not.
    pub fn kept(&self, batch: u64) -> u64 {
        scaled(self.sizes.kept, batch).saturating_add(self.sizes.saved as u64)
    }

    /// The most numbers that are in use at once, what the caller gave among them: the least that any run needs.
    pub fn peak(&self, batch: u64) -> u64 {
        scaled(self.sizes.peak, batch)
    }

    /// The numbers that a run takes from the system, with memory used again where lifetimes allow: its slots, its
    /// results and what is saved. Gradients of parameters come to it.
    pub fn taken(&self, batch: u64) -> u64 {
        let halves = self.halves.iter().map(|half| half.div_ceil(2));
        let slots = self.slots.iter().copied().chain(halves).fold(0, usize::saturating_add);
        scaled(slots.saturating_add(self.sizes.handed), batch).saturating_add(self.sizes.saved as u64)
    }

    /// What the way forward costs for one picture, in multiply-accumulates: those of convolutions and products, and for
    /// each number that is moved as many as could have been done meanwhile.
    pub fn work(&self) -> u64 {
        self.steps.iter().fold(0, |sum, step| sum.saturating_add(step.work))
    }

    /// The part of it that is done again on the way back.
    pub fn work_again(&self) -> u64 {
        let again = self.back.iter().map(|turn| if let Turn::Again(_, step) = turn { step.work } else { 0 });
        again.fold(0, u64::saturating_add)
    }

    /// About how many times as long a pass takes as one that keeps everything: the way back is twice as long as the way
    /// forward, and what is kept in half the size is moved twice more.
    pub fn slowdown(&self) -> f64 {
        let halved = self.back.iter().map(|turn| match turn {
            Turn::Widen { from, .. } => self.values[*from].shape.elements() as u64,
            _ => 0,
        });
        let moved = halved.fold(0, u64::saturating_add).saturating_mul(2 * forward::MOVE);
        let plain = 3.0 * self.work() as f64;
        if plain > 0.0 { 1.0 + (self.work_again() as f64 + moved as f64) / plain } else { 1.0 }
    }

    /// The nodes whose values are computed again on the way back, in the order in which they are.
    pub fn again(&self) -> impl Iterator<Item = Node> {
        let again = self.back.iter().filter_map(|turn| match turn {
            Turn::Again(_, step) => Some(step.nodes.iter().copied()),
            _ => None,
        });
        again.flatten()
    }

    /// About how many numbers kernels work in for a while beside that, which they keep from step to step.
    pub fn working(&self, batch: usize) -> u64 {
        let mut all = Working::default();
        for step in &self.steps {
            let Some(kernel) = &step.kernel else { continue };
            let inputs = step.args[..step.inputs].iter().filter_map(|arg| match arg {
                Source::Value(value) => Some(self.values[*value].shape),
                Source::Param(..) => None,
            });
            let inputs: Vec<Shape> = inputs.collect();
            for back in [false, true] {
                if !back || step.learns {
                    all = all.and(&kernel.working(&inputs, batch, back));
                }
            }
        }
        all.total() as u64
    }

    pub(crate) fn place(&self, value: ValueId) -> Place {
        self.buffers[self.values[value].buffer].place
    }
}

fn scaled(elements: usize, batch: u64) -> u64 {
    (elements as u64).saturating_mul(batch)
}

impl Graph {
    /// The node of the picture.
    pub const PICTURE: Node = Node(0);

    /// A node that must be this graph's.
    pub(crate) fn known(&self, node: Node) -> Result<&crate::Layer> {
        self.layers.get(node.0).ok_or_else(|| Error::UnknownNode {
            graph: self.name.clone(),
            name: format!("number {}", node.0),
            hint: format!("; it has {}, from 0, the picture", self.layers.len()),
        })
    }
}
