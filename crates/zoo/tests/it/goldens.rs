//! Outputs equal to torchvision's and timm's own, for weights that both sides generate; `steps.rs` has the gradients.
//!
//! The goldens are the files of `tests/goldens`; `make_goldens.py` there made them and says what they hold.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::{fs, path::PathBuf};

use candle_core::{DType, Device, Storage, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use serde::Deserialize;
use zoo_layers::{Dropout, Graph, Mode, Net, Node, Op, Outputs};

use crate::generated;

/// max |a - b| / max |b| must stay below this in f32.
pub(crate) const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) model: String,
    mode: String,
    transform_input: bool,
    input: Input,
    pub(crate) outputs: BTreeMap<String, Values>,
    pub(crate) loss: Option<f64>,
    #[serde(default)]
    pub(crate) loss_weights: BTreeMap<String, f64>,
    #[serde(default)]
    pub(crate) gradients: BTreeMap<String, Values>,
    #[serde(default)]
    pub(crate) running: BTreeMap<String, Values>,
    #[serde(default)]
    pub(crate) vanishing: Vec<String>,
    /// The weights, in f32: half a second for VGG's, and a step is taken five times.
    #[serde(skip)]
    weights: OnceCell<HashMap<String, Tensor>>,
}

impl Golden {
    pub(crate) fn mode(&self) -> Mode {
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
pub(crate) struct Values {
    shape: Option<Vec<usize>>,
    pub(crate) max_abs: f64,
    norm: Option<f64>,
    values: Option<Vec<f64>>,
    samples: Option<Vec<f64>>,
    pub(crate) f32: Option<Rounding>,
}

/// What f32 makes of a gradient that f64 gives.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Rounding {
    /// The norm of the difference, as a share of the gradient's.
    pub(crate) deviation: f64,
    /// The cosine of the angle between the two.
    pub(crate) cosine: f64,
}

impl Values {
    /// Compares a tensor with what is recorded of it; `tolerance` is relative to its greatest value, or its norm.
    pub(crate) fn check(&self, what: &str, tensor: &Tensor, tolerance: f64) {
        if let Some(shape) = &self.shape {
            assert_eq!(tensor.dims(), shape.as_slice(), "{what}");
        }
        let (indices, theirs): (Vec<usize>, &[f64]) = match (&self.values, &self.samples) {
            (Some(values), _) => ((0..values.len()).collect(), values),
            (None, Some(samples)) => {
                let (count, len) = (samples.len(), tensor.elem_count());
                let at = |k| if self.norm.is_some() { k * len / count } else { k * (len / count) };
                ((0..count).map(at).collect(), samples)
            }
            (None, None) => panic!("{what}: the golden holds no values"),
        };
        numbers(tensor, |ours| {
            let differences = indices.iter().zip(theirs).map(|(i, b)| (ours.at(*i) - b).abs());
            let worst = differences.fold(0.0, f64::max);
            assert!(worst <= tolerance * self.max_abs, "{what}: off by {worst} of {}", self.max_abs);
            if let Some(norm) = self.norm {
                let ours = (0..ours.len()).map(|i| ours.at(i) * ours.at(i)).sum::<f64>().sqrt();
                assert!((ours - norm).abs() <= tolerance * norm, "{what}: norm {ours}, not {norm}");
            }
        });
    }
}

/// A tensor's numbers where they lie: copies of half a gigabyte were what these tests took most of their time for.
#[derive(Clone, Copy)]
pub(crate) enum Numbers<'a> {
    F32(&'a [f32]),
    F64(&'a [f64]),
}

impl Numbers<'_> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    pub(crate) fn at(self, index: usize) -> f64 {
        match self {
            Self::F32(values) => values[index].into(),
            Self::F64(values) => values[index],
        }
    }
}

/// Reads a tensor's numbers in order.
pub(crate) fn numbers<R>(tensor: &Tensor, read: impl FnOnce(Numbers<'_>) -> R) -> R {
    let tensor = tensor.contiguous().unwrap();
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = layout.contiguous_offsets().unwrap();
    let Storage::Cpu(storage) = &*storage else { panic!("the tests run on a CPU") };
    match tensor.dtype() {
        DType::F32 => read(Numbers::F32(&storage.as_slice().unwrap()[start..end])),
        DType::F64 => read(Numbers::F64(&storage.as_slice().unwrap()[start..end])),
        other => panic!("no golden is in {other:?}"),
    }
}

pub(crate) fn goldens(wanted: impl Fn(&str) -> bool) -> Vec<(String, Golden)> {
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
pub(crate) fn network(golden: &Golden, dtype: DType) -> (Net, Tensor) {
    let graph = described(golden);
    let graph = graph
        .with_ops(|_, layer| match &layer.op {
            Op::Dropout(_) => Dropout { probability: 0.0 }.into(),
            op => op.clone(),
        })
        .unwrap();
    let weights = VarMap::new();
    for (name, tensor) in golden.weights.get_or_init(|| generated::weights(&graph)) {
        let weight = Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
        weights.data().lock().unwrap().insert(name.clone(), weight);
    }
    let net = graph.load(VarBuilder::from_varmap(&weights, dtype, &Device::Cpu)).unwrap();
    let input = generated::input(&golden.input.name, &golden.input.shape, golden.input.scale);
    (net, input.to_dtype(dtype).unwrap())
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
pub(crate) fn outputs(golden: &Golden, net: &Net, input: &Tensor) -> Outputs {
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
            values.check(&format!("{file}: {name}"), &outputs[name], TOLERANCE);
        }
    }
}
