//! How far compiled networks are from the same networks in double precision.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo_engine::{Engine, Options};
use zoo_kernels::{Isa, with_isa};

/// The largest difference from double precision, relative to the largest number, on each instruction set: as fast as can be,
/// and exact.
fn errors(name: &str, side: usize) -> Vec<(Isa, [f64; 2])> {
    let answering = zoo::Options { no_auxiliary: name == "inception_v3", ..zoo::Options::default() };
    let model = zoo::model(name).unwrap().with_options(answering).input_size(side, side);
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
    let input = [1, shape[1], side, side];
    let engine = |exact: bool| Engine::compile(&graph, &single, input, Options { exact }).unwrap();
    let of = |engine: Engine| {
        let got = engine.run(&values).unwrap().remove(0);
        let far = got.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs());
        far.fold(0.0, f64::max) / largest
    };
    let errors = |isa| with_isa(isa, || [false, true].map(|exact| of(engine(exact)))).unwrap();
    Isa::available().into_iter().map(|isa| (isa, errors(isa))).collect()
}

#[test]
fn compiled_networks_are_near_double_precision() {
    let networks = [
        ("resnet18", 64),
        ("resnet50", 64),
        ("alexnet", 224),
        ("vgg11", 64),
        ("seresnet18", 64),
        ("senet154", 64),
        ("inception_v3", 75),
        ("mobilenet_v2", 64),
        ("fcn_digits", 64),
        ("xception", 96),
    ];
    for (name, side) in networks {
        for (isa, [fast, exact]) in errors(name, side) {
            let what = format!("{name} at {side} on {isa:?}");
            assert!(fast < 1e-5, "{what}: {fast:e}");
            assert!(exact < 2e-6, "{what}, exact: {exact:e}");
        }
    }
}
