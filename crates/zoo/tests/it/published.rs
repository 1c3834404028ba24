//! Totals, names and shapes equal to what was published, and to what torchvision and timm themselves build.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use zoo::ARCHITECTURES;

use crate::figures::{Totals, here, names_and_shapes, published, totals};

#[test]
fn totals_equal_the_published_ones() {
    let lines = published();
    assert!(lines.len() > 30);
    for line in lines {
        line.check(&totals(&zoo::find(&line.model).unwrap().graph().unwrap()));
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
