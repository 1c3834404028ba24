//! The optimizers against PyTorch 2.15, and their state saved and taken up again.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::backprop::GradStore;
use zoo_layers::{Graph, Init, Linear, Net, Shape};
use zoo_train::optim::{AdamW, Method, Optimizer, Sgd};

const RATES: [f64; 3] = [0.1, 0.2, 0.05];
const DECAY: f64 = 0.1;
const METHODS: [(Method, [f32; 3]); 4] = [
    (sgd(0.0, false), [-0.000_826_022_5, -0.297_312_97, 0.448_209_97]),
    (sgd(0.9, false), [-0.590_416, 0.593_642_1, 0.433_359_98]),
    (sgd(0.9, true), [-0.614_733_34, 0.766_506_1, 0.309_445_38]),
    (
        Method::Adamw(AdamW { weight_decay: DECAY, ..AdamW::DEFAULT }),
        [0.622_200_8, -1.592_825_7, 0.382_035_26],
    ),
];

const fn sgd(momentum: f64, nesterov: bool) -> Method {
    Method::Sgd(Sgd { momentum, nesterov, weight_decay: DECAY })
}

/// A weight of (1, −2), which decays, and a bias of 0.5, which doesn't.
fn net() -> Net {
    let graph = Graph::build("pair", Shape::vector(2), |net, x| {
        let linear = Linear::new(1)
            .weight_init(Init::Values(Arc::from([1.0_f32, -2.0])))
            .bias_init(Init::Constant(0.5));
        let y = net.linear(x, linear, "fc")?;
        net.output("y", y)
    });
    graph.unwrap().init(0).unwrap()
}

/// Of `k |w|² + (w₀ + w₁) b + b²`.
fn gradients(net: &Net, k: f64) -> GradStore {
    let vars: BTreeMap<_, _> =
        net.trainable().unwrap().into_iter().map(|(param, var)| (param.name.clone(), var)).collect();
    let (w, b) = (&vars["fc.weight"], &vars["fc.bias"]);
    let squares = (w.sqr().unwrap().sum_all().unwrap() * k).unwrap();
    let product = (w.sum_all().unwrap() * b.sum_all().unwrap()).unwrap();
    let loss = ((squares + product).unwrap() + b.sqr().unwrap().sum_all().unwrap()).unwrap();
    loss.backward().unwrap()
}

fn weights(net: &Net) -> Vec<f32> {
    net.tensors().flat_map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect()
}

#[test]
fn three_steps_are_pytorchs() {
    for (method, expected) in METHODS {
        let net = net();
        let mut optimizer = Optimizer::new(method, &net).unwrap();
        for (rate, k) in RATES.into_iter().zip([1.0, 2.0, 3.0]) {
            optimizer.step(&gradients(&net, k), rate).unwrap();
        }
        for (found, expected) in weights(&net).iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{method:?}: {:?}", weights(&net));
        }
    }
}

#[test]
fn state_taken_up_again_goes_on_with_the_same_bits() {
    for (method, _) in METHODS {
        let (whole, halved) = (net(), net());
        let mut optimizer = Optimizer::new(method, &whole).unwrap();
        let mut first = Optimizer::new(method, &halved).unwrap();
        optimizer.step(&gradients(&whole, 1.0), 0.1).unwrap();
        optimizer.step(&gradients(&whole, 2.0), 0.1).unwrap();
        first.step(&gradients(&halved, 1.0), 0.1).unwrap();
        let mut second = Optimizer::new(method, &halved).unwrap();
        second.restore(first.state().unwrap(), first.steps()).unwrap();
        second.step(&gradients(&halved, 2.0), 0.1).unwrap();
        assert_eq!(weights(&whole), weights(&halved));
        assert_eq!(second.steps(), 2);
    }
}

#[test]
fn state_of_another_network_is_refused_by_name() {
    let net = net();
    let mut optimizer = Optimizer::new(sgd(0.9, false), &net).unwrap();
    let refusal = |state, optimizer: &mut Optimizer| optimizer.restore(state, 1).unwrap_err().to_string();

    let mut state = optimizer.state().unwrap();
    let momentum = state.remove("fc.weight.momentum").unwrap();
    assert!(refusal(state.clone(), &mut optimizer).contains("`fc.weight.momentum` is missing"));
    state.insert("fc.weight.momentum".into(), momentum.t().unwrap());
    assert!(refusal(state.clone(), &mut optimizer).contains("is [2, 1], not [1, 2]"));
    state.insert("fc.weight.momentum".into(), momentum.clone());
    state.insert("conv.weight.momentum".into(), momentum);
    assert!(refusal(state, &mut optimizer).contains("`conv.weight.momentum` belongs to none"));
}
