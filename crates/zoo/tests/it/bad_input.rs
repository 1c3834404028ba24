//! Options and pictures that can't be: an error when the graph is built, with the node, the value and what would fit.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo::{
    Options,
    alexnet::{AlexNet, Stage},
    googlenet::GoogLeNet,
    layers::{Conv2d, Graph, Head, Mode, Shape},
    mobilenet::MobileNetV2,
    resnet::ResNet,
    senet::SeNet,
    vgg::Vgg,
    xception::Xception,
};

fn graph(name: &str) -> Graph {
    zoo::find(name).unwrap().graph().unwrap()
}

/// The sentence begins with the node (or the network) and holds all of `parts`.
fn refused<T: std::fmt::Debug, E: std::fmt::Display>(outcome: Result<T, E>, node: &str, parts: &[&str]) {
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains(&format!("`{node}`")), "`{node}` is not named: {error}");
    for part in parts {
        assert!(error.contains(part), "`{part}` is not said: {error}");
    }
}

#[test]
fn zero_classes() {
    refused(
        AlexNet { head: Head::Classes(0), ..AlexNet::ALEXNET }.graph(),
        "classifier.6",
        &["at least 1 class"],
    );
    refused(Vgg { head: Head::Classes(0), ..Vgg::VGG16_BN }.graph(), "classifier.6", &["at least 1 class"]);
    refused(graph("googlenet").with_num_classes(0), "aux1.fc2", &["at least 1 class"]);
    refused(graph("fcn8s").with_num_classes(0), "score_fr", &["0 output channels", "at least 1"]);
}

#[test]
fn channels_that_the_groups_do_not_divide() {
    let mut stages = AlexNet::ALEXNET_PAPER.stages;
    stages[1] = Stage { groups: 5, ..stages[1] };
    refused(
        AlexNet { stages, ..AlexNet::ALEXNET_PAPER }.graph(),
        "conv2",
        &["5 groups", "96 input and 256 output channels", "multiples of 5"],
    );
    stages[1].groups = 0;
    refused(AlexNet { stages, ..AlexNet::ALEXNET_PAPER }.graph(), "conv2", &["0 groups", "at least 1"]);
    let senet = SeNet { reduce_first: 3, ..SeNet::SENET154 };
    refused(senet.graph(), "layer1.0.conv2", &["64 groups", "multiples of 64"]);
    // Other channels of the picture are refused by a convolution that has groups.
    let grouped = Graph::build("grouped", Shape::map(4, 8, 8), |net, picture| {
        let x = net.conv(picture, Conv2d::k3(8).groups(2), "conv1")?;
        net.output("features", x)
    });
    refused(grouped.unwrap().with_in_channels(3), "conv1", &["2 groups", "3 input"]);
}

#[test]
fn output_strides_that_a_network_does_not_have() {
    for stride in [0, 4, 12, 64, usize::MAX] {
        let (value, output_stride) = (stride.to_string(), Some(stride));
        let parts = [value.as_str(), "8, 16 or 32"];
        let options = Options { output_stride, ..Options::default() };
        for name in ["resnet18", "resnext50_32x4d", "legacy_senet154"] {
            refused(zoo::find(name).unwrap().graph_for(&options), "layer4", &parts);
        }
        refused(zoo::find("xception_keras").unwrap().graph_for(&options), "block12", &parts);
        refused(zoo::find("vgg16").unwrap().graph_for(&options), "vgg16", &["output stride", "ResNet"]);
    }
    let small = Options { output_stride: Some(32), small_stem: true, ..Options::default() };
    assert!(zoo::find("seresnet18").unwrap().graph_for(&small).is_ok(), "32 trades nothing");
    let small = Options { output_stride: Some(16), small_stem: true, ..Options::default() };
    refused(zoo::find("seresnet18").unwrap().graph_for(&small), "layer4", &["16", "2, 4 or 8"]);
}

