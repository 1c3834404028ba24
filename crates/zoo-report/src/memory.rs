//! How much memory a network needs, by liveness over its graph.

use std::collections::HashMap;

use serde::Serialize;
use zoo_layers::{Graph, Mode, Node, Role};

/// Bytes of an f32.
const F32: u64 = 4;

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
    /// Weights, gradients, optimizer state, pictures, and the outputs kept for the backward pass: those of all
    /// operations, where a norm or an addition and its activation are one.
    pub training_bytes: u64,
}

impl Memory {
    /// Measures `graph` for `batch` pictures.
    pub fn of(graph: &Graph, batch: u64, optimizer: Optimizer) -> Self {
        let answering = graph.active(Mode::Eval);
        let learning = graph.active(Mode::Train);
        let held = |nodes: &std::collections::HashSet<Node>, role| -> u64 {
            let layers = graph.nodes().filter(|(node, _)| nodes.contains(node));
            total(layers.map(|(_, layer)| layer.elements(role) as u64))
        };
        let size = |node: Node| (graph.get(node).output.elements() as u64 * F32).saturating_mul(batch);
        let is_input = |node: Node| graph.get(node).inputs.is_empty();
        let kept = graph.nodes().filter(|(node, layer)| {
            learning.contains(node)
                && !is_input(*node)
                && !layer.op.operation().is_view()
                && graph.fused_activation(*node).is_none()
        });
        let kept = total(kept.map(|(node, _)| size(node)));
        let input = total(graph.nodes().map(|(node, _)| node).filter(|node| is_input(*node)).map(size));
        let learned = held(&learning, Role::Trainable) * F32;
        Self {
            weights_bytes: (held(&answering, Role::Trainable) + held(&answering, Role::Buffer)) * F32,
            input_bytes: input,
            activations_bytes: total(answering.iter().copied().filter(|node| !is_input(*node)).map(size)),
            inference_peak_bytes: (inference_peak(graph) * F32).saturating_mul(batch),
            training_bytes: total([
                learned * (2 + optimizer.state()),
                held(&learning, Role::Buffer) * F32,
                kept,
                input,
            ]),
        }
    }
}

/// The sum, or the largest number if it is larger: batches have no limit.
fn total(parts: impl IntoIterator<Item = u64>) -> u64 {
    parts.into_iter().fold(0, u64::saturating_add)
}

/// The most values alive at once for one picture.
fn inference_peak(graph: &Graph) -> u64 {
    let active = graph.active(Mode::Eval);
    let mut readers: HashMap<Node, usize> = HashMap::new();
    for (_, layer) in graph.nodes().filter(|(node, _)| active.contains(node)) {
        for input in &layer.inputs {
            *readers.entry(*input).or_insert(0) += 1;
        }
    }
    for output in graph.outputs_in(Mode::Eval) {
        *readers.entry(output.node).or_insert(0) += 1; // An output is read by the caller: it stays.
    }
    // A view reads its input's memory, so a buffer may stand for several nodes: it is counted by readers of all.
    let mut buffer_of: HashMap<Node, usize> = HashMap::new();
    let mut buffers: Vec<Buffer> = Vec::new();
    let (mut alive, mut peak) = (0, 0);
    for (node, layer) in graph.nodes().filter(|(node, _)| active.contains(node)) {
        let operation = layer.op.operation();
        let size = layer.output.elements() as u64;
        let reads = |buffer: usize| layer.inputs.iter().filter(|input| buffer_of[*input] == buffer).count();
        let reusable = layer.inputs.iter().map(|input| buffer_of[input]).find(|&buffer| {
            let dies = buffers[buffer].readers == reads(buffer) && !buffers[buffer].is_picture;
            operation.is_view() || (operation.is_elementwise() && dies && buffers[buffer].size == size)
        });
        let own = readers.get(&node).copied().unwrap_or(0);
        let buffer = match reusable {
            Some(buffer) => {
                buffers[buffer].readers += own;
                buffer
            }
            None => {
                alive += size;
                buffers.push(Buffer { size, readers: own, is_picture: layer.inputs.is_empty() });
                buffers.len() - 1
            }
        };
        buffer_of.insert(node, buffer);
        peak = peak.max(alive);
        for input in &layer.inputs {
            let read = &mut buffers[buffer_of[input]];
            read.readers -= 1;
            if read.readers == 0 {
                alive -= read.size;
            }
        }
    }
    peak
}

/// Memory that one or several nodes share.
struct Buffer {
    size: u64,
    readers: usize,
    is_picture: bool,
}
