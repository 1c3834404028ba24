//! The way back: whose gradients are computed from which, where they lie, and what they read of the way forward.

use super::{BackStep, Frozen, How, Into, Place, Plan, Source, Sum, Value, ValueId};
use crate::{
    Graph, Result, Role,
    kernel::{Needs, Shares},
};

/// Plans the way back over the steps of the way forward.
pub(super) fn plan(graph: &Graph, frozen: &Frozen, plan: &mut Plan) -> Result<()> {
    if plan.route.has_way_back() {
        let learns = learning(graph, frozen, plan);
        Back::new(plan, graph, frozen, learns).run();
    }
    Ok(())
}

/// Whether a gradient flows to each value: where something is learned, or named by the route, before it.
fn learning(graph: &Graph, frozen: &Frozen, plan: &mut Plan) -> Vec<bool> {
    let mut learns = vec![false; plan.values.len()];
    for value in &plan.gradients_of {
        learns[*value] = true;
    }
    for index in 0..plan.steps.len() {
        let step = &plan.steps[index];
        let learned = step.args.iter().any(|arg| match *arg {
            Source::Value(value) => learns[value],
            Source::Param(node, place) => is_learned(graph, frozen, plan, node, place),
        });
        learns[step.out] |= learned;
        plan.steps[index].learns = learned;
    }
    learns
}

fn is_learned(graph: &Graph, frozen: &Frozen, plan: &Plan, node: crate::Node, place: usize) -> bool {
    let param = graph.get(node).params.get(place);
    plan.route.learn
        && !frozen.params.contains(node)
        && param.is_some_and(|param| param.role == Role::Trainable)
}

struct Back<'p> {
    plan: &'p mut Plan,
    graph: &'p Graph,
    frozen: &'p Frozen,
    learns: Vec<bool>,
    /// For each value of the way forward its gradient as far as it is known.
    gradient: Vec<Option<ValueId>>,
    /// For each buffer how many gradients lie in it.
    holders: Vec<usize>,
}

impl<'p> Back<'p> {
    fn new(plan: &'p mut Plan, graph: &'p Graph, frozen: &'p Frozen, learns: Vec<bool>) -> Self {
        let gradient = vec![None; plan.values.len()];
        let holders = vec![0; plan.buffers.len()];
        Self { plan, graph, frozen, learns, gradient, holders }
    }

    fn run(mut self) {
        let forward = self.plan.steps.len();
        for place in 0..self.plan.targets.len() {
            let target = self.plan.targets[place];
            let shape = self.plan.values[target].shape;
            let given = self.plan.sources.len() + place;
            let buffer = self.buffer(shape.elements(), Place::Given(given), forward);
            let seed = self.value(Value { shape, buffer });
            self.plan.seeds.push(seed);
            // A node that is named twice as a target gets the sum: the caller's part, whatever names it.
            if self.gradient[target].is_none() {
                self.hold(target, seed);
            }
        }
        for index in (0..forward).rev() {
            let step = &self.plan.steps[index];
            if let Some(grad) = self.gradient[step.out].filter(|_| step.learns) {
                self.step(index, grad);
            }
        }
        let gradients = self.plan.gradients_of.iter().map(|value| self.gradient[*value]);
        self.plan.gradients_of = gradients.flatten().collect();
    }

    fn step(&mut self, index: usize, grad: ValueId) {
        let moment = self.plan.steps.len() + self.plan.back.len();
        let step = self.plan.steps[index].clone();
        let wanted = step.args.iter().enumerate().map(|(place, arg)| {
            self.is_wanted(arg) && step.kernel.as_ref().is_none_or(|kernel| kernel.has_gradient(place))
        });
        let wanted: Vec<bool> = wanted.collect();
        let shares = match (&step.kernel, step.how) {
            (_, How::View) => Shares::Output,
            (Some(kernel), _) => kernel.shares(),
            (None, _) => Shares::Nothing,
        };
        let needs = match &step.kernel {
            Some(kernel) => kernel.needs(&wanted),
            // A view reads nothing, and candle keeps for itself what its operations need.
            None => Needs::NOTHING,
        };
        // The gradient of the result is read here for the last time, unless it is also an argument's.
        let named = self.plan.gradients_of.contains(&step.out);
        if !named {
            self.holders[self.plan.values[grad].buffer] -= 1;
        }
        let mut common = (shares == Shares::Output).then(|| self.plan.values[grad].buffer);
        let mut sums = Vec::new();
        let mut into = Vec::with_capacity(step.args.len());
        for (arg, wanted) in step.args.iter().zip(&wanted) {
            into.push(match *arg {
                _ if !wanted => None,
                Source::Param(node, place) => Some(Into::Param(node, place)),
                Source::Value(value) => {
                    let shape = self.plan.values[value].shape;
                    let old = common;
                    let buffer = match common {
                        Some(buffer) => buffer,
                        None => self.buffer(shape.elements(), Place::Slot(0), moment),
                    };
                    if shares == Shares::Arguments {
                        common = Some(buffer);
                    }
                    let part = self.value(Value { shape, buffer });
                    sums.extend(self.take(value, part, shares == Shares::Nothing, moment));
                    Some(if old.is_some() { Into::Shared(part) } else { Into::Fresh(part) })
                }
            });
        }
        let args = step.args.iter().enumerate();
        let args = args.map(|(place, arg)| needs.has(place) && matches!(arg, Source::Value(_))).collect();
        self.plan.back.push(BackStep { step: index, grad, into, args, out: needs.has_result(), sums });
    }

    fn is_wanted(&self, arg: &Source) -> bool {
        match *arg {
            Source::Value(value) => self.learns[value],
            Source::Param(node, place) => is_learned(self.graph, self.frozen, self.plan, node, place),
        }
    }

    /// A value's gradient, or a part of it, is there, perhaps nobody else's; gives the sum to add up if it isn't the
    /// first.
    fn take(&mut self, value: ValueId, part: ValueId, is_alone: bool, moment: usize) -> Option<Sum> {
        let Some(before) = self.gradient[value] else {
            self.hold(value, part);
            return None;
        };
        let (old, new) = (self.plan.values[before].buffer, self.plan.values[part].buffer);
        let given = |buffer: usize| matches!(self.plan.buffers[buffer].place, Place::Given(_));
        // Nobody else may read what is written over.
        let buffer = match self.holders[old] {
            1 if old != new && !given(old) => old,
            _ if is_alone => new,
            _ => self.buffer(self.plan.buffers[old].elements, Place::Slot(0), moment),
        };
        let into = self.value(Value { shape: self.plan.values[value].shape, buffer });
        self.holders[old] -= 1;
        self.hold(value, into);
        Some(Sum { before, part, into })
    }

    fn hold(&mut self, value: ValueId, gradient: ValueId) {
        self.holders[self.plan.values[gradient].buffer] += 1;
        self.gradient[value] = Some(gradient);
    }

    fn value(&mut self, value: Value) -> ValueId {
        self.plan.values.push(value);
        self.plan.values.len() - 1
    }

    fn buffer(&mut self, elements: usize, place: Place, born: usize) -> usize {
        self.holders.push(0);
        self.plan.buffer(elements, place, born)
    }
}
