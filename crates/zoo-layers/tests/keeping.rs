//! What the way back keeps, computes again, or keeps in half the size: the same gradients from less memory.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use zoo_layers::{
    Activation, Call, Conv2d, Frozen, Graph, Linear, MaxPool2d, Mode, Net, Op, Operation, Plan, Recompute,
    Route, Shape,
};

const WAYS: [Recompute; 2] = [Recompute::Cheap, Recompute::All];

/// Residual units between a pool and a classifier, with dropout inside and an auxiliary head.
fn tower() -> Graph {
    let graph = Graph::build("tower", Shape::map(3, 24, 24), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(8), "stem.conv", "stem.bn")?;
        let mut x = net.max_pool(x, MaxPool2d::new(3, 2), "pool")?;
        for unit in 0..6 {
            let y = net.conv_norm_act(x, Conv2d::k3(8), format!("{unit}.conv1"), format!("{unit}.bn1"))?;
            let y = net.dropout(y, 0.2)?;
            let y = net.conv_norm(y, Conv2d::k3(8), format!("{unit}.conv2"), format!("{unit}.bn2"))?;
            let sum = net.add(y, x)?;
            x = net.relu(sum)?;
            if unit == 2 {
                let aux = net.global_avg_pool(x)?;
                let aux = net.linear(aux, Linear::new(4), "aux.fc")?;
                net.training_output("aux", aux)?;
            }
        }
        let x = net.global_avg_pool(x)?;
        let x = net.dropout(x, 0.3)?;
        let logits = net.linear(x, Linear::new(4), "fc")?;
        net.output("logits", logits)
    });
    graph.unwrap()
}

