//! Grad-CAM and Grad-CAM++ equal to plain PyTorch's, for weights that both sides generate.

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use serde::Deserialize;
use zoo_explain::{Heat, Method, Target, explain};
use zoo_layers::Net;

use crate::{generated, goldens::TOLERANCE};

#[derive(Deserialize)]
struct Cams {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    input: Input,
    at: String,
    class: usize,
    height: usize,
    width: usize,
    gradcam: Vec<f64>,
    #[serde(rename = "gradcam++")]
    gradcam_plus_plus: Vec<f64>,
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
    scale: f64,
}

fn network(model: &str, dtype: DType) -> Net {
    let graph = zoo::find(model).unwrap().graph().unwrap();
    let weights = generated::weights(&graph);
    graph.load(VarBuilder::from_tensors(weights, dtype, &Device::Cpu)).unwrap()
}

/// The greatest difference, as a share of the greatest value.
fn distance(heat: &Heat, theirs: &[f64]) -> f64 {
    let most = theirs.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    assert!(most > 0.0, "a map of zeros tells nothing");
    let apart = heat.values().iter().zip(theirs).map(|(a, b)| (f64::from(*a) - b).abs());
    apart.fold(0.0, f64::max) / most
}

#[test]
fn maps_equal_pytorchs() {
    let cams: Cams = serde_json::from_str(include_str!("../goldens/cams.json")).unwrap();
    assert_eq!(cams.cases.len(), 6);
    for model in ["resnet50", "xception"] {
        let single = network(model, DType::F32);
        let double = network(model, DType::F64);
        for case in cams.cases.iter().filter(|case| case.model == model) {
            let input = generated::input(&case.input.name, &case.input.shape, case.input.scale);
            // The weights of Grad-CAM++ have a pole where a map's sum times a gradient is -2, near which f32 has no
            // digits left: xception's block12 gives negative maps.
            for (net, method, theirs, tolerance) in [
                (&single, Method::GradCam, &case.gradcam, TOLERANCE),
                (&double, Method::GradCam, &case.gradcam, 1e-6),
                (&double, Method::GradCamPlusPlus, &case.gradcam_plus_plus, 1e-6),
            ] {
                let input = input.to_dtype(net.tensors().next().unwrap().1.dtype()).unwrap();
                let target = Target::at(net, case.class, &case.at).unwrap();
                let heat = explain(net, &input, target, method).unwrap();
                assert_eq!(heat.size(), [case.height, case.width], "{model} {}", case.at);
                let apart = distance(&heat, theirs);
                assert!(apart < tolerance, "{model} {} {method:?}: off by {apart}", case.at);
            }
        }
    }
}

/// Of a network that fuses maps, what goes past the layer comes from the picture again.
#[test]
fn class_activation_maps_of_networks_that_fuse_maps() {
    for name in ["fcn8s_small", "fcn_digits"] {
        let network = zoo::model(name).unwrap().input_size(64, 64).seed(2).fresh().unwrap();
        let net = network.net().unwrap();
        let shape = net.graph().input().with_batch(1);
        let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32 * 0.31).sin()).collect();
        let picture = candle_core::Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        let target = Target::new(net, 1).unwrap();
        for method in [Method::GradCam, Method::GradCamPlusPlus] {
            let heat = explain(net, &picture, target, method).unwrap();
            assert!(heat.values().iter().all(|value| value.is_finite()), "{name}");
        }
    }
}
