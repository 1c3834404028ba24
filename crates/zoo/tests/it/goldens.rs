//! Outputs and gradients equal to torchvision's and timm's own, for weights that both sides generate.
//!
//! The goldens are the files of `tests/goldens`; `make_goldens.py` there made them and says what they hold.

use std::{collections::BTreeMap, fs, path::PathBuf};

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};
use candle_nn::{VarBuilder, VarMap};
use serde::Deserialize;
use zoo_layers::{Dropout, Graph, Mode, Net, Node, Op, Outputs, Role};

use crate::generated;

/// max |a - b| / max |b| must stay below this.
const TOLERANCE: f64 = 1e-4;

/// Steps whose gradients f32 does not determine: whether a value comes out on this side of a ReLU or a max pool
/// depends on the order of a sum, and what follows from it is more than 1e-4, PyTorch's own f32 included for those
/// with batch statistics of two pictures. The last five are so through 3x3 layers by Winograd's tiles, which
/// round otherwise than plain sums. They are compared in f64, on the same kernels; the outputs of all networks
/// are in f32.
const F64: &[&str] = &[
    "fcn_resnet50-grads-65x49.json",
    "googlenet-grads-64x64.json",
    "googlenet_paper-grads-224x224.json",
    "inception_v3-grads-299x299.json",
    "mobilenet_v2-grads-64x64.json",
    "mobilenet_v2_keras-grads-64x64.json",
    "xception_keras-grads-76x72.json",
    "fcn_resnet50-frozen_grads-65x49.json",
    "xception-grads-75x71.json",
    "xception_keras-frozen_grads-76x72.json",
    "fcn16s-grads-17x24.json",
    "fcn32s-grads-17x24.json",
    "fcn8s_atonce-grads-17x24.json",
    "resnet20_cifar-grads-32x32.json",
    "inception_v3-frozen_grads-99x83.json",
];

#[derive(Deserialize)]
struct Golden {
    model: String,
    mode: String,
    transform_input: bool,
    input: Input,
    outputs: BTreeMap<String, Values>,
    loss: Option<f64>,
    #[serde(default)]
    loss_weights: BTreeMap<String, f64>,
    #[serde(default)]
    gradients: BTreeMap<String, Values>,
    #[serde(default)]
    running: BTreeMap<String, Values>,
    #[serde(default)]
    vanishing: Vec<String>,
}

impl Golden {
    fn mode(&self) -> Mode {
        if self.mode == "train" { Mode::Train } else { Mode::Eval }
    }
}

#[derive(Deserialize)]
struct Input {
    name: String,
    shape: Vec<usize>,
    scale: f64,
}

#[derive(Deserialize)]
struct Values {
    shape: Option<Vec<usize>>,
    max_abs: f64,
    norm: Option<f64>,
    values: Option<Vec<f64>>,
    samples: Option<Vec<f64>>,
}

impl Values {
    /// Compares a tensor with what is recorded of it.
    fn check(&self, what: &str, tensor: &Tensor) {
        if let Some(shape) = &self.shape {
            assert_eq!(tensor.dims(), shape.as_slice(), "{what}");
        }
        let ours = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        let (indices, theirs): (Vec<usize>, &[f64]) = match (&self.values, &self.samples) {
            (Some(values), _) => ((0..values.len()).collect(), values),
            (None, Some(samples)) if self.norm.is_some() => {
                ((0..samples.len()).map(|k| k * ours.len() / samples.len()).collect(), samples)
            }
            (None, Some(samples)) => {
                ((0..samples.len()).map(|k| k * (ours.len() / samples.len())).collect(), samples)
            }
            (None, None) => panic!("{what}: the golden holds no values"),
        };
        let worst = indices.iter().zip(theirs).map(|(i, b)| (ours[*i] - b).abs()).fold(0.0, f64::max);
        assert!(worst <= TOLERANCE * self.max_abs, "{what}: off by {worst} of {}", self.max_abs);
        if let Some(norm) = self.norm {
            let ours = ours.iter().map(|a| a * a).sum::<f64>().sqrt();
            assert!((ours - norm).abs() <= TOLERANCE * norm, "{what}: norm {ours}, not {norm}");
        }
    }
}

