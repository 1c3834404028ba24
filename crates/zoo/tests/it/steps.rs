//! Gradients equal to torchvision's and timm's own: in f64 to the digits that are recorded, and in f32 as near to
//! that as PyTorch's f32 is.
//!
//! A golden holds a gradient's norm and a few of its entries, which is enough to know the gradient by, but not to
//! know how far another one is from it. Once ours in f64 is found equal to the golden, it stands for PyTorch's, and
//! ours in f32 is compared with it whole: how far it is (`deviation`) and how far it points elsewhere (`cosine`).
//!
//! A ReLU whose input is next to zero decides by the rounding, in PyTorch at another place than here, and the
//! gradient jumps. What is farther away than PyTorch's must be such a jump, and that is tested too: the *exact*
//! gradient must jump as far when the picture's values move by no more than rounding would. An inexact kernel can't
//! hide there: it is wrong where f64 stands still.

use candle_core::{DType, Tensor, backprop::GradStore};
use zoo_kernels::{Isa, with_isa};
use zoo_layers::{CrossEntropy, Mode, Net, Outputs, Role, rng::Stream};

use crate::goldens::{Golden, Rounding, TOLERANCE, goldens, network, numbers, outputs};

/// max |a - b| / max |b| must stay below this in f64.
const EXACT: f64 = 1e-7;

/// How many times PyTorch's own deviation in f32 ours may be, parameter by parameter.
const TIMES: f64 = 3.0;

/// Where PyTorch's f32 points this much the same way as f64, so must ours.
const COSINE: f64 = 0.999;

/// By how much of itself a picture's value is moved, at most. Gradients that don't jump move by some 5e-6 then, as far
/// as f32 takes them in networks with batch norm.
const NUDGE: f64 = 4e-6;

/// How often, if need be.
const NUDGES: u64 = 32;

/// Farther than this, it is a jump.
const JUMP: f64 = 3e-5;

/// How the reverse pass is driven.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// By candle's tape.
    Tape,
    /// By the network itself, in training only.
    Pass,
}

/// What a step computes.
struct Step {
    net: Net,
    outputs: Outputs,
    gradients: GradStore,
}

impl Step {
    fn new(golden: &Golden, dtype: DType, way: Way) -> Self {
        let (net, input) = network(golden, dtype);
        Self::of(golden, net, &input, way)
    }

    /// In f64, each value of the picture moved by up to [`NUDGE`] of itself.
    fn nudged(golden: &Golden, way: Way, seed: u64) -> Self {
        let (net, input) = network(golden, DType::F64);
        let mut stream = Stream::new(seed, "nudge");
        let factors: Vec<f64> =
            (0..input.elem_count()).map(|_| stream.range(1.0 - NUDGE, 1.0 + NUDGE)).collect();
        let factors = Tensor::from_vec(factors, input.shape(), input.device()).unwrap();
        Self::of(golden, net, &(input * factors).unwrap(), way)
    }

    fn of(golden: &Golden, net: Net, input: &Tensor, way: Way) -> Self {
        let main = &net.graph().main_output().name;
        let (outputs, gradients) = match way {
            Way::Tape => {
                let outputs = outputs(golden, &net, input);
                let gradients = loss(golden, main, &outputs).backward().unwrap();
                (outputs, gradients)
            }
            Way::Pass => {
                let pass = net.train_pass(input).unwrap();
                let outputs = pass.outputs().clone();
                let gradients = loss(golden, main, &outputs).backward().unwrap();
                (outputs, pass.backward(&gradients).unwrap())
            }
        };
        Self { net, outputs, gradients }
    }

    /// Compares everything that was computed, in f64, with the golden.
    fn check(&self, what: &str, golden: &Golden) {
        for (name, values) in &golden.outputs {
            values.check(&format!("{what}: {name}"), &self.outputs[name], EXACT);
        }
        let mut checked = 0;
        for (param, tensor) in self.net.tensors() {
            let what = format!("{what}: {}", param.name);
            if let Some(values) = golden.running.get(&param.name) {
                values.check(&what, tensor, EXACT);
                checked += 1;
            }
            if golden.vanishing.contains(&param.name) {
                self.check_vanishing(&what, golden, tensor, EXACT);
                checked += 1;
            } else if let Some(values) = golden.gradients.get(&param.name) {
                values.check(&what, self.gradients.get(tensor).unwrap(), EXACT);
                checked += 1;
            }
        }
        let graph = self.net.graph();
        let active = graph.ancestors(self.outputs.keys().map(|name| graph.find(name).unwrap()));
        let layers = graph.nodes().filter(|(node, _)| active.contains(*node));
        let params = layers.flat_map(|(_, layer)| &layer.params);
        // A step in evaluation mode moves no running statistics.
        let moved = params.filter(|param| param.role == Role::Trainable || golden.mode() == Mode::Train);
        assert_eq!(checked, moved.count(), "{what}: parameters without a golden");
    }

    fn check_vanishing(&self, what: &str, golden: &Golden, tensor: &Tensor, tolerance: f64) {
        let greatest = golden.gradients.values().map(|values| values.max_abs).fold(0.0, f64::max);
        let gradient = number(&self.gradients.get(tensor).unwrap().abs().unwrap().max_all().unwrap());
        assert!(gradient <= tolerance * greatest, "{what}: {gradient}, not 0");
    }

