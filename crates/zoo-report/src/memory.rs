//! How much memory a network needs: what its plans say, in bytes.

use serde::Serialize;
use zoo_layers::{Graph, Mode, Node, NodeSet, Plan, Result, Role, Route};

use crate::{Lesson, Training};

/// Bytes of an f32.
pub(crate) const F32: u64 = 4;

/// What an optimizer keeps for each learned number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimizer {
    /// Plain gradient descent: nothing.
    #[default]
    Sgd,
    /// Gradient descent with momentum: one number.
    Momentum,
    /// Adam and AdamW: two numbers.
    AdamW,
}

impl Optimizer {
    /// Numbers kept for each learned one.
    pub const fn state(self) -> u64 {
        match self {
            Self::Sgd => 0,
            Self::Momentum => 1,
            Self::AdamW => 2,
        }
    }
}

/// Bytes of memory, in f32, for one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Parameters and buffers of what answers, without auxiliary heads.
    pub weights_bytes: u64,
    /// The pictures.
    pub input_bytes: u64,
    /// The outputs of all nodes.
    pub activations_bytes: u64,
    /// The least that answering needs besides the weights: the most alive at once, pictures included, when each
    /// output is let go after its last reader and element-wise operations work in place.
    pub inference_peak_bytes: u64,
    /// Weights, gradients, optimizer state, pictures, and what is kept for the backward pass.
    pub training_bytes: u64,
    /// The most that a training step takes: the same, with the gradients of activations, in the memory that the plan
    /// lays out, and what kernels work in. The program itself comes to it.
    pub training_peak_bytes: u64,
}

impl Memory {
    /// Measures `graph` for `batch` pictures.
    ///
    /// # Errors
    /// A graph that can't be planned: one without outputs.
    pub fn of(graph: &Graph, batch: u64, optimizer: Optimizer) -> Result<Self> {
        let answering = graph.active(Mode::Eval);
        let held = |nodes: &NodeSet, role| -> u64 {
            total(nodes.iter().map(|node| graph.get(node).elements(role) as u64))
        };
        let size = |node: Node| (graph.get(node).output.elements() as u64 * F32).saturating_mul(batch);
        let is_input = |node: &Node| graph.get(*node).inputs.is_empty();
        let answer = Plan::new(graph, &Route::outputs(graph, Mode::Eval))?;
        let training = Training::of(graph, &Lesson::plain(batch, optimizer))?;
        let input = total(graph.nodes().map(|(node, _)| node).filter(is_input).map(size));
        Ok(Self {
            weights_bytes: (held(&answering, Role::Trainable) + held(&answering, Role::Buffer)) * F32,
            input_bytes: input,
            activations_bytes: total(answering.iter().filter(|node| !is_input(node)).map(size)),
            inference_peak_bytes: answer.peak(batch).saturating_mul(F32),
            training_bytes: total([training.standing_bytes(), training.input_bytes, training.kept_bytes]),
            training_peak_bytes: training.peak_bytes,
        })
    }
}

/// The sum, or the largest number if it is larger: batches have no limit.
pub(crate) fn total(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}
