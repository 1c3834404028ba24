//! What a graph counts, and what was published of it.

use std::{fs, path::PathBuf};

use zoo_layers::{Graph, Mode, Param, Role};

/// A file beside the tests.
pub(crate) fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// Learned numbers, buffers and multiply-accumulates of what answers, then the same of auxiliary heads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) params: u64,
    pub(crate) buffers: u64,
    pub(crate) macs: u64,
    pub(crate) params_auxiliary: u64,
    pub(crate) buffers_auxiliary: u64,
    pub(crate) macs_auxiliary: u64,
}

/// Counts what a graph holds and computes.
pub(crate) fn totals(graph: &Graph) -> Totals {
    let answering = graph.active(Mode::Eval);
    let mut totals = Totals::default();
    for (node, layer) in graph.nodes() {
        let (params, buffers) = (layer.elements(Role::Trainable) as u64, layer.elements(Role::Buffer) as u64);
        if answering.contains(node) {
            totals.params += params;
            totals.buffers += buffers;
            totals.macs += layer.macs;
        } else {
            totals.params_auxiliary += params;
            totals.buffers_auxiliary += buffers;
            totals.macs_auxiliary += layer.macs;
        }
    }
    totals
}

/// One line of `published.csv`: a figure that somebody published, as printed.
pub(crate) struct Line {
    pub(crate) model: String,
    pub(crate) figure: String,
    value: String,
    source: String,
}

impl Line {
    /// Compares the figure, to the digits that were printed.
    pub(crate) fn check(&self, totals: &Totals) {
        let Self { model, figure, value, source } = self;
        let ours = match figure.as_str() {
            "parameters" => totals.params.to_string(),
            "parameters with auxiliary" => (totals.params + totals.params_auxiliary).to_string(),
            "buffers" => totals.buffers.to_string(),
            "GMACs" | "GMACs with auxiliary" => {
                let auxiliary = if figure == "GMACs" { 0 } else { totals.macs_auxiliary };
                let decimals = value.split('.').nth(1).map_or(0, str::len);
                format!("{:.decimals$}", (totals.macs + auxiliary) as f64 / 1e9)
            }
            other => panic!("published.csv: unknown figure `{other}`"),
        };
        assert_eq!(ours, *value, "{model}: {figure}, by {source}");
    }
}

/// All lines of `published.csv`.
pub(crate) fn published() -> Vec<Line> {
    let text = fs::read_to_string(here("published.csv")).unwrap();
    let line = |line: &str| {
        let mut cells = line.splitn(4, ',').map(str::to_string);
        let mut next = || cells.next().unwrap_or_else(|| panic!("published.csv: too few cells in `{line}`"));
        Line { model: next(), figure: next(), value: next(), source: next() }
    };
    text.lines().skip(1).filter(|line| !line.is_empty()).map(line).collect()
}

/// `conv1.weight 64x3x7x7`, line by line.
pub(crate) fn names_and_shapes(graph: &Graph) -> Vec<String> {
    let line = |param: &Param| {
        let shape = param.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        format!("{} {shape}", param.name)
    };
    graph.params().map(line).collect()
}
