//! Graphs that no network of the zoo has: what the engine answers is what the `Net` does.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Tensor};
use zoo_engine::{Engine, Error, Options, Weights};
use zoo_layers::{Conv2d, Graph, Linear, Net, Node, Param, Result, Scope, Shape};

/// A graph on pictures of 3x9x7.
fn graph(describe: impl FnOnce(&mut Scope<'_>, Node) -> Result<()>) -> Graph {
    Graph::build("own", Shape::map(3, 9, 7), describe).unwrap()
}

fn pictures(count: usize) -> Vec<f32> {
    (0..count * 3 * 9 * 7).map(|i| ((i * 2_654_435_761) % 1000) as f32 / 250.0 - 2.0).collect()
}

/// Weights that leave no norm as it was.
fn weights(net: &Net) -> HashMap<String, Vec<f32>> {
    let values = |(param, tensor): (&zoo_layers::Param, &Tensor)| {
        let mut values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        for (i, value) in values.iter_mut().enumerate() {
            *value += (i % 5) as f32 / 10.0;
        }
        (param.name.clone(), values)
    };
    net.tensors().map(values).collect()
}

/// Compares all outputs of both, for two pictures.
fn agree(graph: &Graph) {
    let net = graph.init(3).unwrap();
    let weights = weights(&net);
    for (param, tensor) in net.tensors() {
        let values = Tensor::from_slice(&weights[&param.name], param.shape.as_slice(), &Device::Cpu).unwrap();
        candle_core::Var::from_tensor(tensor).unwrap().set(&values).unwrap();
    }
    let values = pictures(2);
    let engine = Engine::compile(graph, &weights, [2, 3, 9, 7], Options::default()).unwrap();
    let got = engine.run(&values).unwrap();
    let input = Tensor::from_slice(&values, (2, 3, 9, 7), &Device::Cpu).unwrap();
    let targets: Vec<Node> = graph.outputs().iter().map(|output| output.node).collect();
    let want = net.answer_at(&[(Graph::PICTURE, &input)], &targets).unwrap();
    assert_eq!(got.len(), want.len());
    for ((got, want), output) in got.iter().zip(&want).zip(graph.outputs()) {
        let want: Vec<f32> = want.flatten_all().unwrap().to_vec1().unwrap();
        let largest = want.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let far = got.iter().zip(&want).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(
            got.len() == want.len() && far <= 1e-5 * largest.max(1e-3),
            "{}: {} values for {}, {far:e} of {largest:e}",
            output.name,
            got.len(),
            want.len()
        );
    }
}

#[test]
fn a_dense_block_reads_its_parts_again_behind_each_concatenation() {
    // As torchvision's DenseNet: each layer's norm reads all maps before it, which the next one reads again.
    agree(&graph(|net, picture| {
        let mut parts = vec![net.conv(picture, Conv2d::k3(8), "conv0")?];
        for layer in 1..=3 {
            let all = net.concat(&parts)?;
            let normed = net.norm(all, format!("norm{layer}"))?;
            let active = net.relu(normed)?;
            parts.push(net.conv(active, Conv2d::k3(4), format!("conv{layer}"))?);
        }
        let all = net.concat(&parts)?;
        let pooled = net.global_avg_pool(all)?;
        let flat = net.flatten(pooled)?;
        let scores = net.linear(flat, Linear::new(5), "fc")?;
        net.output("logits", scores)
    }));
}

#[test]
fn nothing_is_written_over_that_lies_in_a_concatenation() {
    // A part is read after the whole went through a ReLU.
    agree(&graph(|net, picture| {
        let x = net.conv(picture, Conv2d::k3(8), "x")?;
        let z = net.conv(x, Conv2d::k1(4), "z")?;
        let all = net.concat(&[x, z])?;
        let active = net.relu(all)?;
        let late = net.conv(x, Conv2d::k1(12), "late")?;
        let sum = net.add(active, late)?;
        net.output("logits", sum)
    }));
    // The whole is read after a part did.
    agree(&graph(|net, picture| {
        let x = net.conv(picture, Conv2d::k3(8), "x")?;
        let z = net.conv(picture, Conv2d::k1(4), "z")?;
        let all = net.concat(&[x, z])?;
        let active = net.relu(x)?;
        let rest = net.conv(all, Conv2d::k1(8), "rest")?;
        let sum = net.add(active, rest)?;
        net.output("logits", sum)
    }));
    // A part is a result itself.
    agree(&graph(|net, picture| {
        let x = net.conv(picture, Conv2d::k3(8), "x")?;
        let z = net.conv(picture, Conv2d::k1(4), "z")?;
        let all = net.concat(&[x, z, x])?;
        let active = net.relu(all)?;
        net.output("part", x)?;
        net.output("logits", active)
    }));
}

#[test]
fn maps_read_as_vectors_are_added_to_vectors() {
    agree(&graph(|net, picture| {
        let map = net.conv(picture, Conv2d::k3(2), "map")?;
        let flat = net.flatten(map)?;
        let dense = net.linear(flat, Linear::new(2 * 9 * 7), "dense")?;
        let sum = net.add(dense, flat)?;
        let active = net.relu(sum)?;
        let other = net.conv(picture, Conv2d::k3(1), "other")?;
        let wide = net.concat(&[other, other])?;
        let again = net.flatten(wide)?;
        let sum = net.add(again, active)?;
        net.output("flat", flat)?;
        net.output("logits", sum)
    }));
}

#[test]
fn one_engine_answers_several_threads_at_once_with_the_same_bits() {
    let graph = graph(|net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(16), "conv1", "bn1")?;
        let y = net.conv_norm(x, Conv2d::k3(16), "conv2", "bn2")?;
        let sum = net.add(x, y)?;
        let active = net.relu(sum)?;
        net.output("logits", active)
    });
    let net = graph.init(1).unwrap();
    let engine = Engine::compile(&graph, &net, [4, 3, 9, 7], Options::default()).unwrap();
    let want = engine.run(&pictures(4)).unwrap();
    std::thread::scope(|scope| {
        let answers: Vec<_> = (0..6).map(|_| scope.spawn(|| engine.run(&pictures(4)).unwrap())).collect();
        for answer in answers {
            assert!(answer.join().unwrap() == want, "another thread's answer has other bits");
        }
    });
}

