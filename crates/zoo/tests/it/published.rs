//! Totals, names and shapes equal to what was published, and to what torchvision and timm themselves build.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use zoo::{ARCHITECTURES, Metric};
use zoo_layers::{Graph, Param, Role};

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

/// Learned numbers of a graph whose names do not start with `without`.
fn learned(graph: &Graph, without: &str) -> usize {
    let params =
        graph.params().filter(|param| param.role == Role::Trainable && !param.name.starts_with(without));
    params.map(Param::elements).sum()
}

/// Figures for networks that have no name of their own: one choice away from one that has.
#[test]
fn totals_of_other_choices_equal_the_arithmetic() {
    use zoo::{alexnet::AlexNet, googlenet, googlenet::GoogLeNet, layers::Head, vgg::Vgg};

    let style = googlenet::Style { norm: googlenet::Norm::Batch, widest: googlenet::Widest::K5 };
    let true_5x5 = totals(&GoogLeNet { style, ..GoogLeNet::GOOGLENET }.graph().unwrap());
    assert_eq!([true_5x5.params, true_5x5.params + true_5x5.params_auxiliary], [7_005_832, 13_385_816]);
    let stages = AlexNet::ALEXNET_PAPER.stages.map(|stage| zoo::alexnet::Stage { groups: 1, ..stage });
    let ungrouped = AlexNet { stages, ..AlexNet::ALEXNET_PAPER }.graph().unwrap();
    assert_eq!(totals(&ungrouped).params, 62_378_344);
    let convolutions = Vgg { head: Head::None, ..Vgg::VGG16 }.graph().unwrap();
    assert_eq!(totals(&convolutions).params, 14_714_688);
    // With the transposed convolutions fixed to interpolation, as the authors had the last one.
    let fixed = |name: &str| learned(&zoo::find(name).unwrap().graph().unwrap(), "upscore");
    assert_eq!(["fcn32s", "fcn16s", "fcn8s"].map(fixed), [134_346_581, 134_357_354, 134_362_751]);
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
    assert_eq!(checked, ARCHITECTURES.len() - UNPUBLISHED.len());
}

/// Architectures that neither torchvision nor timm has, nor a restatement in the golden scripts.
const UNPUBLISHED: [&str; 8] = [
    "lenet5_paper",
    "mnist_convnet",
    "digitnet",
    "three_convs",
    "fcn32s_small",
    "fcn16s_small",
    "fcn8s_small",
    "fcn_digits",
];

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
    assert_eq!(checked, ARCHITECTURES.len() - UNPUBLISHED.len());
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

/// The default weights' accuracy is the one that is listed, where both are told by the same measure.
#[test]
fn listed_accuracies_are_those_of_the_default_weights() {
    let manifest = zoo_weights::Manifest::published().unwrap();
    let mut checked = 0;
    for architecture in ARCHITECTURES {
        let weights = manifest.of(architecture.name).next();
        let Some(weights) = weights else { continue };
        let has_any = weights.accuracy.top1.or(weights.accuracy.miou).is_some();
        let Some(listed) = architecture.accuracy else {
            assert!(!has_any, "{}: its accuracy isn't listed", weights.tag);
            continue;
        };
        let theirs = match listed.metric {
            Metric::Top1 => weights.accuracy.top1,
            Metric::Top5 => weights.accuracy.top5,
            Metric::MeanIou => weights.accuracy.miou,
        };
        let Some(theirs) = theirs else { continue };
        assert_eq!(listed.percent, theirs, "{}: {}", architecture.name, weights.tag);
        checked += 1;
    }
    assert!(checked >= 30, "only {checked} accuracies were compared");
}

#[test]
fn every_family_has_published_weights() {
    let manifest = zoo_weights::Manifest::published().unwrap();
    let mut families = BTreeMap::new();
    for architecture in ARCHITECTURES {
        let default = manifest.of(architecture.name).next();
        *families.entry(architecture.family.name).or_insert(false) |= default.is_some();
    }
    // The example is no paper's network, and nobody trained it.
    families.remove("Example");
    assert!(families.values().all(|has| *has), "{families:?}");
}
