//! The checks themselves.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use zoo_engine::Engine;
use zoo_layers::{Graph, Mode, Net, Node, Op, Outputs, Param, Plan, Role, Route, rng::Stream};

use crate::figures::{here, names_and_shapes, published, totals};

/// What was published of it, and the names and shapes that were blessed.
pub(crate) fn figures_and_names(graph: &Graph) {
    let (name, totals) = (graph.name(), totals(graph));
    let lines = published();
    let own: Vec<_> = lines.iter().filter(|line| line.model == name).collect();
    assert!(own.iter().any(|line| line.figure == "parameters"), "{name}: no published total");
    for line in own {
        line.check(&totals);
    }
    let blessed = std::fs::read_to_string(here(&format!("snapshots/{name}.snap"))).unwrap();
    let names = names_and_shapes(graph).join("\n");
    assert!(blessed.trim_end().ends_with(&names), "{name}: names and shapes differ from the snapshot");
}

/// Below the smallest picture there is a sentence with a node and what would fit. Returns the side of the pictures to
/// go on with: the smallest, but large enough that maps have borders and insides, as far as the network takes it.
pub(crate) fn small_pictures_are_refused(graph: &Graph) -> usize {
    let name = graph.name();
    let smallest = graph.smallest_side().unwrap();
    let refusal = |side: usize| {
        let error = graph.at_size(side, side).unwrap_err().to_string();
        let node = error.split('`').nth(1).unwrap();
        assert!(graph.layer(node).is_ok(), "{name}: which node refuses {side} pixels? {error}");
        error
    };
    let nothing = refusal(0);
    assert!(nothing.contains("at least 1"), "{nothing}");
    if smallest > 1 {
        let error = refusal(smallest - 1);
        let says = |fits: &str| error.contains(fits);
        // A window that does not fit tells the smallest picture, a dense layer of fixed size the nominal one.
        let side = format!("takes is {}x{smallest}x{smallest}", graph.input().channels());
        assert!(says(&side) || says(&format!("takes {}", graph.input())), "{name}: what would fit? {error}");
    }
    match graph.at_size(48, 48) {
        Ok(_) => smallest.max(48),
        Err(_) => smallest,
    }
}

/// A batch of `count` pictures, another one for each `purpose`.
fn pictures(graph: &Graph, count: usize, purpose: &str) -> Tensor {
    noise(&graph.input().with_batch(count), purpose)
}

