//! The way back: whose gradients are computed from which, where they lie, what they read of the way forward, and how
//! that comes to be there: kept as it was, kept in half the size, or computed again.

use super::{
    BackStep, Into, Place, Plan, Source, Sum, Turn, Value, ValueId,
    demand::Demand,
    segments::{Segment, fates},
};
use crate::kernel::Shares;

/// Plans the way back over the steps of the way forward.
pub(super) fn plan(demand: &Demand, segments: &[Segment], plan: &mut Plan) {
    if plan.route.has_way_back() {
        for (step, wish) in plan.steps.iter_mut().zip(&demand.steps) {
            step.learns = wish.learns;
            step.taped = wish.learns;
        }
        Back::new(plan, demand, segments).run();
    }
}

struct Back<'p> {
    plan: &'p mut Plan,
    demand: &'p Demand,
    segments: &'p [Segment],
    /// For each buffer of the way forward whether it is computed again.
    is_again: Vec<bool>,
    /// For each buffer of the way forward the one in which its values are on the way back, as soon as that is known.
    now: Vec<Option<usize>>,
    /// For each value of the way forward its gradient as far as it is known.
    gradient: Vec<Option<ValueId>>,
    /// For each buffer how many gradients lie in it.
    holders: Vec<usize>,
}

impl<'p> Back<'p> {
    fn new(plan: &'p mut Plan, demand: &'p Demand, segments: &'p [Segment]) -> Self {
        let gradient = vec![None; plan.values.len()];
        let (holders, now) = (vec![0; plan.buffers.len()], vec![None; plan.buffers.len()]);
        let is_again = fates(demand, segments);
        Self { plan, demand, segments, is_again, now, gradient, holders }
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
        let mut segments = self.segments;
        for index in (0..forward).rev() {
            if let Some((segment, before)) = segments.split_last()
                && segment.end == index + 1
            {
                segments = before;
                self.again(*segment);
            }
            let learns = self.demand.steps[index].learns;
            if let Some(grad) = self.gradient[self.plan.steps[index].out].filter(|_| learns) {
                self.step(index, grad);
            }
        }
        // A node whose value is read for its size alone has none.
        let gradients = self.plan.gradients_of.iter().map(|value| self.gradient[(*value)?]);
        self.plan.gradients_of = gradients.collect();
    }

    /// Runs again what the segment's gradients need and was not kept.
    fn again(&mut self, segment: Segment) {
        for index in self.demand.runs(segment, |buffer| self.is_again[buffer]) {
            self.run_again(index);
        }
    }

    fn run_again(&mut self, index: usize) {
        let mut step = self.plan.steps[index].clone();
        for arg in &mut step.args {
            if let Source::Value(value) = arg {
                *value = self.at_back(*value);
            }
        }
        let moment = self.moment();
        let Value { shape, buffer } = self.plan.values[step.out];
        let new = self.buffer(self.plan.buffers[buffer].elements, Place::Slot(0), moment);
        self.now[buffer] = Some(new);
        step.out = self.value(Value { shape, buffer: new });
        step.dies.clear();
        step.narrows.clear();
        self.plan.steps[index].taped = false;
        self.plan.back.push(Turn::Again(index, Box::new(step)));
    }

    /// The value that stands for one of the way forward on the way back.
    fn at_back(&mut self, value: ValueId) -> ValueId {
        let Value { shape, buffer } = self.plan.values[value];
        if self.now[buffer].is_none() {
            let may_be_halved = self.plan.route.in_half && self.demand.producer[buffer].is_some();
            self.now[buffer] = Some(match may_be_halved && !self.demand.held[buffer] {
                true => self.widened(value),
                false => buffer,
            });
        }
        match self.now[buffer] {
            Some(now) if now != buffer => self.value(Value { shape, buffer: now }),
            _ => value,
        }
    }

    /// Keeps a value in half the size from its last use on the way forward on, and makes it whole here: in the buffer
    /// that it gives.
    fn widened(&mut self, value: ValueId) -> usize {
        let Value { shape, buffer } = self.plan.values[value];
        let uses = |wish: &super::demand::Wish| wish.out == Some(buffer) || wish.reads.contains(&buffer);
        let last = self.demand.steps.iter().rposition(uses).unwrap_or(0);
        let half = self.buffer(shape.elements(), Place::Half(0), last);
        self.plan.buffers[half].half = true;
        let moment = self.moment();
        let whole = self.buffer(shape.elements(), Place::Slot(0), moment);
        let from = self.value(Value { shape, buffer: half });
        let to = self.value(Value { shape, buffer: whole });
        self.plan.steps[last].narrows.push((value, from));
        self.plan.back.push(Turn::Widen { from, to });
        whole
    }

    /// Whether a step's gradients compare its result with its arguments, of which one may have been rounded.
    fn is_torn(&self, index: usize) -> bool {
        let (step, wish) = (&self.plan.steps[index], &self.demand.steps[index]);
        let compares = step.kernel.as_ref().is_some_and(|kernel| kernel.compares());
        let is_new = |buffer: &usize| self.is_again[*buffer];
        self.plan.route.in_half && compares && !wish.back.iter().all(is_new)
    }

    fn step(&mut self, index: usize, grad: ValueId) {
        if self.is_torn(index) {
            self.run_again(index);
        }
        let step = self.plan.steps[index].clone();
        let wish = &self.demand.steps[index];
        let args = step.args.iter().enumerate().map(|(place, arg)| match arg {
            Source::Value(value) if wish.needs.has(place) => Some(self.at_back(*value)),
            _ => None,
        });
        let args = args.collect();
        let out = wish.needs.has_result().then(|| self.at_back(step.out));
        let moment = self.moment();
        // The gradient of the result is read here for the last time, unless it is also an argument's.
        let named = self.plan.gradients_of.contains(&Some(step.out));
        if !named {
            self.holders[self.plan.values[grad].buffer] -= 1;
        }
        let mut common = (wish.shares == Shares::Output).then(|| self.plan.values[grad].buffer);
        let mut sums = Vec::new();
        let mut into = Vec::with_capacity(step.args.len());
        for (arg, wanted) in step.args.iter().zip(&wish.wanted) {
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
                    if wish.shares == Shares::Arguments {
                        common = Some(buffer);
                    }
                    let part = self.value(Value { shape, buffer });
                    sums.extend(self.take(value, part, wish.shares == Shares::Nothing, moment));
                    Some(if old.is_some() { Into::Shared(part) } else { Into::Fresh(part) })
                }
            });
        }
        self.plan.back.push(Turn::Back(BackStep { step: index, grad, into, args, out, sums }));
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

    /// The moment of the next turn.
    fn moment(&self) -> usize {
        self.plan.steps.len() + self.plan.back.len()
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