fn pictures(graph: &Graph, count: usize) -> Tensor {
    let mut stream = zoo_layers::rng::Stream::new(3, "pictures");
    let dims = graph.input().with_batch(count);
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

/// Outputs, gradients and tensors after two steps, and the bytes that the second took.
fn lesson(mut net: Net, route: &Route, pictures: &Tensor) -> (Vec<(String, Tensor)>, u64) {
    net.draw_from(7, 0);
    let (mut seen, mut bytes) = (Vec::new(), 0);
    for step in 0..2 {
        let pass = net.pass(route, &[pictures]).unwrap();
        let mut loss = Tensor::zeros((), pictures.dtype(), &Device::Cpu).unwrap();
        for (name, output) in pass.outputs() {
            seen.push((format!("{step} {name}"), output.copy().unwrap()));
            loss = (loss + output.sqr().unwrap().sum_all().unwrap()).unwrap();
        }
        let (gradients, taken) = pass.measured(&loss.backward().unwrap()).unwrap();
        for (param, variable) in net.trainable().unwrap() {
            let gradient = gradients.params.get(&variable).unwrap().copy().unwrap();
            seen.push((format!("{step} gradient of {}", param.name), gradient));
        }
        let mut nodes: Vec<_> = gradients.nodes.iter().collect();
        nodes.sort_by_key(|(node, _)| node.index());
        for (node, gradient) in nodes {
            seen.push((format!("{step} gradient of node {}", node.index()), gradient.copy().unwrap()));
        }
        net.recycle(gradients.params).unwrap();
        bytes = taken;
    }
    seen.extend(net.tensors().map(|(param, tensor)| (param.name.clone(), tensor.copy().unwrap())));
    (seen, bytes)
}

fn assert_same(ours: &[(String, Tensor)], theirs: &[(String, Tensor)]) {
    assert_eq!(ours.len(), theirs.len());
    for ((name, a), (other, b)) in ours.iter().zip(theirs) {
        assert_eq!(name, other);
        assert!(bits(a) == bits(b), "{name} has other bits");
    }
}

#[test]
fn what_is_computed_again_gives_the_same_bits_in_less_memory() {
    let graph = tower();
    let pictures = pictures(&graph, 3);
    let inner = ["input", "pool", "2.bn1", "add_3"].map(|name| graph.find(name).unwrap());
    for route in [Route::training(&graph), Route::training(&graph).with_gradients_of(inner)] {
        let plain = lesson(graph.init(1).unwrap(), &route, &pictures);
        for way in WAYS {
            let route = route.clone().recomputing(way);
            let plan = Plan::new(&graph, &route).unwrap();
            assert!(plan.work_again() > 0 && plan.slowdown() > 1.0, "{way:?} computes nothing again");
            assert!(plan.again().count() > 0);
            let spare = lesson(graph.init(1).unwrap(), &route, &pictures);
            assert_same(&spare.0, &plain.0);
            assert_eq!(spare.1, 4 * plan.taken(3), "{way:?}: bytes taken, not as planned");
            assert!(spare.1 < plain.1, "{way:?} saves nothing: {} of {}", spare.1, plain.1);
        }
    }
    let kept = |way| Plan::new(&graph, &Route::training(&graph).recomputing(way)).unwrap().kept(8) as f64;
    let share = kept(Recompute::All) / kept(Recompute::Nothing);
    assert!(share < 0.45, "{share} of what is kept otherwise");
}

#[test]
fn what_is_frozen_may_be_computed_again_too() {
    let graph = tower();
    let pictures = pictures(&graph, 2);
    let frozen = || {
        let frozen = Frozen::nothing().params(&graph, &["stem", "0", "3"]).unwrap();
        frozen.statistics(&graph, &["stem", "1"]).unwrap()
    };
    let run = |way| {
        let mut net = graph.init(1).unwrap();
        net.freeze(frozen());
        lesson(net, &Route::training(&graph).recomputing(way), &pictures)
    };
    let plain = run(Recompute::Nothing);
    for way in WAYS {
        assert_same(&run(way).0, &plain.0);
    }
}

#[test]
fn what_is_kept_as_bf16_takes_half_and_errs_by_little() {
    let graph = tower();
    let pictures = pictures(&graph, 3);
    let plain = lesson(graph.init(1).unwrap(), &Route::training(&graph), &pictures);
    for way in [Recompute::Nothing, Recompute::Cheap, Recompute::All] {
        let route = Route::training(&graph).recomputing(way);
        let whole = Plan::new(&graph, &route).unwrap();
        let route = route.keeping_bf16();
        let plan = Plan::new(&graph, &route).unwrap();
        // Where there are segments, others may be better: what they keep costs less. Where all may be computed again, a
        // segment's own values, which stay whole, are most of what a step takes, and half of the rest saves little or nothing.
        let (most, saves) = match way {
            Recompute::Nothing => (0.52, true),
            Recompute::Cheap => (0.7, true),
            Recompute::All => (1.0, false),
        };
        let share = plan.kept(8) as f64 / whole.kept(8) as f64;
        assert!(share < most, "{way:?} keeps {share} of it");
        assert!(
            !saves || plan.taken(8) < whole.taken(8),
            "{way:?} takes {} of {}",
            plan.taken(8),
            whole.taken(8)
        );
        let half = lesson(graph.init(1).unwrap(), &route, &pictures);
        assert_eq!(half.1, 4 * plan.taken(3), "{way:?}: bytes taken, not as planned");
        for ((name, a), (_, b)) in half.0.iter().zip(&plain.0) {
            let error = distance(&values(a), &values(b));
            let most = if name.contains("gradient") { astray(way).sqrt() } else { 0.0 };
            assert!(error <= most, "{way:?}: {name} errs by {error}");
        }
    }
}

/// Which share of the gradients' squares goes astray on the way back through `tower`, whose way forward is not touched.
///
/// A number that was rounded by up to 2^-9 of itself may fall on the other side of a ReLU. That takes a sum of a
/// convolution as near to its mean as the rounding is wide, and 2^-11 of them are (3 to 7 in 10,000, counted in PyTorch for
/// this tower and other draws). A gradient that comes or goes is one beside the half that passes: it counts twice. Seven
/// ReLUs stand behind norms. In the pool two neighbours become equal in one of 2^9 windows (1 to 3 in 1,000), and a gradient
/// goes to the other: one comes, one goes. The ReLUs of the six sums read what they gave, and rounding leaves a zero zero and
/// the rest positive, unless they run again, from rounded values: as sums of two they are spread wider, and half as many change sides.
fn astray(way: Recompute) -> f64 {
    let (norms, pool) = (7.0 * 2.0 * 0.5_f64.powi(11), 2.0 * 0.5_f64.powi(9));
    let sums = if way == Recompute::Nothing { 0.0 } else { 6.0 * 2.0 * 0.5_f64.powi(12) };
    norms + pool + sums
}

/// Where nothing has a kink, gradients err by the rounding alone.
#[test]
fn smooth_layers_err_by_the_rounding_of_what_they_keep() {
    let graph = Graph::build("smooth", Shape::map(3, 24, 24), |net, picture| {
        let mut x = net.conv_norm(picture, Conv2d::k3(8).stride(2), "stem.conv", "stem.bn")?;
        for unit in 0..6 {
            let y = net.conv_norm(x, Conv2d::k3(8), format!("{unit}.conv1"), format!("{unit}.bn1"))?;
            let y = net.add_op(Op::Activation(Activation::Tanh), &[y], format!("{unit}.tanh"))?;
            let y = net.conv_norm(y, Conv2d::k3(8), format!("{unit}.conv2"), format!("{unit}.bn2"))?;
            let sum = net.add(y, x)?;
            x = net.add_op(Op::Activation(Activation::Tanh), &[sum], format!("{unit}.out"))?;
        }
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(4), "fc")?;
        net.output("logits", logits)
    });
    let graph = graph.unwrap();
    let pictures = pictures(&graph, 3);
    let plain = lesson(graph.init(1).unwrap(), &Route::training(&graph), &pictures).0;
    for way in [Recompute::Nothing, Recompute::Cheap, Recompute::All] {
        let route = Route::training(&graph).recomputing(way).keeping_bf16();
        let half = lesson(graph.init(1).unwrap(), &route, &pictures).0;
        let gradient = |all: &[(String, Tensor)]| -> Vec<f64> {
            all.iter().filter(|(name, _)| name.contains("gradient")).flat_map(|(_, of)| values(of)).collect()
        };
        // All parameters' as one, for that of a norm's scale alone is a sum whose terms cancel. A norm and a tanh read two
        // rounded values in each half of a unit, and the stem's norm one: 25 roundings, each of up to 2^-9, that know nothing
        // of each other.
        let (error, most) = (distance(&gradient(&half), &gradient(&plain)), 5.0 * 0.5_f64.powi(9));
        assert!(error <= most, "{way:?}: the gradient errs by {error}");
    }
}