fn noise(shape: &[usize], purpose: &str) -> Tensor {
    let mut stream = Stream::new(1, purpose);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// One training step: all outputs, auxiliary ones too, have their shapes and are finite; every learned parameter gets
/// a gradient, and one that is not zero everywhere; it takes the memory that its plan says, to the byte.
pub(crate) fn every_parameter_learns(net: &Net) {
    let graph = net.graph();
    let pass = net.train_pass(&pictures(graph, 3, "lesson")).unwrap();
    assert_eq!(pass.outputs().len(), graph.outputs().len());
    check_outputs(graph, pass.outputs(), 3);
    // Any direction of the outputs, so that nothing vanishes by symmetry.
    let mut loss = Tensor::zeros((), DType::F32, &Device::Cpu).unwrap();
    for (name, output) in pass.outputs() {
        loss = (loss + (output * noise(output.dims(), name)).unwrap().sum_all().unwrap()).unwrap();
    }
    let (gradients, taken) = pass.measured(&loss.backward().unwrap()).unwrap();
    let plan = Plan::new(graph, &Route::training(graph)).unwrap();
    assert_eq!(taken, 4 * plan.taken(3), "{}: bytes taken, not as planned", graph.name());
    let gradients = gradients.params;
    let cancelled = cancelled_biases(graph);
    for (param, tensor) in net.tensors().filter(|(param, _)| param.role == Role::Trainable) {
        let what = format!("{}: {}", graph.name(), param.name);
        let gradient = gradients.get(tensor).unwrap_or_else(|| panic!("{what}: no gradient"));
        assert_eq!(gradient.dims(), param.shape, "{what}");
        let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{what}: its gradient is not finite");
        let moves = values.iter().any(|value| *value != 0.0);
        assert!(moves || cancelled.contains(&param.name), "{what}: its gradient is zero everywhere");
    }
}

/// Biases that the next norm subtracts again: their gradient is zero but for rounding.
fn cancelled_biases(graph: &Graph) -> Vec<String> {
    let norms = graph.layers().iter().filter(|layer| matches!(layer.op, Op::BatchNorm2d(_)));
    let before = norms.map(|layer| &graph.get(layer.inputs[0]).name);
    before.map(|name| format!("{name}.bias")).collect()
}

fn check_outputs(graph: &Graph, outputs: &Outputs, count: usize) {
    for output in graph.outputs() {
        let Some(tensor) = outputs.get(&output.name) else { continue };
        let what = format!("{}: {}", graph.name(), output.name);
        assert_eq!(tensor.dims(), graph.get(output.node).output.with_batch(count), "{what}");
        let values = bits(tensor);
        assert!(values.iter().all(|value| f32::from_bits(*value).is_finite()), "{what} is not finite");
    }
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The same picture has the same answer, bit for bit: again, and whatever else is in the batch.
pub(crate) fn answers_depend_on_nothing_else(net: &Net) {
    let (graph, name) = (net.graph(), net.graph().name());
    let [first, second] = ["first", "second"].map(|purpose| pictures(graph, 1, purpose));
    let main: Node = graph.main_output().node;
    let answers = |parts: &[&Tensor]| {
        let outputs = net.outputs(&Tensor::cat(parts, 0).unwrap(), Mode::Eval).unwrap();
        check_outputs(graph, &outputs, parts.len());
        assert_eq!(outputs.len(), graph.outputs_in(Mode::Eval).count(), "{name}");
        outputs[&graph.main_output().name].clone()
    };
    let alone = bits(&answers(&[&first]));
    assert_eq!(alone.len(), graph.get(main).output.elements());
    assert!(alone == bits(&answers(&[&first])), "{name}: another answer to the same picture");
    let both = answers(&[&second, &first]);
    let in_batch = bits(&both.narrow(0, 1, 1).unwrap());
    assert!(alone == in_batch, "{name}: another answer in a batch than alone");
    assert!(alone != bits(&both.narrow(0, 0, 1).unwrap()), "{name}: one answer to two pictures");
}

/// The compiled network answers as the network does: for a batch, for one picture of it (in the same bits), and nearer
/// without Winograd's transforms.
pub(crate) fn the_engine_agrees(net: &Net) {
    let graph = net.graph();
    for (param, variable) in net.trainable().unwrap() {
        // What starts as nothing would hide what is computed wrongly before it.
        let size = variable.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        if size == 0.0 {
            variable.set(&(noise(&param.shape, &param.name) * 0.3).unwrap()).unwrap();
        }
    }
    let pictures = pictures(graph, 2, "engine");
    let [channels, height, width] = graph.input().dims()[..] else { panic!("a picture is a map") };
    let values = pictures.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let wanted = net.outputs(&pictures, Mode::Eval).unwrap();
    for (exact, tolerance) in [(false, 2e-5), (true, 5e-6)] {
        let engine =
            Engine::compile(graph, net, [2, channels, height, width], zoo_engine::Options { exact }).unwrap();
        let results = engine.run(&values).unwrap();
        let alone = engine.run(&values[..values.len() / 2]).unwrap();
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let again = pool.install(|| engine.run(&values)).unwrap();
            let pairs = again.iter().flatten().zip(results.iter().flatten());
            assert!(pairs.into_iter().all(|(a, b)| a.to_bits() == b.to_bits()), "{threads} threads");
        }
        for ((output, got), alone) in graph.outputs_in(Mode::Eval).zip(&results).zip(&alone) {
            let want = wanted[&output.name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(got.len(), want.len(), "{}", output.name);
            let largest = want.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let error = got.iter().zip(&want).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(
                largest > 0.0 && error <= tolerance * largest,
                "{}: off by {error} of {largest}",
                output.name
            );
            assert!(alone.iter().zip(got).all(|(a, b)| a.to_bits() == b.to_bits()), "{}: alone", output.name);
        }
    }
}

/// Written to a file and read again, strictly, it gives the same bits.
pub(crate) fn saved_and_loaded_it_is_the_same(net: Net) {
    let graph = net.graph().clone();
    let picture = pictures(&graph, 1, "saved");
    let before = bits(&net.answer(&picture).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let named: HashMap<String, Tensor> =
        net.tensors().map(|(param, tensor): (&Param, _)| (param.name.clone(), tensor.clone())).collect();
    candle_core::safetensors::save(&named, &path).unwrap();
    drop((named, net));
    let read = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let net = graph.load_tensors(&read, &Device::Cpu).unwrap();
    drop(read);
    let after = bits(&net.answer(&picture).unwrap());
    assert!(before == after, "{}: another answer after saving and loading", graph.name());
}
