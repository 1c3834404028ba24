//! Totals, names and shapes equal to what was published, and to what torchvision and timm themselves build.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use zoo::ARCHITECTURES;
use zoo_layers::{Graph, Mode, Param, Role};

fn here(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// Learned numbers, buffers and multiply-accumulates of what answers, then the same of auxiliary heads.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    params: u64,
    buffers: u64,
    macs: u64,
    params_auxiliary: u64,
    buffers_auxiliary: u64,
    macs_auxiliary: u64,
}

fn totals(graph: &Graph) -> Totals {
    let answering = graph.active(Mode::Eval);
    let mut totals = Totals::default();
    for (node, layer) in graph.nodes() {
        let (params, buffers) = (layer.elements(Role::Trainable) as u64, layer.elements(Role::Buffer) as u64);
        if answering.contains(&node) {
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
struct Line {
    model: String,
    figure: String,
    value: String,
    source: String,
}

fn published() -> Vec<Line> {
    let text = fs::read_to_string(here("published.csv")).unwrap();
    let line = |line: &str| {
        let mut cells = line.splitn(4, ',').map(str::to_string);
        let mut next = || cells.next().unwrap_or_else(|| panic!("published.csv: too few cells in `{line}`"));
        Line { model: next(), figure: next(), value: next(), source: next() }
    };
    text.lines().skip(1).filter(|line| !line.is_empty()).map(line).collect()
}

#[test]
fn totals_equal_the_published_ones() {
    let lines = published();
    assert!(lines.len() > 30);
    for Line { model, figure, value, source } in lines {
        let totals = totals(&zoo::find(&model).unwrap().graph().unwrap());
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
        assert_eq!(ours, value, "{model}: {figure}, by {source}");
    }
}

#[test]
fn every_architecture_has_a_published_total() {
    let lines = published();
    for architecture in ARCHITECTURES {
        let has =
            lines.iter().any(|line| line.model == architecture.name && line.figure.starts_with("parameters"));
        assert!(has, "{}: write its published total into published.csv", architecture.name);
    }
}

#[test]
fn totals_equal_those_of_the_packages() {
    #[derive(Deserialize)]
    struct Facts {
        models: BTreeMap<String, Fact>,
    }
    #[derive(Deserialize)]
    struct Fact {
        params: u64,
        params_auxiliary: u64,
        buffers: u64,
        buffers_auxiliary: u64,
        macs: u64,
        macs_auxiliary: u64,
    }
    let facts: Facts =
        serde_json::from_str(&fs::read_to_string(here("goldens/facts.json")).unwrap()).unwrap();
    let mut checked = 0;
    for architecture in ARCHITECTURES {
        let Some(fact) = facts.models.get(architecture.name) else { continue };
        let theirs = Totals {
            params: fact.params,
            buffers: fact.buffers,
            macs: fact.macs,
            params_auxiliary: fact.params_auxiliary,
            buffers_auxiliary: fact.buffers_auxiliary,
            macs_auxiliary: fact.macs_auxiliary,
        };
        assert_eq!(totals(&architecture.graph().unwrap()), theirs, "{}", architecture.name);
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} architectures were compared");
}

/// `conv1.weight 64x3x7x7`, line by line.
fn names_and_shapes(graph: &Graph) -> Vec<String> {
    let line = |param: &Param| {
        let shape = param.shape.iter().map(usize::to_string).collect::<Vec<_>>().join("x");
        format!("{} {shape}", param.name)
    };
    graph.params().map(line).collect()
}

#[test]
fn names_and_shapes_equal_the_published_checkpoints() {
    let mut checked = 0;
    for architecture in ARCHITECTURES {
        // A legacy SENet has the modern names here; the file of those is the one to equal.
        let modern = here(&format!("goldens/state_dicts/{}.modern.txt", architecture.name));
        let plain = here(&format!("goldens/state_dicts/{}.txt", architecture.name));
        let Ok(text) = fs::read_to_string(modern).or_else(|_| fs::read_to_string(plain)) else { continue };
        let mut theirs: Vec<&str> = text.lines().collect();
        let mut ours = names_and_shapes(&architecture.graph().unwrap());
        theirs.sort_unstable();
        ours.sort_unstable();
        assert_eq!(ours, theirs, "{}", architecture.name);
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} architectures were compared");
}

#[test]
fn names_shapes_and_totals_are_as_blessed() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for architecture in ARCHITECTURES {
            let graph = architecture.graph().unwrap();
            let totals = totals(&graph);
            let mut lines = vec![
                format!("input {}", graph.input()),
                format!("parameters {} (auxiliary {})", totals.params, totals.params_auxiliary),
                format!("buffers {} (auxiliary {})", totals.buffers, totals.buffers_auxiliary),
                format!("macs {} (auxiliary {})", totals.macs, totals.macs_auxiliary),
                String::new(),
            ];
            lines.extend(names_and_shapes(&graph));
            insta::assert_snapshot!(architecture.name, lines.join("\n"));
        }
    });
}

#[test]
fn every_model_of_the_manifest_is_an_architecture() {
    for weights in zoo_weights::Manifest::published().unwrap().weights {
        assert!(zoo::find(weights.model()).is_ok(), "{}: no such architecture", weights.tag);
    }
}

#[test]
fn every_family_has_published_weights_and_the_default_ones_have_the_accuracy_that_is_listed() {
    let manifest = zoo_weights::Manifest::published().unwrap();
    let mut families = BTreeMap::new();
    for architecture in ARCHITECTURES {
        let default = manifest.of(architecture.name).next();
        *families.entry(architecture.family.name).or_insert(false) |= default.is_some();
        let Some((weights, published)) = default.zip(architecture.accuracy) else { continue };
        assert_eq!(weights.accuracy.top1, Some(published.top1), "{}", weights.tag);
    }
    // The example is no paper's network, and nobody trained it.
    families.remove("Example");
    assert!(families.values().all(|has| *has), "{families:?}");
}