/// How far numbers are from others, beside the norm of those.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-9)
}

/// In f64 too, whose kernels are the same.
#[test]
fn doubles_are_computed_again_as_well() {
    let graph = tower();
    let pictures = pictures(&graph, 2).to_dtype(DType::F64).unwrap();
    let run = |route: &Route| lesson(graph.init_on(1, DType::F64, &Device::Cpu).unwrap(), route, &pictures).0;
    let plain = run(&Route::training(&graph));
    let spare = run(&Route::training(&graph).recomputing(Recompute::All));
    for ((name, a), (_, b)) in spare.iter().zip(&plain) {
        assert_eq!(values(a), values(b), "{name}");
    }
}

/// A layer that candle's operations compute: the square of what it is given.
#[derive(Debug)]
struct Square;

impl Operation for Square {
    fn kind(&self) -> &'static str {
        "Square"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(inputs[0])
    }

    fn forward(&self, call: Call<'_>) -> candle_core::Result<Tensor> {
        call.inputs[0].sqr()
    }
}

#[test]
fn layers_of_ones_own_are_taped_when_they_are_run_again() {
    let graph = Graph::build("squares", Shape::map(2, 16, 16), |net, mut x| {
        for unit in 0..8 {
            let y = net.conv_norm_act(x, Conv2d::k3(6), format!("conv{unit}"), format!("bn{unit}"))?;
            x = net.add_op(Op::Custom(Arc::new(Square)), &[y], format!("square{unit}"))?;
        }
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(3), "fc")?;
        net.output("logits", logits)
    });
    let graph = graph.unwrap();
    let pictures = pictures(&graph, 2);
    let plain = lesson(graph.init(1).unwrap(), &Route::training(&graph), &pictures);
    for way in WAYS {
        let route = Route::training(&graph).recomputing(way);
        assert_same(&lesson(graph.init(1).unwrap(), &route, &pictures).0, &plain.0);
    }
}

#[test]
fn there_is_nothing_to_compute_again_where_there_is_no_way_back() {
    let graph = tower();
    let route = Route::outputs(&graph, Mode::Eval).recomputing(Recompute::All).keeping_bf16();
    let plan = Plan::new(&graph, &route).unwrap();
    assert_eq!((plan.work_again(), plan.again().count()), (0, 0));
    let small = Graph::build("small", Shape::map(1, 4, 4), |net, x| {
        let x = net.conv(x, Conv2d::k3(2), "conv")?;
        net.output("map", x)
    });
    let small = small.unwrap();
    let picture = pictures(&small, 1);
    for way in WAYS {
        let route = Route::training(&small).recomputing(way).keeping_bf16();
        let plain = lesson(small.init(1).unwrap(), &Route::training(&small), &picture);
        assert_same(&lesson(small.init(1).unwrap(), &route, &picture).0, &plain.0);
    }
}
