//! How far compiled networks are from the same networks in double precision.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo_engine::{Engine, Options};

/// The largest difference from double precision, relative to the largest number: with Winograd's transforms and without.
fn errors(name: &str, side: usize) -> [f64; 2] {
    let model = zoo::model(name).unwrap().input_size(side, side);
    let graph = model.graph().unwrap();
    let single = graph.init(3).unwrap();
    let tensors: HashMap<String, Tensor> = single
        .tensors()
        .map(|(param, tensor)| (param.name.clone(), tensor.to_dtype(DType::F64).unwrap()))
        .collect();
    let double = graph.load(candle_nn::VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu)).unwrap();
    let shape = graph.input().with_batch(1);
    let count = shape.iter().product::<usize>();
    let values: Vec<f32> = (0..count).map(|i| ((i * 2_654_435_761) % 1000) as f32 / 250.0 - 2.0).collect();
    let pictures = Tensor::from_slice(&values, shape.as_slice(), &Device::Cpu).unwrap();
    let want = double.answer(&pictures.to_dtype(DType::F64).unwrap()).unwrap();
    let want = want.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let largest = want.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    assert!(largest.is_finite() && largest > 1e-20, "{name}: {largest}");
    [false, true].map(|exact| {
        let input = [1, shape[1], side, side];
        let engine = Engine::compile(&graph, &single, input, Options { exact }).unwrap();
        let got = engine.run(&values).unwrap().remove(0);
        let far = got.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs());
        far.fold(0.0, f64::max) / largest
    })
}

#[test]
fn compiled_networks_are_near_double_precision() {
    // Xception passes 36 sums of up to 728 numbers one after the other: 1.8e-6 to 2.5e-6, by the picture's size.
    let networks = [
        ("resnet18", 64, 2e-6),
        ("resnet50", 64, 2e-6),
        ("vgg11", 64, 2e-6),
        ("seresnet18", 64, 2e-6),
        ("mobilenet_v2", 64, 2e-6),
        ("fcn_digits", 64, 2e-6),
        ("xception", 96, 3e-6),
    ];
    for (name, side, within) in networks {
        let [fast, exact] = errors(name, side);
        assert!(fast < 1e-5, "{name} at {side} with Winograd's transforms: {fast:e}");
        assert!(exact < within, "{name} at {side}, exact: {exact:e}");
    }
}
