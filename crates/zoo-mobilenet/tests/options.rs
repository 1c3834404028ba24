//! Options that fit and options that don't.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use zoo_layers::Shape;
use zoo_mobilenet::{Head, MobileNetV2, Stage};

fn output(network: MobileNetV2) -> Shape {
    let graph = network.graph().unwrap();
    graph.get(graph.main_output().node).output
}

#[test]
fn heads_are_classes_features_or_a_map() {
    let base = MobileNetV2::MOBILENET_V2_140;
    assert_eq!(output(MobileNetV2 { head: Head::Classes(7), ..base.clone() }), Shape::vector(7));
    assert_eq!(output(MobileNetV2 { head: Head::Pooled, ..base.clone() }), Shape::vector(1792));
    assert_eq!(output(MobileNetV2 { head: Head::None, ..base }), Shape::map(1792, 7, 7));
}

#[test]
fn what_does_not_fit_is_said_with_the_node() {
    let base = MobileNetV2::MOBILENET_V2;
    let message = |network: MobileNetV2| network.graph().unwrap_err().to_string();
    let zero = message(MobileNetV2 { head: Head::Classes(0), ..base.clone() });
    assert!(zero.starts_with("`classifier.1`") && zero.contains("at least 1 class"), "{zero}");
    let width = message(MobileNetV2 { width: 0, ..base.clone() });
    assert!(width.starts_with("`features`") && width.contains("at least 1"), "{width}");
    let mut stages = base.stages;
    stages[2] = Stage { expansion: 0, ..stages[2] };
    let expansion = message(MobileNetV2 { stages, ..base });
    assert!(expansion.starts_with("`features.4.conv.0.0`") && expansion.contains("0 output"), "{expansion}");
}
