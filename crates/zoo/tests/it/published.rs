//! Every variant has the published number of parameters and multiply-accumulates, and the published checkpoint's
//! names and shapes.
//!
//! `facts.json` and `state_dicts` beside the goldens were read from torchvision, timm and the restatements.

use std::{collections::HashMap, fs, path::PathBuf};

use serde::Deserialize;
use zoo_layers::{Graph, Layer, Mode, Role};

/// Networks that nobody else publishes: their figures are the project's own.
const UNPUBLISHED: [&str; 3] = ["lenet5_paper", "mnist_convnet", "three_convs"];

#[derive(Deserialize)]
struct Facts {
    models: HashMap<String, Figures>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Figures {
    input: Vec<usize>,
    params: u64,
    params_auxiliary: u64,
    buffers: u64,
    buffers_auxiliary: u64,
    macs: u64,
    macs_auxiliary: u64,
}

/// The same figures, read from the graph.
fn figures(graph: &Graph) -> Figures {
    let active = graph.active(Mode::Eval);
    let sum = |auxiliary: bool, of: &dyn Fn(&Layer) -> u64| -> u64 {
        let layers = graph.nodes().filter(|(node, _)| active.contains(node) != auxiliary);
        layers.map(|(_, layer)| of(layer)).sum()
    };
    let params = |layer: &Layer| layer.elements(Role::Trainable) as u64;
    let buffers = |layer: &Layer| layer.elements(Role::Buffer) as u64;
    let macs = |layer: &Layer| layer.macs;
    Figures {
        input: graph.input().with_batch(1),
        params: sum(false, &params),
        params_auxiliary: sum(true, &params),
        buffers: sum(false, &buffers),
        buffers_auxiliary: sum(true, &buffers),
        macs: sum(false, &macs),
        macs_auxiliary: sum(true, &macs),
    }
}

fn goldens() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

#[test]
fn parameters_and_macs_are_the_published_ones() {
    let facts: Facts = serde_json::from_str(include_str!("../goldens/facts.json")).unwrap();
    for architecture in zoo::ARCHITECTURES {
        match facts.models.get(architecture.name) {
            Some(published) => {
                assert_eq!(&figures(&architecture.graph().unwrap()), published, "{}", architecture.name);
            }
            None => assert!(UNPUBLISHED.contains(&architecture.name), "{} has no facts", architecture.name),
        }
    }
}

#[test]
fn names_and_shapes_are_the_published_ones() {
    for architecture in zoo::ARCHITECTURES.iter().filter(|it| !UNPUBLISHED.contains(&it.name)) {
        let name = architecture.name;
        let file = match name.starts_with("legacy_se") {
            true => format!("state_dicts/{name}.modern.txt"),
            false => format!("state_dicts/{name}.txt"),
        };
        let published = fs::read_to_string(goldens().join(&file)).expect(&file);
        let mut published: Vec<&str> = published.lines().collect();
        published.sort_unstable();
        let line = |param: &zoo_layers::Param| {
            let shape: Vec<String> = param.shape.iter().map(usize::to_string).collect();
            format!("{} {}", param.name, shape.join("x"))
        };
        let graph = architecture.graph().unwrap();
        let mut ours: Vec<String> = graph.params().map(line).collect();
        ours.sort_unstable();
        for (ours, published) in ours.iter().zip(&published) {
            assert_eq!(ours, published, "{name}");
        }
        assert_eq!(ours.len(), published.len(), "{name}");
    }
}
