//! What the way back asks of the way forward, whatever is kept.

use super::{How, Plan, Source, Step};
use crate::{
    Graph, Node, Role,
    kernel::{Needs, Shares},
};

use super::Frozen;

/// What each forward step reads, gives, and is asked for on the way back.
#[derive(Debug)]
pub(super) struct Demand {
    pub(super) steps: Vec<Wish>,
    /// For each buffer the step that computes it; nothing for what is given.
    pub(super) producer: Vec<Option<usize>>,
    /// Buffers that outlive the way forward anyhow: those of targets.
    pub(super) held: Vec<bool>,
}

/// One step's part.
#[derive(Debug)]
pub(super) struct Wish {
    /// Whether a gradient comes by here.
    pub(super) learns: bool,
    /// The arguments whose gradients are wanted.
    pub(super) wanted: Vec<bool>,
    pub(super) needs: Needs,
    pub(super) shares: Shares,
    /// The buffers it reads.
    pub(super) reads: Vec<usize>,
    /// The buffers that its gradients read.
    pub(super) back: Vec<usize>,
    /// The buffer that it computes; nothing if it only reads one otherwise.
    pub(super) out: Option<usize>,
    /// Whether its result costs more to compute than to move.
    pub(super) is_costly: bool,
    /// Whether candle's operations run it.
    pub(super) is_composed: bool,
}

impl Demand {
    pub(super) fn new(graph: &Graph, frozen: &Frozen, plan: &Plan) -> Self {
        let learns = learning(graph, frozen, plan);
        let is_wanted = |arg: &Source| match *arg {
            Source::Value(value) => learns[value],
            Source::Param(node, place) => is_learned(graph, frozen, plan, node, place),
        };
        let mut producer = vec![None; plan.buffers.len()];
        let mut held = vec![false; plan.buffers.len()];
        for target in &plan.targets {
            held[plan.values[*target].buffer] = true;
        }
        let mut steps = Vec::with_capacity(plan.steps.len());
        for (index, step) in plan.steps.iter().enumerate() {
            let wish = wish(plan, step, &is_wanted);
            if let Some(out) = wish.out {
                producer[out] = Some(index);
            }
            steps.push(wish);
        }
        Self { steps, producer, held }
    }
}

fn wish(plan: &Plan, step: &Step, is_wanted: &impl Fn(&Source) -> bool) -> Wish {
    let has_gradient = |place| step.kernel.as_ref().is_none_or(|kernel| kernel.has_gradient(place));
    let learns = plan.route.has_way_back() && step.args.iter().any(is_wanted);
    let args = step.args.iter().enumerate();
    let wanted: Vec<bool> =
        args.map(|(place, arg)| learns && is_wanted(arg) && has_gradient(place)).collect();
    let shares = match (&step.kernel, step.how) {
        (_, How::View) => Shares::Output,
        (Some(kernel), _) => kernel.shares(),
        (None, _) => Shares::Nothing,
    };
    let needs = match &step.kernel {
        Some(kernel) if learns => kernel.needs(&wanted),
        // A view reads nothing, and candle keeps for itself what its operations need.
        _ => Needs::NOTHING,
    };
    let buffer = |arg: &Source| match arg {
        Source::Value(value) => Some(plan.values[*value].buffer),
        Source::Param(..) => None,
    };
    let args = step.args.iter().enumerate().filter(|(place, _)| needs.has(*place));
    let mut back: Vec<usize> = args.filter_map(|(_, arg)| buffer(arg)).collect();
    let out = plan.values[step.out].buffer;
    if needs.has_result() {
        back.push(out);
    }
    let moved = step.work_of_moving(plan);
    Wish {
        learns,
        wanted,
        needs,
        shares,
        reads: step.args.iter().filter_map(buffer).collect(),
        back,
        out: (step.how != How::View).then_some(out),
        is_composed: step.kernel.is_none() && step.how != How::View,
        is_costly: step.kernel.is_none() || step.work > 2 * moved,
    }
}

impl Step {
    /// The part of its work that is moving numbers.
    fn work_of_moving(&self, plan: &Plan) -> u64 {
        let inputs = self.args[..self.inputs].iter().filter_map(|arg| match arg {
            Source::Value(value) => Some(*value),
            Source::Param(..) => None,
        });
        let elements = inputs.chain([self.out]).map(|value| plan.values[value].shape.elements() as u64);
        elements.fold(0, u64::saturating_add).saturating_mul(super::forward::MOVE)
    }
}

/// Whether a gradient flows to each value: where something is learned, or named by the route, before it.
fn learning(graph: &Graph, frozen: &Frozen, plan: &Plan) -> Vec<bool> {
    let mut learns = vec![false; plan.values.len()];
    for value in plan.gradients_of.iter().flatten() {
        learns[*value] = true;
    }
    for step in &plan.steps {
        learns[step.out] |= step.args.iter().any(|arg| match *arg {
            Source::Value(value) => learns[value],
            Source::Param(node, place) => is_learned(graph, frozen, plan, node, place),
        });
    }
    learns
}

fn is_learned(graph: &Graph, frozen: &Frozen, plan: &Plan, node: Node, place: usize) -> bool {
    let param = graph.get(node).params.get(place);
    plan.route.learn
        && !frozen.params.contains(node)
        && param.is_some_and(|param| param.role == Role::Trainable)
}
