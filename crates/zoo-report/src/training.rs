//! What a training run takes, part by part, and what it costs to take less.

use serde::Serialize;
use zoo_layers::{Frozen, Graph, Mode, Plan, Recompute, Result, Role, Route, Shape};

use crate::memory::{F32, Optimizer, total};

/// How a network learns, as far as its memory depends on it.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Pictures of one pass.
    pub batch: u64,
    /// Passes for one step.
    pub accumulate: u64,
    /// What moves the weights.
    pub optimizer: Optimizer,
    /// What is computed again on the way back.
    pub recompute: Recompute,
    /// Whether what is kept is kept as bf16.
    pub keep_bf16: bool,
    /// Whether a mean of the weights over the steps is kept as well.
    pub averaged: bool,
    /// Batches of pictures that wait at once, the one that is learned from among them.
    pub batches: u64,
    /// What does not learn.
    pub frozen: Frozen,
    /// Bytes that the program takes, its threads and data, where they are to be counted.
    pub program: u64,
}

impl Lesson {
    /// Passes of so many pictures, each a step, with everything kept.
    pub fn plain(batch: u64, optimizer: Optimizer) -> Self {
        Self {
            batch,
            accumulate: 1,
            optimizer,
            recompute: Recompute::Nothing,
            keep_bf16: false,
            averaged: false,
            batches: 1,
            frozen: Frozen::nothing(),
            program: 0,
        }
    }

    /// The plan of its passes.
    ///
    /// # Errors
    /// A graph that can't be planned.
    pub fn plan(&self, graph: &Graph) -> Result<Plan> {
        let route = Route::training(graph).recomputing(self.recompute);
        let route = if self.keep_bf16 { route.keeping_bf16() } else { route };
        Plan::at(graph, &route, &self.frozen, &[graph.input()])
    }
}

/// Bytes that a training run takes, in f32, the program itself and its data apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Training {
    /// Parameters and buffers, auxiliary heads included; the averaged ones too, if there are any.
    pub weights_bytes: u64,
    /// Gradients of the learned parameters; twice, if those of several passes are added up.
    pub gradients_bytes: u64,
    /// What the optimizer keeps.
    pub optimizer_bytes: u64,
    /// Pictures.
    pub input_bytes: u64,
    /// What is kept between the way forward and the way back: a part of `activations_bytes`.
    pub kept_bytes: u64,
    /// Memory of activations and their gradients, as the plan lays it out.
    pub activations_bytes: u64,
    /// What kernels work in, which is kept from step to step.
    pub scratch_bytes: u64,
    /// The answers' gradients, labels, and masks that wait: much where every pixel has an answer.
    pub loss_bytes: u64,
    /// All but the kept ones, which are among the activations: the most that the run takes at once.
    pub peak_bytes: u64,
}

/// Places for which an output has an answer: its pixels.
fn places(output: Shape) -> u64 {
    (output.elements() / output.channels().max(1)) as u64
}

/// What the loss of one picture takes: each output's gradient, and for each place a label of eight bytes.
fn loss(graph: &Graph) -> u64 {
    let outputs = graph.outputs_in(Mode::Train).map(|output| graph.get(output.node).output);
    let each = |output: Shape| {
        (output.elements() as u64).saturating_mul(F32).saturating_add(places(output).saturating_mul(8))
    };
    total(outputs.map(each))
}

/// The bytes of a picture's mask, if its pixels have classes.
fn mask(graph: &Graph) -> u64 {
    let places = places(graph.get(graph.main_output().node).output);
    if places > 1 { places } else { 0 }
}

impl Training {
    /// Reads the plan of `lesson`.
    ///
    /// # Errors
    /// A graph that can't be planned.
    pub fn of(graph: &Graph, lesson: &Lesson) -> Result<Self> {
        Ok(Self::planned(graph, lesson, &lesson.plan(graph)?))
    }

    /// The same for a plan that was made already, whatever the batch.
    pub(crate) fn planned(graph: &Graph, lesson: &Lesson, plan: &Plan) -> Self {
        let nodes = graph.active(Mode::Train);
        let held = |role, learns: bool| {
            let nodes = nodes.iter().filter(|node| !learns || !lesson.frozen.has_params(*node));
            total(nodes.map(|node| graph.get(node).elements(role) as u64)).saturating_mul(F32)
        };
        let weights = held(Role::Trainable, false).saturating_add(held(Role::Buffer, false));
        let learned = held(Role::Trainable, true);
        let sums = if lesson.accumulate > 1 { 2 } else { 1 };
        let picture = (graph.input().elements() as u64).saturating_mul(F32).saturating_mul(lesson.batch);
        let masks = mask(graph).saturating_mul(lesson.batches);
        let batch = usize::try_from(lesson.batch).unwrap_or(usize::MAX);
        let mut training = Self {
            weights_bytes: weights.saturating_mul(if lesson.averaged { 2 } else { 1 }),
            gradients_bytes: learned.saturating_mul(sums),
            optimizer_bytes: learned.saturating_mul(lesson.optimizer.state()),
            input_bytes: picture.saturating_mul(lesson.batches),
            kept_bytes: plan.kept(lesson.batch).saturating_mul(F32),
            activations_bytes: plan.taken(lesson.batch).saturating_mul(F32),
            scratch_bytes: plan.working(batch).saturating_mul(F32),
            loss_bytes: total([loss(graph), masks]).saturating_mul(lesson.batch),
            peak_bytes: 0,
        };
        training.peak_bytes = total([
            lesson.program,
            training.standing_bytes(),
            training.input_bytes,
            training.activations_bytes,
            training.scratch_bytes,
            training.loss_bytes,
        ]);
        training
    }

    /// What is there whatever the pictures: weights, gradients and the optimizer's state.
    pub fn standing_bytes(&self) -> u64 {
        total([self.weights_bytes, self.gradients_bytes, self.optimizer_bytes])
    }
}
