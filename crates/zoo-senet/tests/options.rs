//! Options that fit and options that don't.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use zoo_layers::{Conv2d, Graph, Shape};
use zoo_senet::{Head, SeNet, Stem, legacy_seresnet50, senet154, squeeze_excite};

fn message(network: SeNet) -> String {
    network.graph().unwrap_err().to_string()
}

fn output(network: SeNet) -> Shape {
    let graph = network.graph().unwrap();
    graph.get(graph.main_output().node).output
}

#[test]
fn heads_are_classes_features_or_a_map() {
    let base = SeNet::SENET154;
    assert_eq!(output(SeNet { head: Head::Classes(7), ..base.clone() }), Shape::vector(7));
    assert_eq!(output(SeNet { head: Head::Pooled, ..base.clone() }), Shape::vector(2048));
    assert_eq!(output(SeNet { head: Head::None, ..base }), Shape::map(2048, 7, 7));
}

#[test]
fn stems_and_output_strides_are_resnets() {
    let size = |stem, output_stride| {
        let input = Shape::map(3, 64, 64);
        output(SeNet { head: Head::None, stem, output_stride, input, ..SeNet::SERESNET18 }).size()
    };
    assert_eq!([32, 16, 8].map(|stride| size(Stem::Imagenet, stride)), [[2, 2], [4, 4], [8, 8]]);
    assert_eq!([32, 16, 8].map(|stride| size(Stem::Deep, stride)), [[2, 2], [4, 4], [8, 8]]);
    assert_eq!(size(Stem::Small, 32), [8, 8]);
}

#[test]
fn names_and_shapes_stay_whatever_the_output_stride() {
    let params = |output_stride| -> Vec<(String, Vec<usize>)> {
        let graph = SeNet { output_stride, ..SeNet::SENET154 }.graph().unwrap();
        graph.params().map(|param| (param.name.clone(), param.shape.clone())).collect()
    };
    assert_eq!(params(8), params(32));
}

#[test]
fn senet154_halves_projects_by_three_and_drops() {
    let graph = senet154().unwrap();
    assert_eq!(graph.layer("layer2.0.conv1").unwrap().output.channels(), 256);
    assert_eq!(graph.layer("layer2.0.conv2").unwrap().output.channels(), 512);
    assert_eq!(graph.layer("layer1.0.downsample.0").unwrap().params[0].shape, [256, 128, 1, 1]);
    assert_eq!(graph.layer("layer2.0.downsample.0").unwrap().params[0].shape, [512, 256, 3, 3]);
    assert!(graph.layer("dropout").is_ok());
}

#[test]
fn what_does_not_fit_is_said_with_the_node() {
    let base = SeNet::SERESNET50;
    let zero = message(SeNet { head: Head::Classes(0), ..base.clone() });
    assert!(zero.starts_with("`fc`") && zero.contains("at least 1 class"), "{zero}");
    for reduction in [0, 257] {
        let reduction = message(SeNet { reduction, ..base.clone() });
        assert!(reduction.starts_with("`layer1.0.se.fc1`") && reduction.contains("1 to 256"), "{reduction}");
    }
    let groups = message(SeNet { reduce_first: 3, ..SeNet::SENET154 });
    assert!(groups.starts_with("`layer1.0.conv2`") && groups.contains("64 groups"), "{groups}");
    let stride = message(SeNet { output_stride: 12, ..base.clone() });
    assert!(stride.contains("layer4") && stride.contains("12") && stride.contains("8, 16 or 32"), "{stride}");
    let small = legacy_seresnet50().unwrap().at_size(4, 3).unwrap_err().to_string();
    assert!(small.starts_with("`maxpool`") && small.contains("2x2") && small.contains("3x3"), "{small}");
}

#[test]
fn any_graph_can_use_squeeze_and_excitation() {
    let graph = Graph::build("own", Shape::map(3, 8, 8), |net, picture| {
        let x = net.conv(picture, Conv2d::k3(32), "conv")?;
        let mut part = net.enter("block");
        let x = squeeze_excite(&mut part, x, 4)?;
        net.output("features", x)
    });
    let graph = graph.unwrap();
    assert_eq!(graph.layer("block.se.fc1").unwrap().params[0].shape, [8, 32, 1, 1]);
    assert_eq!(graph.layer("block.se.fc2").unwrap().params[0].shape, [32, 8, 1, 1]);
}
