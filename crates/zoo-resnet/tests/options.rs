//! Options that fit and options that don't.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use zoo_layers::Shape;
use zoo_resnet::{Head, ResNet, Stem};

fn message(network: ResNet) -> String {
    network.graph().unwrap_err().to_string()
}

fn output(network: ResNet) -> Shape {
    let graph = network.graph().unwrap();
    graph.get(graph.main_output().node).output
}

#[test]
fn heads_are_classes_features_or_a_map() {
    let base = ResNet::RESNET50;
    assert_eq!(output(ResNet { head: Head::Classes(7), ..base.clone() }), Shape::vector(7));
    assert_eq!(output(ResNet { head: Head::Pooled, ..base.clone() }), Shape::vector(2048));
    assert_eq!(output(ResNet { head: Head::None, ..base }), Shape::map(2048, 7, 7));
}

#[test]
fn strides_are_traded_for_dilation() {
    let size = |stem, output_stride| {
        let input = Shape::map(3, 64, 64);
        output(ResNet { head: Head::None, stem, output_stride, input, ..ResNet::RESNET18 }).size()
    };
    assert_eq!([32, 16, 8].map(|stride| size(Stem::Imagenet, stride)), [[2, 2], [4, 4], [8, 8]]);
    assert_eq!([32, 8, 4, 2].map(|stride| size(Stem::Small, stride)), [[8, 8], [8, 8], [16, 16], [32, 32]]);
}

#[test]
fn names_and_shapes_stay_whatever_the_output_stride() {
    let params = |output_stride| -> Vec<(String, Vec<usize>)> {
        let graph = ResNet { output_stride, ..ResNet::RESNET50 }.graph().unwrap();
        graph.params().map(|param| (param.name.clone(), param.shape.clone())).collect()
    };
    assert_eq!(params(8), params(32));
}

#[test]
fn what_does_not_fit_is_said_with_the_node() {
    let base = ResNet::RESNET50;
    let zero = message(ResNet { head: Head::Classes(0), ..base.clone() });
    assert!(zero.starts_with("`fc`") && zero.contains("at least 1 class"), "{zero}");
    let groups = message(ResNet { cardinality: 0, ..base.clone() });
    assert!(groups.starts_with("`layer1.0.conv1`") && groups.contains("0 output channels"), "{groups}");
    let stride = message(ResNet { output_stride: 64, ..base.clone() });
    assert!(stride.contains("layer4") && stride.contains("64") && stride.contains("8, 16 or 32"), "{stride}");
    let stride = message(ResNet { output_stride: 16, stem: Stem::Small, ..base });
    assert!(stride.contains("2, 4 or 8"), "{stride}");
}
