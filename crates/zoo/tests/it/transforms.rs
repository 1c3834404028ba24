//! Networks made from networks: other classes, other channels, dense layers as convolutions.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo_layers::{Graph, Mode, Net, Shape};

use crate::generated;

/// Its output layer compares with fixed codes, so it has neither other classes nor an equivalent on maps.
const FIXED_OUTPUT: &str = "lenet5_paper";

fn classifiers() -> impl Iterator<Item = (&'static str, zoo_layers::Graph)> {
    let graphs = zoo::ARCHITECTURES.iter().map(|it| (it.name, it.graph().unwrap()));
    // Segmenters answer with maps.
    graphs.filter(|(_, graph)| {
        let output = graph.main_output();
        output.name == "logits" && matches!(graph.get(output.node).output, Shape::Vector { .. })
    })
}

#[test]
fn every_classifier_takes_other_classes() {
    for (name, graph) in classifiers() {
        let seven = graph.with_num_classes(7);
        if name == FIXED_OUTPUT {
            assert!(seven.unwrap_err().to_string().contains("RBF"));
            continue;
        }
        let seven = seven.unwrap();
        for output in seven.outputs() {
            assert_eq!(seven.get(output.node).output, Shape::vector(7), "{name}: {}", output.name);
        }
        let changed = graph.params().zip(seven.params()).filter(|(old, new)| old.shape != new.shape);
        assert_eq!(changed.count(), 2 * seven.outputs().len(), "{name}: a weight and a bias for each output");
        assert!(graph.with_num_classes(0).unwrap_err().to_string().contains("at least 1"), "{name}");
    }
}

#[test]
fn every_network_takes_other_channels() {
    for architecture in zoo::ARCHITECTURES {
        let (name, graph) = (architecture.name, architecture.graph().unwrap());
        for channels in [1, 3, 5] {
            let (other, _) = graph.with_in_channels(channels).unwrap();
            assert_eq!(other.input().channels(), channels, "{name}");
            let changed = graph.params().zip(other.params()).filter(|(old, new)| old.shape != new.shape);
            let expected = usize::from(channels != graph.input().channels());
            assert_eq!(changed.count(), expected, "{name}: {channels} channels");
        }
    }
    let pixels = zoo_googlenet::Pixels::Imagenet;
    let renormalising = zoo_googlenet::GoogLeNet { pixels, ..zoo_googlenet::GoogLeNet::GOOGLENET };
    let error = renormalising.graph().unwrap().with_in_channels(1).unwrap_err().to_string();
    assert!(error.contains("transform_input") && error.contains("3 scales"), "{error}");
}

#[test]
fn every_classifier_becomes_a_convolution() {
    for (name, graph) in classifiers() {
        let convolutional = graph.convolutionalize();
        if name == FIXED_OUTPUT {
            assert!(convolutional.unwrap_err().to_string().contains("RBF"));
            continue;
        }
        let (convolutional, _) = convolutional.unwrap();
        let classes = graph.get(graph.main_output().node).output.channels();
        assert_eq!(
            convolutional.get(convolutional.main_output().node).output,
            Shape::map(classes, 1, 1),
            "{name}"
        );
        assert!(
            convolutional.layers().iter().all(|layer| layer.op.operation().kind() != "Flatten"),
            "{name}"
        );
    }
}

#[test]
fn heads_are_classes_features_or_a_map() {
    use zoo::{
        alexnet::AlexNet, googlenet::GoogLeNet, inception::InceptionV3, layers::Head, mobilenet::MobileNetV2,
        resnet::ResNet, senet::SeNet, vgg::Vgg, xception::Xception,
    };

    let check = |describe: &dyn Fn(Head) -> Graph, features: usize, map: Shape| {
        let [classes, pooled, none] = [Head::Classes(7), Head::Pooled, Head::None].map(describe);
        let main =
            |graph: &Graph| (graph.main_output().name.clone(), graph.get(graph.main_output().node).output);
        assert_eq!(main(&classes), ("logits".into(), Shape::vector(7)), "{}", classes.name());
        assert_eq!(main(&pooled), ("features".into(), Shape::vector(features)), "{}", pooled.name());
        assert_eq!(main(&none), ("features".into(), map), "{}", none.name());
        assert!(
            none.params().count() <= pooled.params().count()
                && pooled.params().count() < classes.params().count()
        );
    };
    let map = Shape::map;
    for net in [AlexNet::ALEXNET, AlexNet::ALEXNET_PAPER] {
        check(&|head| AlexNet { head, ..net.clone() }.graph().unwrap(), 4096, map(256, 6, 6));
    }
    check(&|head| Vgg { head, ..Vgg::VGG11_BN }.graph().unwrap(), 4096, map(512, 7, 7));
    for net in [GoogLeNet::GOOGLENET, GoogLeNet::GOOGLENET_PAPER] {
        check(&|head| GoogLeNet { head, ..net.clone() }.graph().unwrap(), 1024, map(1024, 7, 7));
    }
    let inception = |head| InceptionV3 { head, ..InceptionV3::INCEPTION_V3 }.graph().unwrap();
    check(&inception, 2048, map(2048, 8, 8));
    check(&|head| ResNet { head, ..ResNet::RESNET34 }.graph().unwrap(), 512, map(512, 7, 7));
    check(&|head| SeNet { head, ..SeNet::LEGACY_SENET154 }.graph().unwrap(), 2048, map(2048, 7, 7));
    check(&|head| Xception { head, ..Xception::XCEPTION_KERAS }.graph().unwrap(), 2048, map(2048, 10, 10));
    let mobilenet = |head| MobileNetV2 { head, ..MobileNetV2::MOBILENET_V2_035 }.graph().unwrap();
    check(&mobilenet, 1280, map(1280, 7, 7));
}

