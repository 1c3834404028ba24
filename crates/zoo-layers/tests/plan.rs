//! A plan's promises: it starts and stops anywhere, keeps what it says, and refuses with a sentence.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use zoo_layers::{
    Conv2d, Error, Frozen, Graph, Linear, MaxPool2d, Mode, Net, Node, Plan, Role, Route, Shape,
};

/// Two residual units with a pool and a classifier, and an auxiliary head.
fn network() -> Graph {
    let graph = Graph::build("small", Shape::map(2, 12, 12), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(4), "stem.conv", "stem.bn")?;
        let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool")?;
        let y = net.conv_norm_act(x, Conv2d::k3(4), "unit1.conv1", "unit1.bn1")?;
        let y = net.conv_norm(y, Conv2d::k3(4), "unit1.conv2", "unit1.bn2")?;
        let x = net.add(y, x)?;
        let x = net.relu(x)?;
        let aux = net.global_avg_pool(x)?;
        let aux = net.linear(aux, Linear::new(3), "aux.fc")?;
        let y = net.conv_norm_act(x, Conv2d::k3(6).stride(2), "unit2.conv1", "unit2.bn1")?;
        let y = net.conv_norm(y, Conv2d::k3(6), "unit2.conv2", "unit2.bn2")?;
        let x = net.conv_norm(x, Conv2d::k1(6).stride(2), "unit2.down.conv", "unit2.down.bn")?;
        let x = net.add(y, x)?;
        let x = net.relu(x)?;
        let x = net.global_avg_pool(x)?;
        let x = net.dropout(x, 0.3)?;
        let logits = net.linear(x, Linear::new(3), "fc")?;
        net.output("logits", logits)?;
        net.training_output("aux", aux)
    });
    graph.unwrap()
}