    fn gradient(&self, name: &str) -> &Tensor {
        let (_, tensor) = self.net.tensors().find(|(param, _)| param.name == name).unwrap();
        self.gradients.get(tensor).unwrap()
    }

    /// What of this step, in f32, is farther from `exact` than the golden says that PyTorch's may be.
    fn beyond(&self, what: &str, golden: &Golden, exact: &Self) -> Vec<Beyond> {
        let mut found = Vec::new();
        for ((param, single), (_, double)) in self.net.tensors().zip(exact.net.tensors()) {
            let what = format!("{what}: {}", param.name);
            if golden.vanishing.contains(&param.name) {
                self.check_vanishing(&what, golden, single, TOLERANCE);
            } else if let Some(values) = golden.gradients.get(&param.name) {
                let theirs = values.f32.unwrap_or_else(|| panic!("{what}: the golden lacks PyTorch's f32"));
                let ours =
                    rounding(self.gradients.get(single).unwrap(), exact.gradients.get(double).unwrap());
                if !ours.is_as_near_as(theirs) {
                    found.push(Beyond { what, param: param.name.clone(), ours, theirs });
                }
            }
        }
        found
    }
}

/// A gradient that f32 takes farther from f64's than PyTorch's does.
struct Beyond {
    what: String,
    param: String,
    ours: Rounding,
    theirs: Rounding,
}

impl Rounding {
    fn is_as_near_as(self, theirs: Self) -> bool {
        self.deviation <= TIMES * theirs.deviation && (self.cosine > COSINE || theirs.cosine <= COSINE)
    }
}

/// How far `single` is from `double`.
fn rounding(single: &Tensor, double: &Tensor) -> Rounding {
    let [mut a, mut b, mut both, mut apart] = [0.0; 4];
    numbers(single, |single| {
        numbers(double, |double| {
            assert_eq!(single.len(), double.len());
            for i in 0..single.len() {
                let (x, y) = (single.at(i), double.at(i));
                (a, b) = (a + x * x, b + y * y);
                (both, apart) = (both + x * y, apart + (x - y) * (x - y));
            }
        });
    });
    Rounding { deviation: (apart / b).sqrt(), cosine: both / (a * b).sqrt() }
}

fn number(scalar: &Tensor) -> f64 {
    scalar.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

/// The loss of the golden from outputs by name.
fn loss(golden: &Golden, main: &str, outputs: &Outputs) -> Tensor {
    let cross_entropy = |name: &str| {
        let logits = &outputs[name];
        let classes = logits.dims()[1];
        let labels: Vec<i64> =
            (0..logits.elem_count() / classes).map(|place| ((7 * place + 3) % classes) as i64).collect();
        CrossEntropy::default().of(logits, &labels).unwrap()
    };
    let mut loss = cross_entropy(main);
    for (name, weight) in golden.loss_weights.iter().filter(|(name, _)| *name != main) {
        loss = (loss + (cross_entropy(name) * *weight).unwrap()).unwrap();
    }
    let (ours, expected) = (number(&loss), golden.loss.unwrap());
    assert!((ours - expected).abs() <= TOLERANCE * expected, "{}: loss {ours}, not {expected}", golden.model);
    loss
}

/// One golden of a step: f64 on both ways, f32 on every instruction set that the machine has.
fn check(file: &str, golden: &Golden) {
    let mut exact = Step::new(golden, DType::F64, Way::Tape);
    exact.check(&format!("{file} on candle's tape"), golden);
    let mut way = Way::Tape;
    if golden.mode() == Mode::Train {
        way = Way::Pass;
        exact = Step::new(golden, DType::F64, way);
        exact.check(&format!("{file} in a pass"), golden);
    }
    let mut beyond = Vec::new();
    for isa in Isa::available() {
        let single = with_isa(isa, || Step::new(golden, DType::F32, way)).unwrap();
        beyond.extend(single.beyond(&format!("{file} in f32 on {}", isa.name()), golden, &exact));
    }
    for seed in 0..NUDGES {
        if beyond.is_empty() {
            return;
        }
        let nudged = Step::nudged(golden, way, seed);
        beyond.retain(|one| {
            let jump = rounding(nudged.gradient(&one.param), exact.gradient(&one.param));
            jump.deviation < JUMP || !one.ours.is_as_near_as(jump)
        });
    }
    let beyond: Vec<String> = beyond
        .iter()
        .map(|Beyond { what, ours, theirs, .. }| format!("{what}: {ours:?}, and PyTorch's {theirs:?}"))
        .collect();
    assert!(beyond.is_empty(), "{}", beyond.join("\n"));
}

#[test]
fn gradients_equal_the_published_implementations() {
    for (file, golden) in goldens(|name| name.contains("grads-") && !name.starts_with("fcn")) {
        check(&file, &golden);
    }
}

#[test]
fn gradients_of_segmenters_equal_the_published_implementations() {
    for (file, golden) in goldens(|name| name.contains("grads-") && name.starts_with("fcn")) {
        check(&file, &golden);
    }
}