#[test]
fn every_network_can_be_cut_at_any_node() {
    for architecture in zoo::ARCHITECTURES {
        let graph = architecture.graph().unwrap();
        for layer in graph.layers() {
            let cut = graph.cut(&[&layer.name]).unwrap();
            assert_eq!(
                cut.get(cut.main_output().node).output,
                layer.output,
                "{}: {}",
                graph.name(),
                layer.name
            );
            assert_eq!(cut.layers().last().unwrap().name, layer.name, "{}", graph.name());
        }
    }
}

/// The network as it is and convolutionalized, with the same fresh weights.
fn both(name: &str) -> (Net, Net) {
    let graph = zoo::find(name).unwrap().graph().unwrap();
    let dense = graph.init(1).unwrap();
    let tensors: HashMap<String, Tensor> =
        dense.tensors().map(|(param, tensor)| (param.name.clone(), tensor.clone())).collect();
    let (graph, carry) = graph.convolutionalize().unwrap();
    let convolutional = graph.load_tensors(&carry.tensors(&tensors).unwrap(), &Device::Cpu).unwrap();
    (dense, convolutional)
}

/// The same logits at the nominal size, and a map of `map` on a picture larger by `more` rows and columns.
fn assert_equivalent(name: &str, more: [usize; 2], map: [usize; 2]) {
    let (dense, convolutional) = both(name);
    let (channels, [height, width]) = (dense.graph().input().channels(), dense.graph().input().size());
    let picture = generated::input("input", &[1, channels, height, width], 1.0);
    let expected = dense.forward(&picture, Mode::Eval).unwrap();
    let classes = expected.dims()[1];
    let logits = convolutional.forward(&picture, Mode::Eval).unwrap();
    assert_eq!(logits.dims(), [1, classes, 1, 1], "{name}");
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (expected, logits) = (values(&expected), values(&logits));
    let largest = expected.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
    let worst = expected.iter().zip(&logits).fold(0.0_f32, |max, (a, b)| max.max((a - b).abs()));
    assert!(largest > 0.0 && worst <= 1e-5 * largest, "{name}: off by {worst} of {largest}");

    let larger = generated::input("input", &[1, channels, height + more[0], width + more[1]], 1.0);
    let logits = convolutional.forward(&larger, Mode::Eval).unwrap();
    assert_eq!(logits.dims(), [1, classes, map[0], map[1]], "{name}");
    assert!(values(&logits).into_iter().all(f32::is_finite), "{name}");
}

#[test]
fn convolutionalized_alexnet_says_the_same() {
    assert_equivalent("alexnet", [32, 64], [2, 3]);
    assert_equivalent("alexnet_paper", [32, 32], [2, 2]);
}

#[test]
fn convolutionalized_vgg16_says_the_same() {
    assert_equivalent("vgg16", [32, 32], [2, 2]);
}

#[test]
fn convolutionalized_global_pools_say_the_same() {
    assert_equivalent("lenet5", [4, 8], [2, 3]);
    assert_equivalent("resnet18", [32, 64], [2, 3]);
    assert_equivalent("googlenet", [32, 32], [2, 2]);
}

#[test]
fn a_map_of_variables_gets_the_values_that_are_given() {
    let graph = zoo::find("lenet5_paper").unwrap().graph().unwrap();
    let drawn = graph.init(1).unwrap();
    let map = candle_nn::VarMap::new();
    let weights = candle_nn::VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    let loaded = graph.load(weights).unwrap();
    let mut given = 0;
    for ((param, ours), (_, theirs)) in loaded.tensors().zip(drawn.tensors()) {
        if matches!(param.init, zoo_layers::Init::Values(_)) {
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(ours), values(theirs), "{}", param.name);
            given += 1;
        }
    }
    assert!(given > 0);
}