fn goldens(wanted: impl Fn(&str) -> bool) -> Vec<(String, Golden)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| {
        name.contains('-') && name.ends_with(".json") && !name.ends_with("-photos.json") && wanted(name)
    });
    names.sort();
    assert!(!names.is_empty());
    let read = |name: String| {
        let golden = serde_json::from_str(&fs::read_to_string(folder.join(&name)).unwrap()).unwrap();
        (name, golden)
    };
    names.into_iter().map(read).collect()
}

/// The golden's network as it is described.
fn described(golden: &Golden) -> Graph {
    match (golden.model.as_str(), golden.transform_input) {
        (model, false) => zoo::find(model).unwrap().graph().unwrap(),
        ("googlenet", true) => {
            let pixels = zoo_googlenet::Pixels::Imagenet;
            zoo_googlenet::GoogLeNet { pixels, ..zoo_googlenet::GoogLeNet::GOOGLENET }.graph().unwrap()
        }
        ("inception_v3", true) => {
            let pixels = zoo_inception::Pixels::Imagenet;
            zoo_inception::InceptionV3 { pixels, ..zoo_inception::InceptionV3::INCEPTION_V3 }.graph().unwrap()
        }
        (model, true) => panic!("{model} renormalises nothing"),
    }
}

/// The golden's network with generated weights, dropout switched off as it was there.
fn network(golden: &Golden, dtype: DType) -> (Net, Tensor) {
    let graph = described(golden);
    let graph = graph
        .with_ops(|_, layer| match &layer.op {
            Op::Dropout(_) => Dropout { probability: 0.0 }.into(),
            op => op.clone(),
        })
        .unwrap();
    let weights = VarMap::new();
    for (name, tensor) in generated::weights(&graph) {
        let weight = Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
        weights.data().lock().unwrap().insert(name, weight);
    }
    let net = graph.load(VarBuilder::from_varmap(&weights, dtype, &Device::Cpu)).unwrap();
    let input = generated::input(&golden.input.name, &golden.input.shape, golden.input.scale);
    (net, input.to_dtype(dtype).unwrap())
}

/// The goldens of steps, each with its network and input.
fn steps() -> impl Iterator<Item = (String, Golden, Net, Tensor)> {
    goldens(|name| name.contains("grads-")).into_iter().map(|(file, golden)| {
        let dtype = if F64.contains(&file.as_str()) { DType::F64 } else { DType::F32 };
        let (net, input) = network(&golden, dtype);
        (file, golden, net, input)
    })
}

#[test]
fn the_generator_is_the_scripts() {
    #[derive(Deserialize)]
    struct Generator {
        tensors: BTreeMap<String, Sample>,
    }
    #[derive(Deserialize)]
    struct Sample {
        shape: Vec<usize>,
        first: Vec<f32>,
        last: f32,
    }
    let text = include_str!("../goldens/generator.json");
    let generator: Generator = serde_json::from_str(text).unwrap();
    for (name, sample) in generator.tensors {
        let ours = match name.as_str() {
            "input" => {
                let tensor = generated::input(&name, &sample.shape, 1.0);
                tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            }
            _ => generated::values(&name, &sample.shape),
        };
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-6 * b.abs();
        assert!(sample.first.iter().zip(&ours).all(|(b, a)| close(*a, *b)), "{name}");
        assert!(close(ours[ours.len() - 1], sample.last), "{name}");
    }
}

/// All the outputs that the golden holds, by name.
fn outputs(golden: &Golden, net: &Net, input: &Tensor) -> Outputs {
    let names = golden.outputs.keys();
    let nodes: Vec<Node> = names.clone().map(|name| net.graph().find(name).unwrap()).collect();
    let values = net.run(&[(Graph::PICTURE, input)], &nodes, golden.mode()).unwrap();
    names.cloned().zip(values).collect()
}