fn random(dims: &[usize], seed: u64) -> Tensor {
    let mut stream = zoo_layers::rng::Stream::new(seed, "test");
    let values: Vec<f64> = (0..dims.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn net() -> Net {
    network().init_on(5, DType::F64, &Device::Cpu).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

fn assert_near(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!(a.dims(), b.dims());
    for (a, b) in numbers(a).into_iter().zip(numbers(b)) {
        assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a}, not {b}");
    }
}

/// The nodes at whose values a run can start again: all but those that others skip.
const PLACES: [&str; 4] = ["stem.conv", "pool", "relu_2", "avgpool_1"];

fn find(graph: &Graph, name: &str) -> Node {
    graph.find(name).unwrap()
}

#[test]
fn a_run_in_two_parts_is_the_whole_run() {
    let net = net();
    let pictures = random(&[3, 2, 12, 12], 1);
    let logits = find(net.graph(), "logits");
    let whole = net.answer(&pictures).unwrap();
    for place in ["stem.conv", "stem.bn", "pool", "add", "relu_2", "flatten_1"] {
        let place = find(net.graph(), place);
        let values = net.run(&[(Graph::PICTURE, &pictures)], &[place], Mode::Eval).unwrap();
        let rest = net.run(&[(place, &values[0])], &[logits], Mode::Eval).unwrap();
        assert_near(&rest[0], &whole, 1e-12);
    }
    let several: Vec<Node> = ["pool", "logits", "pool", "input"].map(|name| find(net.graph(), name)).into();
    let values = net.run(&[(Graph::PICTURE, &pictures)], &several, Mode::Eval).unwrap();
    assert_near(&values[0], &values[2], 0.0);
    assert_near(&values[3], &pictures, 0.0);
    assert_near(&values[1], &whole, 1e-12);
}

/// On candle's tape, with everything a leaf, and in a pass: the same gradients of parameters and of inner nodes.
#[test]
fn gradients_of_nodes_are_those_of_finite_differences() {
    let net = net();
    let graph = net.graph();
    let pictures = random(&[2, 2, 12, 12], 1);
    let weights = random(&[2, 3], 9);
    let logits = find(graph, "logits");
    let score = |logits: &Tensor| (logits * &weights).unwrap().sum_all().unwrap();
    let nodes: Vec<Node> =
        ["input", "stem.bn", "pool", "unit1.conv2", "add_1"].map(|name| find(graph, name)).into();
    let route = Route::outputs(graph, Mode::Eval).with_gradients_of(nodes.clone());
    let pass = net.pass(&route, &[&pictures]).unwrap();
    let loss = score(&pass.outputs()["logits"]);
    let gradients = pass.gradients(&loss.backward().unwrap()).unwrap();
    assert!(net.trainable().unwrap().iter().all(|(_, variable)| gradients.params.get(variable).is_none()));
    for node in nodes {
        let ours = numbers(&gradients.nodes[&node]);
        let value = net.run(&[(Graph::PICTURE, &pictures)], &[node], Mode::Eval).unwrap().remove(0);
        let values = numbers(&value);
        // Behind an inner node its other readers see the old value: start from it alone where it is the only way.
        for place in (0..values.len()).step_by(values.len() / 7 + 1) {
            let moved = |by: f64| {
                let mut values = values.clone();
                values[place] += by;
                let value = Tensor::from_vec(values, value.dims(), &Device::Cpu).unwrap();
                let mut given = vec![(node, value)];
                // `unit1.conv2` and `add_1` need what runs beside them.
                if graph.get(node).name == "unit1.conv2" {
                    let pool = find(graph, "pool");
                    let beside =
                        net.run(&[(Graph::PICTURE, &pictures)], &[pool], Mode::Eval).unwrap().remove(0);
                    given.push((pool, beside));
                }
                let given: Vec<(Node, &Tensor)> = given.iter().map(|(node, value)| (*node, value)).collect();
                let answer = net.run(&given, &[logits], Mode::Eval).unwrap();
                score(&answer[0]).to_scalar::<f64>().unwrap()
            };
            let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            let ours = ours[place];
            assert!(
                (ours - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                "{node:?}: {ours}, not {expected}"
            );
        }
    }
}

/// Gradients of parameters by a pass along `route`.
fn lesson(net: &Net, route: &Route, given: &Tensor) -> HashMap<String, Tensor> {
    let pass = net.pass(route, &[given]).unwrap();
    let terms = pass.outputs().values().map(|output| output.sqr().unwrap().sum_all().unwrap());
    let loss = terms.reduce(|a, b| (a + b).unwrap()).unwrap();
    let gradients = pass.backward(&loss.backward().unwrap()).unwrap();
    let tensors = net.tensors().filter_map(|(param, tensor)| {
        gradients.get(tensor).map(|gradient| (param.name.clone(), gradient.copy().unwrap()))
    });
    tensors.collect()
}

#[test]
fn a_pass_can_begin_at_cached_features() {
    let net = net();
    let graph = net.graph();
    let pictures = random(&[4, 2, 12, 12], 1);
    for place in PLACES {
        let place = find(graph, place);
        let targets = graph.outputs_in(Mode::Eval).map(|output| output.node);
        let features = net.run(&[(Graph::PICTURE, &pictures)], &[place], Mode::Eval).unwrap().remove(0);
        let whole = lesson(&net, &Route::outputs(graph, Mode::Eval).with_gradients(), &pictures);
        let head = lesson(&net, &Route::new(Mode::Eval, [place], targets).with_gradients(), &features);
        assert!(head.contains_key("fc.weight") && head.len() < whole.len());
        for (name, gradient) in &head {
            assert_near(gradient, &whole[name], 1e-10);
        }
    }
}

#[test]
fn what_is_frozen_gets_no_gradient_and_nothing_is_kept_for_it() {
    let graph = network();
    let mut net = net();
    let pictures = random(&[4, 2, 12, 12], 1);
    let route = Route::training(&graph);
    let all = lesson(&net, &route, &pictures);
    let whole = Plan::new(&graph, &route).unwrap();
    let frozen = Frozen::nothing().params(&graph, &["stem", "unit1", "unit2"]).unwrap();
    let head = Plan::at(&graph, &route, &frozen, &[graph.input()]).unwrap();
    // Beside the two results only what the classifiers read: 6 features before dropout's product, 4 for the other.
    assert!(head.kept(1) < whole.kept(1) / 20, "{} of {}", head.kept(1), whole.kept(1));
    net.freeze(frozen.statistics(&graph, &["stem", "unit1", "unit2"]).unwrap());
    let before: Vec<Vec<f64>> = net.tensors().map(|(_, tensor)| numbers(tensor)).collect();
    let some = lesson(&net, &route, &pictures);
    let mut names: Vec<_> = some.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aux.fc.bias", "aux.fc.weight", "fc.bias", "fc.weight"]);
    assert_eq!(all.len(), graph.params().filter(|param| param.role == Role::Trainable).count());
    let after: Vec<Vec<f64>> = net.tensors().map(|(_, tensor)| numbers(tensor)).collect();
    assert_eq!(before, after, "running statistics that are kept");
    // On candle's tape too.
    let loss = net.forward(&pictures, Mode::Train).unwrap().sqr().unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    for (param, tensor) in net.tensors() {
        let learns = param.name.starts_with("fc.");
        assert_eq!(gradients.get(tensor).is_some(), learns, "{}", param.name);
    }
}

/// A middle layer that is frozen still lets the gradient through to those before it.
#[test]
fn a_gradient_flows_through_what_is_frozen() {
    let graph = network();
    let mut net = net();
    let pictures = random(&[4, 2, 12, 12], 1);
    let route = Route::outputs(&graph, Mode::Eval).with_gradients();
    let all = lesson(&net, &route, &pictures);
    net.freeze(Frozen::nothing().params(&graph, &["unit2.conv2", "fc"]).unwrap());
    let some = lesson(&net, &route, &pictures);
    assert!(!some.contains_key("unit2.conv2.weight") && !some.contains_key("fc.weight"));
    assert_eq!(some.len() + 3, all.len());
    for (name, gradient) in &some {
        assert_near(gradient, &all[name], 1e-12);
    }
}

#[test]
fn a_network_of_plain_tensors_answers_off_the_tape_and_learns() {
    let graph = network();
    let seeded = net();
    let tensors: HashMap<String, Tensor> = seeded
        .tensors()
        .map(|(param, tensor)| (param.name.clone(), tensor.copy().unwrap().detach()))
        .collect();
    let plain = graph.load(VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu)).unwrap();
    let pictures = random(&[4, 2, 12, 12], 1);
    assert!(!plain.forward(&pictures, Mode::Eval).unwrap().track_op());
    assert!(seeded.forward(&pictures, Mode::Eval).unwrap().track_op());
    let folded = seeded.answer(&pictures).unwrap();
    assert!(!folded.track_op());
    assert_near(&folded, &seeded.forward(&pictures, Mode::Eval).unwrap(), 1e-12);
    let route = Route::outputs(&graph, Mode::Train).with_gradients();
    let gradients = lesson(&plain, &route, &pictures);
    assert_eq!(gradients.len(), plain.trainable().unwrap().len());
    let moved = plain.tensors().filter(|(param, _)| param.name.ends_with("running_mean"));
    assert!(moved.into_iter().all(|(_, tensor)| numbers(tensor).iter().any(|mean| *mean != 0.0)));
    for (_, variable) in plain.trainable().unwrap() {
        variable.set(&variable.zeros_like().unwrap()).unwrap();
    }
    assert!(numbers(&plain.answer(&pictures).unwrap()).iter().all(|logit| *logit == 0.0));
}

#[test]
fn the_tape_gives_what_a_pass_gives_in_both_modes() {
    let graph = network();
    let pictures = random(&[4, 2, 12, 12], 1);
    for mode in [Mode::Train, Mode::Eval] {
        let (passing, taping) = (net(), net());
        let passed = lesson(&passing, &Route::outputs(&graph, mode).with_gradients(), &pictures);
        let outputs = taping.outputs(&pictures, mode).unwrap();
        let terms = outputs.values().map(|output| output.sqr().unwrap().sum_all().unwrap());
        let gradients = terms.reduce(|a, b| (a + b).unwrap()).unwrap().backward().unwrap();
        for (param, tensor) in taping.tensors() {
            match (gradients.get(tensor), passed.get(&param.name)) {
                (Some(taped), Some(passed)) => assert_near(passed, taped, 1e-10),
                (None, None) => {}
                (taped, _) => panic!("{}: on the tape {}", param.name, taped.is_some()),
            }
        }
        for ((param, a), (_, b)) in passing.tensors().zip(taping.tensors()) {
            if param.role == Role::Buffer {
                assert_near(a, b, 1e-6);
            }
        }
    }
}

/// A loss of one output alone: the other's head gets no gradient, and nothing is made up for it.
#[test]
fn an_output_that_no_loss_is_made_of_has_no_gradient() {
    let net = net();
    let pictures = random(&[4, 2, 12, 12], 1);
    let one = |name: &str| {
        let pass = net.train_pass(&pictures).unwrap();
        let loss = pass.outputs()[name].sqr().unwrap().sum_all().unwrap();
        pass.backward(&loss.backward().unwrap()).unwrap()
    };
    let (main, aux) = (one("logits"), one("aux"));
    for (param, tensor) in net.tensors().filter(|(param, _)| param.role == Role::Trainable) {
        let shared = param.name.starts_with("stem") || param.name.starts_with("unit1");
        assert_eq!(main.get(tensor).is_some(), !param.name.starts_with("aux"), "{}", param.name);
        assert_eq!(aux.get(tensor).is_some(), shared || param.name.starts_with("aux"), "{}", param.name);
    }
}

#[test]
fn a_pass_takes_what_its_plan_says_and_again_the_same_memory() {
    let graph = network();
    let net = graph.init(5).unwrap();
    let plan = Plan::new(&graph, &Route::training(&graph)).unwrap();
    for batch in [3, 2, 3] {
        let pictures = random(&[batch, 2, 12, 12], 1).to_dtype(DType::F32).unwrap();
        let pass = net.train_pass(&pictures).unwrap();
        let terms = pass.outputs().values().map(|output| output.sqr().unwrap().sum_all().unwrap());
        let loss = terms.reduce(|a, b| (a + b).unwrap()).unwrap().backward().unwrap();
        // Slots that only the way back uses are taken then.
        assert!(pass.taken_bytes() <= 4 * plan.taken(3), "{batch}");
        let (gradients, taken) = pass.measured(&loss).unwrap();
        assert_eq!(taken, 4 * plan.taken(3) - 4 * (3 - batch as u64) * 6, "{batch}");
        net.recycle(gradients.params).unwrap();
    }
}

#[test]
fn the_same_bits_whatever_is_left_in_memory() {
    let net = network().init(5).unwrap();
    let small = random(&[1, 2, 12, 12], 1).to_dtype(DType::F32).unwrap();
    let large = random(&[5, 2, 14, 13], 2).to_dtype(DType::F32).unwrap();
    let first = numbers(&net.answer(&small).unwrap());
    net.answer(&large).unwrap();
    net.answer(&Tensor::cat(&[&small, &small], 0).unwrap()).unwrap();
    assert_eq!(numbers(&net.answer(&small).unwrap()), first);
}

#[test]
fn what_cannot_be_planned_is_refused_with_a_sentence() {
    let net = net();
    let graph = net.graph();
    let pictures = random(&[2, 2, 12, 12], 1);
    let (pool, fc) = (find(graph, "pool"), find(graph, "fc"));
    let refused = |result: Result<Vec<Tensor>, Error>, words: &[&str]| {
        let error = result.unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let elsewhere = Graph::build("longer", Shape::map(2, 12, 12), |net, mut x| {
        for _ in 0..60 {
            x = net.relu(x)?;
        }
        net.output("y", x)
    });
    let stranger = find(&elsewhere.unwrap(), "y");
    refused(net.run(&[(Graph::PICTURE, &pictures)], &[stranger], Mode::Eval), &["number 60", "`small`"]);
    let map = random(&[2, 4, 6, 6], 1);
    refused(
        net.run(&[(find(graph, "unit1.conv2"), &map)], &[fc], Mode::Eval),
        &["`fc`", "`unit1.conv2`", "`input`"],
    );
    refused(net.run(&[], &[fc], Mode::Eval), &["`fc`", "`input`"]);
    refused(net.run(&[(Graph::PICTURE, &pictures)], &[], Mode::Eval), &["nothing of `small`", "target"]);
    refused(
        net.run(&[(pool, &random(&[2, 5, 6, 6], 1))], &[fc], Mode::Eval),
        &["`pool`", "(4, height", "[2, 5, 6, 6]"],
    );
    refused(net.run(&[(pool, &random(&[2, 4, 6], 1))], &[fc], Mode::Eval), &["`pool`", "[2, 4, 6]"]);
    let tiny = random(&[2, 2, 1, 12], 1);
    refused(net.run(&[(Graph::PICTURE, &tiny)], &[fc], Mode::Eval), &["`pool`", "1x12", "takes is 2x2x2"]);
    let error = Frozen::nothing().params(graph, &["unti1"]).unwrap_err().to_string();
    assert!(error.contains("`unti1`") && error.contains("`unit1`"), "{error}");
    let route = Route::new(Mode::Eval, [pool], [fc]).with_gradients_of([find(graph, "stem.conv")]);
    let error = net.pass(&route, &[&map]).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("`stem.conv`") && error.contains("no target"), "{error}");
    let error = net.pass(&route, &[]).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("1 sources") && error.contains("0 values"), "{error}");
    let variable = Var::from_tensor(&random(&[0, 2, 12, 12], 1)).unwrap();
    refused(
        net.run(&[(Graph::PICTURE, &variable)], &[fc], Mode::Eval),
        &["`input`", "0 pictures", "at least one"],
    );
    let others = random(&[3, 4, 6, 6], 1);
    refused(
        net.run(&[(pool, &others), (Graph::PICTURE, &pictures)], &[fc], Mode::Eval),
        &["`input`", "2 pictures", "the first of 3"],
    );
    refused(net.run(&[(pool, &map), (pool, &map)], &[fc], Mode::Eval), &["`pool`", "given twice"]);
    let at = |shapes: &[Shape]| {
        let route = Route::new(Mode::Eval, [Graph::PICTURE], [fc]);
        Plan::at(graph, &route, &Frozen::nothing(), shapes).map(|_| ()).unwrap_err().to_string()
    };
    assert!(at(&[]).contains("0 values") && at(&[graph.input(); 2]).contains("2 values"));
    let frozen = Frozen::nothing;
    for (error, what) in [
        (frozen().params(graph, &["pool"]), "no parameters"),
        (frozen().statistics(graph, &["unit1.conv1"]), "no batch norms"),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("`small`"), "{error}");
    }
    // An output is a name for its node.
    assert!(frozen().params(graph, &["logits"]).unwrap().has_params(fc));
}

