//! Every architecture of the registry, read back: whatever is written has the types and shapes that ONNX's own rules
//! give it, and these are the graph's.

use std::collections::{BTreeMap, HashMap, HashSet};

use zoo::ARCHITECTURES;
use zoo_layers::{Graph, Mode, Param, Shape};
use zoo_onnx::{Model, Options};

use crate::{
    Nothing,
    reader::{File, read},
    shapes::{infer, sides},
};

/// The file without its weights, which are small enough to be left out.
fn written(graph: &Graph, options: Options) -> File {
    let options = Options { limit: 0, second_file: Some("w.data".into()), ..options };
    let model = Model::new(graph, options).unwrap_or_else(|error| panic!("{}: {error}", graph.name()));
    let mut bytes = Vec::new();
    model.write(&Nothing, &mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, model.bytes(), "{}", graph.name());
    read(&bytes)
}

/// Checks a file against a graph at the size that its free sides are bound to.
fn check(file: &File, graph: &Graph, batch: usize) {
    let name = graph.name();
    let [height, width] = graph.input().size();
    let mut bound: HashMap<&str, usize> =
        HashMap::from([("batch", batch), ("height", height), ("width", width)]);
    let known = infer(file, &bound);
    assert_eq!(known["input"].sides, graph.input().with_batch(batch), "{name}");
    // Names of their own stand for what the rules give.
    for value in file.outputs.iter().chain(&file.values) {
        for (side, found) in value.sides.iter().zip(&known[&value.name].sides) {
            if let crate::reader::Side::Free(free) = side {
                bound.entry(free).or_insert(*found);
            }
        }
    }
    for value in file.outputs.iter().chain(&file.values) {
        assert_eq!(sides(&value.sides, &bound), known[&value.name].sides, "{name}: `{}`", value.name);
    }
    for output in graph.outputs_in(Mode::Eval) {
        let shape = graph.get(output.node).output.with_batch(batch);
        assert_eq!(known[&output.name].sides, shape, "{name}: `{}`", output.name);
    }
    // A node has its layer's name, and what it yields its layer's shape.
    let layers: HashMap<&str, Shape> =
        graph.layers().iter().map(|layer| (layer.name.as_str(), layer.output)).collect();
    let mut names = HashSet::new();
    for node in &file.nodes {
        assert!(names.insert(&node.name), "{name}: two nodes are called `{}`", node.name);
        if let Some(shape) = layers.get(node.name.as_str()) {
            assert_eq!(known[&node.output].sides, shape.with_batch(batch), "{name}: `{}`", node.name);
        }
    }
}

/// The parameters of what answers, by name.
fn answering(graph: &Graph) -> BTreeMap<String, Vec<usize>> {
    let active = graph.active(Mode::Eval);
    let layers = graph.nodes().filter(|(node, _)| active.contains(*node));
    layers
        .flat_map(|(_, layer)| &layer.params)
        .map(|param: &Param| (param.name.clone(), param.shape.clone()))
        .collect()
}

fn weights(file: &File) -> BTreeMap<String, Vec<usize>> {
    let weights = file.tensors.iter().filter(|tensor| !tensor.external.is_empty());
    weights.map(|tensor| (tensor.name.clone(), tensor.dims.clone())).collect()
}

#[test]
fn every_architecture_has_its_shapes_with_a_fixed_size_and_any_batch() {
    for architecture in ARCHITECTURES {
        let graph = architecture.graph().unwrap();
        let file = written(&graph, Options::default());
        check(&file, &graph, 3);
        assert_eq!(weights(&file), answering(&graph), "{}", graph.name());
        assert_eq!((file.ir_version, file.producer.as_str()), (8, "zoo"));
        assert_eq!((file.opsets.as_slice(), file.graph.as_str()), (&[(String::new(), 17)][..], graph.name()));
        // Every value's shape is told, for whoever looks at the file.
        assert_eq!(
            file.values.len() + file.outputs.len(),
            file.nodes.iter().filter(|node| !node.name.contains('/')).count()
        );
        let fixed = written(&graph, Options { batch: Some(2), ..Options::default() });
        check(&fixed, &graph, 2);
        let free = |file: &File| {
            file.outputs[0].sides.iter().any(|side| matches!(side, crate::reader::Side::Free(_)))
        };
        assert_eq!((free(&file), free(&fixed)), (true, false));
    }
}