#[test]
fn outputs_equal_the_published_implementations() {
    for (file, golden) in goldens(|name| !name.contains("grads-")) {
        let (net, input) = network(&golden, DType::F32);
        let outputs = outputs(&golden, &net, &input);
        for (name, values) in &golden.outputs {
            values.check(&format!("{file}: {name}"), &outputs[name]);
        }
    }
}

/// Mean cross entropy over pictures, or over pixels for maps.
fn cross_entropy(logits: &Tensor) -> Tensor {
    let logits = match logits.dims() {
        &[n, c, h, w] => {
            logits.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap().reshape((n * h * w, c)).unwrap()
        }
        _ => logits.clone(),
    };
    let (places, classes) = logits.dims2().unwrap();
    let targets: Vec<u32> = (0..places).map(|place| ((7 * place + 3) % classes) as u32).collect();
    let targets = Tensor::from_vec(targets, places, logits.device()).unwrap();
    candle_nn::loss::cross_entropy(&logits, &targets).unwrap()
}

fn number(scalar: &Tensor) -> f64 {
    scalar.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// The loss of the golden from outputs by name.
fn loss(golden: &Golden, main: &str, outputs: &Outputs) -> Tensor {
    let mut loss = cross_entropy(&outputs[main]);
    for (name, weight) in golden.loss_weights.iter().filter(|(name, _)| *name != main) {
        loss = (loss + (cross_entropy(&outputs[name]) * *weight).unwrap()).unwrap();
    }
    let ours = number(&loss);
    let expected = golden.loss.unwrap();
    assert!((ours - expected).abs() <= TOLERANCE * expected, "{}: loss {ours}, not {expected}", golden.model);
    loss
}

/// Compares everything that one step computed with the golden.
fn check_step(what: &str, golden: &Golden, net: &Net, outputs: &Outputs, gradients: &GradStore) {
    for (name, values) in &golden.outputs {
        values.check(&format!("{what}: {name}"), &outputs[name]);
    }
    let mut checked = 0;
    let greatest = golden.gradients.values().map(|values| values.max_abs).fold(0.0, f64::max);
    for (param, tensor) in net.tensors() {
        let what = format!("{what}: {}", param.name);
        if let Some(values) = golden.running.get(&param.name) {
            values.check(&what, tensor);
            checked += 1;
        }
        if golden.vanishing.contains(&param.name) {
            let gradient = gradients.get(tensor).unwrap().abs().unwrap().max_all().unwrap();
            let gradient = number(&gradient);
            assert!(gradient <= TOLERANCE * greatest, "{what}: {gradient}, not 0");
            checked += 1;
        } else if let Some(values) = golden.gradients.get(&param.name) {
            values.check(&what, gradients.get(tensor).unwrap());
            checked += 1;
        }
    }
    let active = net.graph().ancestors(outputs.keys().map(|name| net.graph().find(name).unwrap()));
    let layers = net.graph().nodes().filter(|(node, _)| active.contains(*node));
    let params = layers.flat_map(|(_, layer)| &layer.params);
    // A step in evaluation mode moves no running statistics.
    let moved = params.filter(|param| param.role == Role::Trainable || golden.mode() == Mode::Train);
    assert_eq!(checked, moved.count(), "{what}: parameters without a golden");
}

#[test]
fn gradients_on_candles_tape_equal_the_published_implementations() {
    for (file, golden, net, input) in steps() {
        let outputs = outputs(&golden, &net, &input);
        let loss = loss(&golden, &net.graph().main_output().name, &outputs);
        check_step(&file, &golden, &net, &outputs, &loss.backward().unwrap());
    }
}

#[test]
fn gradients_of_a_pass_equal_the_published_implementations() {
    for (file, golden, net, input) in steps().filter(|(_, golden, _, _)| golden.mode() == Mode::Train) {
        let pass = net.train_pass(&input).unwrap();
        let outputs = pass.outputs().clone();
        let loss = loss(&golden, &net.graph().main_output().name, &outputs);
        let gradients = pass.backward(&loss.backward().unwrap()).unwrap();
        check_step(&file, &golden, &net, &outputs, &gradients);
    }
}
