//! Whole recipes against PyTorch: layer-wise rates, auxiliary losses, clipping, accumulation, weighted classes, on three
//! optimizers. `goldens/make.py` says what is computed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use serde_json::{Value, json};
use zoo_layers::{Activation, Graph, Init, Linear, Shape};
use zoo_train::optim::{AdamW, Method, RmsProp, Sgd};
use zoo_train::{Batch, Batches, Curve, Place, Recipe, Result, RunFolder, Source, Stage, Trainer};

const GOLDENS: &str = include_str!("goldens/steps.json");

fn value(name: &str, count: usize) -> Vec<f32> {
    let seed: u32 = name.bytes().map(u32::from).sum();
    (0..count).map(|i| (0.8 * (1.7 * i as f64 + f64::from(seed)).sin()) as f32).collect()
}

fn graph() -> Graph {
    let linear = |name: &str, inputs: usize, outputs: usize| {
        let values = |part: &str, count| Init::Values(Arc::from(value(&format!("{name}.{part}"), count)));
        Linear::new(outputs)
            .weight_init(values("weight", inputs * outputs))
            .bias_init(values("bias", outputs))
    };
    let graph = Graph::build("two_heads", Shape::vector(6), |net, x| {
        let low = net.linear(x, linear("low", 6, 5), "low")?;
        let low = net.activation(low, Activation::Tanh)?;
        let aux = net.linear(low, linear("aux", 5, 3), "aux")?;
        let top = net.linear(low, linear("top", 5, 4), "top")?;
        let top = net.activation(top, Activation::Tanh)?;
        let logits = net.linear(top, linear("fc", 4, 3), "fc")?;
        net.output("logits", logits)?;
        net.training_output("aux", aux)
    });
    graph.unwrap()
}

/// Four batches of four rows.
struct Rows;

struct Given(usize);

impl Source for Rows {
    fn steps(&self) -> usize {
        4
    }

    fn batches(&self, from: Place, _: usize) -> Result<Box<dyn Batches + '_>> {
        Ok(Box::new(Given(from.step)))
    }
}

impl Iterator for Given {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.0;
        self.0 += 1;
        (step < 4).then(|| {
            Ok(Batch {
                place: Place { epoch: 0, step },
                values: value(&format!("x{step}"), 24),
                shape: [4, 6, 1, 1],
                indices: (0..4).collect(),
                labels: (0..4).map(|row| (step + row) % 3).collect(),
                masks: None,
                mixed: None,
            })
        })
    }
}

impl Batches for Given {}

#[test]
fn recipes_do_as_pytorch_does() {
    let goldens: Value = serde_json::from_str(GOLDENS).unwrap();
    let plain =
        Recipe { epochs: 1, batch_size: 4, schedule: Curve::Constant, warmup_epochs: 0.0, ..Recipe::PLAIN };
    let rmsprop = RmsProp { alpha: 0.9, momentum: 0.9, epsilon: 1e-3, weight_decay: 0.02 };
    let sgd = Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 };
    let adamw = AdamW { weight_decay: 0.05, ..AdamW::DEFAULT };
    let recipes = [
        (
            "rmsprop",
            Recipe {
                optimizer: Method::Rmsprop(rmsprop),
                learning_rate: 0.01,
                layer_decay: 0.5,
                auxiliary: 0.3,
                ..plain.clone()
            },
            None,
        ),
        (
            "sgd",
            Recipe {
                optimizer: Method::Sgd(sgd),
                learning_rate: 0.1,
                head_rate: 3.0,
                auxiliary: 0.5,
                clip: 0.25,
                accumulate: 2,
                label_smoothing: 0.1,
                ..plain.clone()
            },
            None,
        ),
        (
            "adamw",
            Recipe {
                optimizer: Method::Adamw(adamw),
                learning_rate: 0.02,
                layer_decay: 0.7,
                head_rate: 2.0,
                auxiliary: 0.0,
                ..plain
            },
            Some(vec![1.0, 2.5, 0.5]),
        ),
    ];
    for (name, recipe, class_weights) in recipes {
        let golden = &goldens["recipes"][name];
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::begin(&folder.path().join("run"), &Value::Null).unwrap();
        let mut net = graph().init(0).unwrap();
        let stage = Stage {
            name: "one".into(),
            recipe,
            frozen: Vec::new(),
            train: &Rows,
            validation: None,
            from: None,
            class_weights,
        };
        let mut trainer = Trainer {
            net: &mut net,
            stages: &[stage],
            seed: 0,
            device: &Device::Cpu,
            folder: &run,
            card: ("zoo", &json!({})),
            identity: &Value::Null,
            every: Duration::from_secs(1000),
        };
        let mut means = Vec::new();
        trainer
            .run(&mut |progress| {
                means.push(progress.loss);
                ControlFlow::Continue(())
            })
            .unwrap();
        let losses: Vec<f64> = serde_json::from_value(golden["losses"].clone()).unwrap();
        for (step, mean) in means.iter().enumerate() {
            let expected = losses[..=step].iter().sum::<f64>() / (step + 1) as f64;
            assert!((mean - expected).abs() < 1e-6, "{name}, step {step}: {mean}, not {expected}");
        }
        for (param, tensor) in net.tensors() {
            let found: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            let expected: Vec<f32> = serde_json::from_value(golden["params"][&param.name].clone()).unwrap();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 2e-6, "{name}, {}: {found}, not {expected}", param.name);
            }
        }
    }
}