#[test]
fn every_architecture_that_takes_any_size_is_written_for_any() {
    let mut fixed = Vec::new();
    for architecture in ARCHITECTURES {
        let graph = architecture.graph().unwrap();
        let [height, width] = graph.input().size();
        let others = [graph.at_size(height + 37, width + 90), graph.at_size(height + 64, width + 160)];
        if others.iter().any(Result::is_err) {
            let options = Options { free_size: true, ..Options::default() };
            let error = Model::new(&graph, options).unwrap_err().to_string();
            assert!(error.contains("any size"), "{error}");
            fixed.push(architecture.name);
            continue;
        }
        let file = written(&graph, Options { free_size: true, ..Options::default() });
        for graph in others.iter().flatten().chain([&graph]) {
            check(&file, graph, 1);
        }
    }
    assert_eq!(
        fixed,
        ["lenet5", "lenet5_paper", "mnist_convnet", "digitnet", "alexnet_paper", "googlenet_paper"]
    );
}

#[test]
fn norms_go_into_the_convolutions_before_them() {
    for architecture in ARCHITECTURES {
        let graph = architecture.graph().unwrap();
        let file = written(&graph, Options { fold_norms: true, ..Options::default() });
        check(&file, &graph, 2);
        let left = file.nodes.iter().filter(|node| node.kind == "BatchNormalization").count();
        let plain = written(&graph, Options::default());
        let there = plain.nodes.iter().filter(|node| node.kind == "BatchNormalization").count();
        // In front of no convolution stand only the norms of inputs and sums, and none here does.
        assert_eq!(left, 0, "{} keeps {left} of its {there} norms", architecture.name);
        assert_eq!(plain.nodes.len() - file.nodes.len(), there, "{}", architecture.name);
        assert!(weights(&file).len() <= weights(&plain).len());
    }
}

#[test]
fn options_of_the_registry_are_written_too() {
    let usual = zoo::Options::default;
    let cases = [
        ("resnet50", zoo::Options { output_stride: Some(8), num_classes: Some(7), ..usual() }),
        ("resnet18", zoo::Options { in_channels: Some(4), small_stem: true, ..usual() }),
        ("seresnet50", zoo::Options { no_head: true, ..usual() }),
        ("xception", zoo::Options { output_stride: Some(16), ..usual() }),
        ("inception_v3", zoo::Options { no_auxiliary: true, ..usual() }),
        ("resnet20_cifar", zoo::Options { centred_shortcut: true, ..usual() }),
        ("vgg16", zoo::Options { mean_classifier: true, ..usual() }),
        ("seresnet18", zoo::Options { least_squeezed: Some(16), ..usual() }),
        ("mobilenet_v2", zoo::Options { input_size: Some([96, 160]), ..usual() }),
    ];
    for (name, options) in cases {
        let graph = zoo::find(name).unwrap().graph_for(&options).unwrap();
        check(&written(&graph, Options::default()), &graph, 2);
        check(&written(&graph, Options { fold_norms: true, ..Options::default() }), &graph, 2);
    }
    let (sliding, _) = zoo::find("vgg16").unwrap().graph().unwrap().convolutionalize().unwrap();
    let file = written(&sliding, Options { free_size: true, ..Options::default() });
    check(&file, &sliding.at_size(320, 400).unwrap(), 1);
    let cut =
        zoo::find("resnet18").unwrap().graph().unwrap().cut(&["layer3", "layer4.0.add", "input"]).unwrap();
    check(&written(&cut, Options::default()), &cut, 2);
}
