//! All figures of one network.

use serde::Serialize;
use zoo_layers::{Graph, Mode, Result, Role};

use crate::{Memory, Optimizer};

/// For what the memory is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pictures at once.
    pub batch: usize,
    /// What trains.
    pub optimizer: Optimizer,
}

impl Default for Options {
    fn default() -> Self {
        Self { batch: 1, optimizer: Optimizer::Sgd }
    }
}

/// Numbers that a network holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Params {
    /// What the field calls parameters.
    pub total: u64,
    /// Those of them that are learned.
    pub trainable: u64,
    /// Running statistics and fixed codes.
    pub buffers: u64,
    /// Learned numbers of heads whose output exists in training only.
    pub auxiliary: u64,
}

/// One node's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerRow {
    /// Full path.
    pub name: String,
    /// Kind of operation.
    pub op: String,
    /// Options in few words; not part of the JSON contract.
    #[serde(skip)]
    pub detail: String,
    /// (n, c, h, w) or (n, features).
    pub output: Vec<usize>,
    /// Learned numbers.
    pub params: u64,
    /// Multiply-accumulates for one picture.
    pub macs: u64,
    /// Whether it exists in training only; not part of the JSON contract.
    #[serde(skip)]
    pub auxiliary: bool,
}

/// A network's figures: `zoo summary --format json` prints this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Name of the network.
    pub model: String,
    /// (n, c, h, w).
    pub input: Vec<usize>,
    /// Numbers held.
    pub params: Params,
    /// Multiply-accumulates for one picture, without auxiliary heads.
    pub macs: u64,
    /// Multiply-accumulates of auxiliary heads.
    pub macs_auxiliary: u64,
    /// Bytes for the batch.
    pub memory: Memory,
    /// All nodes in execution order, the picture itself left out.
    pub layers: Vec<LayerRow>,
}

impl Summary {
    /// Reads all figures from the graph.
    ///
    /// # Errors
    /// A graph that can't be planned.
    pub fn of(graph: &Graph, options: &Options) -> Result<Self> {
        let answering = graph.active(Mode::Eval);
        let layers = graph.nodes().filter(|(_, layer)| !layer.inputs.is_empty());
        let layers: Vec<LayerRow> = layers
            .map(|(node, layer)| LayerRow {
                name: layer.name.clone(),
                op: layer.op.operation().kind().into(),
                detail: layer.op.operation().detail(),
                output: layer.output.with_batch(options.batch),
                params: layer.elements(Role::Trainable) as u64,
                macs: layer.macs,
                auxiliary: !answering.contains(node),
            })
            .collect();
        let sum = |auxiliary: bool, figure: fn(&LayerRow) -> u64| -> u64 {
            layers.iter().filter(|row| row.auxiliary == auxiliary).map(figure).fold(0, u64::saturating_add)
        };
        let total = sum(false, |row| row.params);
        let buffers = graph.nodes().filter(|(node, _)| answering.contains(*node));
        let buffers = buffers.map(|(_, layer)| layer.elements(Role::Buffer) as u64).sum();
        Ok(Self {
            model: graph.name().into(),
            input: graph.input().with_batch(options.batch),
            params: Params { total, trainable: total, buffers, auxiliary: sum(true, |row| row.params) },
            macs: sum(false, |row| row.macs),
            macs_auxiliary: sum(true, |row| row.macs),
            memory: Memory::of(graph, options.batch as u64, options.optimizer)?,
            layers,
        })
    }
}