#[test]
fn pictures_too_small_for_the_last_pool() {
    refused(graph("alexnet").at_size(62, 200), "features.12", &["3x3", "2x11", "takes is 3x63x63"]);
    refused(graph("vgg19_bn").at_size(31, 31), "features.52", &["2x2", "1x1", "takes is 3x32x32"]);
    refused(
        graph("inception_v3").at_size(74, 74),
        "AuxLogits.pool",
        &["5x5", "takes is 3x299x299", "cut at `logits`"],
    );
    // What is needed to answer alone takes smaller ones.
    let answering = graph("inception_v3").cut(&["logits"]).unwrap();
    refused(answering.at_size(74, 74), "Mixed_7a.branch3x3_2.conv", &["takes is 3x75x75"]);
    let described = AlexNet { input: Shape::map(3, 40, 40), ..AlexNet::ALEXNET_PAPER };
    refused(described.graph(), "pool5", &["3x3", "1x1", "larger picture"]);
    // A network with weights says the same instead of failing on the way.
    let net = ResNet { head: Head::None, ..ResNet::RESNET18 }.graph().unwrap().init(1).unwrap();
    let nothing = Tensor::zeros((1, 3, 0, 9), DType::F32, &Device::Cpu).unwrap();
    refused(net.forward(&nothing, Mode::Eval), "resnet18", &["height", "[1, 3, 0, 9]"]);
    let legacy = graph("legacy_seresnet18").init(1).unwrap();
    let small = Tensor::zeros((1, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
    refused(legacy.forward(&small, Mode::Eval), "maxpool", &["3x3", "2x2", "takes is 3x5x5"]);
}

#[test]
fn numbers_beyond_any_memory() {
    let most = usize::MAX;
    for (name, classifier) in [("resnet50", "fc"), ("vgg16", "classifier.6"), ("googlenet", "aux1.fc2")] {
        refused(graph(name).with_num_classes(most), classifier, &["memory"]);
    }
    refused(graph("resnet50").with_in_channels(most), "input", &["memory"]);
    refused(graph("fcn8s").at_size(most, 3), "input", &["memory"]);
    refused(
        graph("fcn_resnet50").at_size(1 << 17, 1 << 17),
        "input",
        &["3x131072x131072", "smaller picture"],
    );
    let wide = MobileNetV2 { width: most, ..MobileNetV2::MOBILENET_V2 };
    refused(wide.graph(), "features.0.0", &["memory"]);
    let units = Xception { entry: [most; 3], ..Xception::XCEPTION };
    refused(units.graph(), "block1.rep.0.pointwise", &["memory"]);
}

#[test]
fn no_channels() {
    refused(graph("xception").with_in_channels(0), "input", &["0x299x299", "at least 1"]);
    refused(
        MobileNetV2 { width: 0, ..MobileNetV2::MOBILENET_V2 }.graph(),
        "features",
        &["0 %", "at least 1 %"],
    );
    refused(SeNet { reduction: 65, ..SeNet::SERESNET18 }.graph(), "layer1.0.se.fc1", &["65", "1 to 64"]);
}

#[test]
fn dropout_that_drops_everything() {
    for dropout in [1.0, -0.1, f64::NAN] {
        let net = GoogLeNet { dropout, ..GoogLeNet::GOOGLENET };
        refused(net.graph(), "dropout", &[&dropout.to_string(), "below 1"]);
    }
}

#[test]
fn dense_layers_over_uneven_regions() {
    // At 300 pixels AlexNet's last map is 8x8, which 6x6 regions can't share evenly.
    let larger = AlexNet { input: Shape::map(3, 300, 300), ..AlexNet::ALEXNET }.graph().unwrap();
    refused(larger.convolutionalize(), "avgpool", &["8x8", "6x6"]);
    refused(graph("lenet5_paper").convolutionalize(), "output", &["RBF"]);
}

#[test]
fn nodes_that_are_not_there() {
    refused(graph("resnet50").cut(&["layer5"]), "layer5", &["`layer4`", "resnet50"]);
    refused(graph("googlenet").cut(&["inception4f"]), "inception4f", &["`inception4a`"]);
    let nowhere: [&str; 0] = [];
    refused(graph("resnet50").cut(&nowhere), "resnet50", &["no output"]);
}

#[test]
fn tensors_that_a_transform_can_not_carry() {
    let (_, carry) = graph("lenet5").convolutionalize().unwrap();
    let wrong = Tensor::zeros((120, 7), DType::F32, &Device::Cpu).unwrap();
    refused(carry.tensors(&HashMap::from([("fc1.weight".into(), wrong.clone())])), "fc1.weight", &["120"]);
    let (_, carry) = graph("lenet5").with_in_channels(3).unwrap();
    refused(carry.tensors(&HashMap::from([("conv1.weight".into(), wrong)])), "conv1.weight", &["120"]);
}