#[test]
fn weights_that_can_not_be_are_told_by_name() {
    let graph = graph(|net, picture| {
        let x = net.conv_norm(picture, Conv2d::k3(4), "conv", "bn")?;
        let flat = net.flatten(x)?;
        let scores = net.linear(flat, Linear::new(3), "fc")?;
        net.output("logits", scores)
    });
    let good = weights(&graph.init(1).unwrap());
    let told = |name: &str, change: &dyn Fn(&mut Vec<f32>)| {
        let mut bad = good.clone();
        change(bad.get_mut(name).unwrap());
        Engine::compile(&graph, &bad, [1, 3, 9, 7], Options::default()).unwrap_err()
    };
    let error = told("conv.weight", &|values| values[5] = f32::NAN);
    assert!(matches!(&error, Error::NotFinite { count: 1, .. }), "{error}");
    assert!(error.to_string().contains("`conv`") && error.to_string().contains("`conv.weight`"), "{error}");
    for change in [|values: &mut Vec<f32>| values.push(0.0), |values: &mut Vec<f32>| values.truncate(7)] {
        let error = told("fc.weight", &change).to_string();
        assert!(error.contains("`fc`") && error.contains("[3, 252]"), "{error}");
    }
    let error = told("bn.running_var", &|values| values[2] = -1.0);
    assert!(matches!(&error, Error::Variance { channel: 2, .. }), "{error}");
    let mut less = good.clone();
    less.remove("bn.bias");
    let error = Engine::compile(&graph, &less, [1, 3, 9, 7], Options::default()).unwrap_err().to_string();
    assert!(error.contains("`bn`") && error.contains("`bn.bias`") && error.contains("missing"), "{error}");
    let engine = Engine::compile(&graph, &good, [1, 3, 9, 7], Options::default()).unwrap();
    for count in [1, 3 * 9 * 7 + 1] {
        let error = engine.run(&vec![0.0; count]).unwrap_err().to_string();
        assert!(error.contains("[3, 9, 7]") && error.contains(&count.to_string()), "{error}");
    }
}

/// Told before a weight is asked for.
#[test]
fn more_pictures_than_the_machine_holds_are_refused() {
    let graph = graph(|net, picture| {
        let x = net.conv(picture, Conv2d::k3(16), "conv")?;
        let sums = net.conv(x, Conv2d::k3(2), "scores")?;
        net.output("logits", sums)
    });
    let none: HashMap<String, Vec<f32>> = HashMap::new();
    for batch in [1 << 40, usize::MAX] {
        let error = Engine::compile(&graph, &none, [batch, 3, 9, 7], Options::default()).unwrap_err();
        let Error::Memory { node, needed, available, .. } = &error else { panic!("{error}") };
        assert!(node == "conv" && needed > available, "{error}");
        assert!(error.to_string().contains("a smaller batch"), "{error}");
    }
}

/// A source that has no parts of what it gives: a drawn weight, for example.
struct Whole<'n> {
    net: &'n Net,
    asked: AtomicUsize,
}

impl Weights for Whole<'_> {
    fn values(&self, param: &Param) -> std::result::Result<Cow<'_, [f32]>, String> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.net.values(param)
    }
}

#[test]
fn weights_that_come_as_a_whole_are_asked_for_once() {
    let graph = graph(|net, picture| {
        let x = net.flatten(picture)?;
        let x = net.linear(x, Linear::new(8192), "fc1")?; // 1.5 M weights, which are packed in parts
        let logits = net.linear(x, Linear::new(10), "fc2")?;
        net.output("logits", logits)
    });
    let net = graph.init(5).unwrap();
    let whole = Whole { net: &net, asked: AtomicUsize::new(0) };
    let input = [2, 3, 9, 7];
    let engine = Engine::compile(&graph, &whole, input, Options::default()).unwrap();
    assert_eq!(whole.asked.into_inner(), 4);
    let parts = Engine::compile(&graph, &net, input, Options::default()).unwrap();
    assert_eq!(engine.run(&pictures(2)).unwrap(), parts.run(&pictures(2)).unwrap());
}
