//! What is computed again on the way back gives the same bits, for networks of every kind.

use candle_core::{DType, Device, Tensor};
use zoo::Options;
use zoo_layers::{Graph, Net, Plan, Recompute, Role, Route, rng::Stream};

/// Networks with the side of their pictures.
const NETWORKS: [(&str, usize); 6] = [
    ("resnet18", 64),
    ("seresnet18", 64),
    ("googlenet", 64),
    ("mobilenet_v2_035", 64),
    ("xception", 75),
    ("vgg11_bn", 64),
];

const BATCH: usize = 2;

fn graph(name: &str, side: usize) -> Graph {
    let options = Options {
        num_classes: Some(10),
        input_size: Some([side, side]),
        mean_classifier: name.starts_with("vgg"),
        ..Options::default()
    };
    zoo::find(name).unwrap().graph_for(&options).unwrap()
}

/// Gradients, running statistics and the bytes taken, of a step along each route.
fn steps(mut net: Net, routes: [&Route; 2]) -> Vec<(Vec<Vec<u32>>, u64)> {
    let dims = net.graph().input().with_batch(BATCH);
    let mut stream = Stream::new(5, "pictures");
    let values: Vec<f32> = (0..dims.iter().product()).map(|_| stream.normal() as f32).collect();
    let pictures = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
    net.draw_from(9, 0);
    let bits = |tensor: &Tensor| -> Vec<u32> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    let step = |route: &Route| {
        let pass = net.pass(route, &[&pictures]).unwrap();
        let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
        for output in pass.outputs().values() {
            loss = (loss + output.sqr().unwrap().sum_all().unwrap()).unwrap();
        }
        let (gradients, taken) = pass.measured(&loss.backward().unwrap()).unwrap();
        let learned = net.trainable().unwrap();
        let gradients = learned.iter().map(|(_, variable)| bits(gradients.params.get(variable).unwrap()));
        let mut seen: Vec<_> = gradients.collect();
        let buffers = net.tensors().filter(|(param, _)| param.role == Role::Buffer);
        seen.extend(buffers.map(|(_, tensor)| bits(tensor)));
        (seen, taken)
    };
    routes.map(step).into()
}

#[test]
fn gradients_and_statistics_are_the_same_bits() {
    for (name, side) in NETWORKS {
        let graph = graph(name, side);
        let plain = Route::training(&graph);
        let routes = [Recompute::All, Recompute::Cheap].map(|way| plain.clone().recomputing(way));
        let whole = steps(graph.init(1).unwrap(), [&plain, &plain]);
        let spare = steps(graph.init(1).unwrap(), [&routes[0], &routes[1]]);
        for ((whole, spare), route) in whole.iter().zip(&spare).zip(&routes) {
            assert!(spare.0 == whole.0, "{name}: other bits by {route:?}");
            let planned = 4 * Plan::new(&graph, route).unwrap().taken(BATCH as u64);
            assert_eq!(spare.1, planned, "{name}: bytes taken, not as planned by {route:?}");
            assert!(spare.1 <= whole.1, "{name}: {} of {} bytes by {route:?}", spare.1, whole.1);
        }
        assert!(spare[0].1 < whole[0].1, "{name} saves nothing");
    }
}

/// The bar: at most 35 % of what is kept otherwise, for at most 1.35 times the time.
#[test]
fn much_less_is_kept_for_a_third_more_time() {
    for name in ["resnet50", "xception"] {
        let graph = zoo::find(name).unwrap().graph().unwrap();
        let plan = |way| Plan::new(&graph, &Route::training(&graph).recomputing(way)).unwrap();
        let (plain, spare) = (plan(Recompute::Nothing), plan(Recompute::All));
        let share = spare.kept(8) as f64 / plain.kept(8) as f64;
        assert!(share <= 0.35, "{name} keeps {share} of it");
        assert!(spare.slowdown() <= 1.35, "{name} takes {} times the time", spare.slowdown());
    }
}
