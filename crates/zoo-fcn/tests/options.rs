//! Options that fit and options that don't.

use zoo_fcn::{Auxiliary, FcnResNet, FcnVgg, fcn_resnet50, fcn8s, fcn16s, fcn32s};
use zoo_layers::{Mode, Shape};
use zoo_resnet::ResNet;

#[test]
fn maps_are_as_large_as_the_picture() {
    for network in [fcn32s(), fcn16s(), fcn8s(), fcn_resnet50()] {
        let network = network.unwrap();
        for [height, width] in [[1, 1], [17, 24], [65, 97], [128, 160]] {
            let graph = network.at_size(height, width).unwrap();
            let output = graph.get(graph.main_output().node).output;
            assert_eq!(output, Shape::map(21, height, width), "{}", graph.name());
        }
    }
}

#[test]
fn the_auxiliary_head_is_for_training() {
    let graph = fcn_resnet50().unwrap();
    let names = |mode| graph.outputs_in(mode).map(|output| output.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(Mode::Eval), ["logits"]);
    assert_eq!(names(Mode::Train), ["logits", "aux"]);
    let alone = FcnResNet { auxiliary: Auxiliary::None, ..FcnResNet::FCN_RESNET50 }.graph().unwrap();
    assert_eq!(alone.outputs().len(), 1);
    assert!(alone.params().all(|param| !param.name.starts_with("aux")));
}

#[test]
fn a_backbone_can_be_any_resnet_at_any_stride() {
    let backbone = ResNet { output_stride: 16, ..ResNet::RESNET18 };
    let graph = FcnResNet { backbone, ..FcnResNet::FCN_RESNET50 }.graph().unwrap();
    assert_eq!(graph.layer("classifier.4").unwrap().output, Shape::map(21, 33, 33));
}

#[test]
fn what_does_not_fit_is_said_with_the_node() {
    let zero = FcnVgg { classes: 0, ..FcnVgg::FCN8S }.graph().unwrap_err().to_string();
    assert!(zero.starts_with("`score_fr`") && zero.contains("0 output channels"), "{zero}");
    let zero = FcnResNet { classes: 0, ..FcnResNet::FCN_RESNET50 }.graph().unwrap_err().to_string();
    assert!(zero.starts_with("`classifier.4`") && zero.contains("0 output channels"), "{zero}");
    let backbone = ResNet { output_stride: 7, ..ResNet::RESNET50 };
    let stride = FcnResNet { backbone, ..FcnResNet::FCN_RESNET50 }.graph().unwrap_err().to_string();
    assert!(stride.starts_with("`backbone.layer4`") && stride.contains("8, 16 or 32"), "{stride}");
    let dropout = FcnVgg { dropout: 1.0, ..FcnVgg::FCN8S }.graph().unwrap_err().to_string();
    assert!(dropout.starts_with("`dropout`"), "{dropout}");
}