/// The order in which nodes are named is the caller's, on slices and on candle's tape, and one without a gradient is left
/// out, not given another's.
#[test]
fn gradients_belong_to_the_nodes_that_were_named() {
    let graph = Graph::build("mask", Shape::map(2, 6, 6), |net, picture| {
        let x = net.conv(picture, Conv2d::k3(3).stride(2), "conv")?;
        let x = net.upsample_like(x, picture, zoo_layers::Align::Areas)?;
        net.output("logits", x)
    });
    let graph = graph.unwrap();
    let (conv, logits) = (find(&graph, "conv"), find(&graph, "logits"));
    for dtype in [DType::F64, DType::F32, DType::BF16] {
        let net = graph.init_on(1, dtype, &Device::Cpu).unwrap();
        let pictures = random(&[1, 2, 6, 6], 1).to_dtype(dtype).unwrap();
        let gradients = |route: Route, given: &[&Tensor]| {
            let pass = net.pass(&route, given).unwrap();
            let loss = pass.outputs()["logits"].sum_all().unwrap();
            pass.gradients(&loss.backward().unwrap()).unwrap()
        };
        for nodes in [[conv, Graph::PICTURE], [Graph::PICTURE, conv]] {
            let route = Route::new(Mode::Eval, [Graph::PICTURE], [logits]).with_gradients_of(nodes);
            let found = gradients(route, &[&pictures]).nodes;
            assert_eq!(found[&conv].dims(), [1, 3, 3, 3], "{dtype:?}");
            assert_eq!(found[&Graph::PICTURE].dims(), [1, 2, 6, 6], "{dtype:?}");
        }
        // From here on the picture is read for its size alone.
        let map = random(&[1, 3, 3, 3], 2).to_dtype(dtype).unwrap();
        let nodes = [Graph::PICTURE, conv];
        let route = Route::new(Mode::Eval, nodes, [logits]).with_gradients_of(nodes);
        let found = gradients(route, &[&pictures, &map]).nodes;
        assert!(!found.contains_key(&Graph::PICTURE) && found[&conv].dims() == [1, 3, 3, 3], "{dtype:?}");
        // What a route learns doesn't hang on the mode, or on how weights came.
        let tensors: HashMap<String, Tensor> =
            net.tensors().map(|(param, tensor)| (param.name.clone(), tensor.detach())).collect();
        let plain = graph.load(VarBuilder::from_tensors(tensors, dtype, &Device::Cpu)).unwrap();
        for learns in [true, false] {
            let route = Route::new(Mode::Eval, [Graph::PICTURE], [logits]).with_gradients_of([conv]);
            let route = if learns { route.with_gradients() } else { route };
            let pass = plain.pass(&route, &[&pictures]).unwrap();
            let loss = pass.outputs()["logits"].sum_all().unwrap();
            let found = pass.gradients(&loss.backward().unwrap()).unwrap();
            let count =
                plain.trainable().unwrap().iter().filter(|(_, it)| found.params.get(it).is_some()).count();
            assert_eq!(count, if learns { 2 } else { 0 }, "{dtype:?}");
        }
    }
}
