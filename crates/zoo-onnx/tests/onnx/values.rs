//! What is in a file: numbers, names, metadata, layers of one's own; and what is refused.

use std::{collections::BTreeMap, io, sync::Arc};

use candle_core::{Device, Result as CandleResult, Tensor, Var};
use zoo_layers::{
    Activation, AvgPool2d, Call, Conv2d, Divisor, Graph, Linear, LocalResponseNorm, MaxPool2d, Net, Op,
    Operation, Padding, Param, Shape,
    onnx::{self, Arg, Form, Site},
};
use zoo_onnx::{Error, Model, Options, Weights};

use crate::reader::{Attribute, File, read};

fn network() -> Graph {
    let graph = Graph::build("tiny", Shape::map(3, 16, 16), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k3(4).stride(2), "conv1", "bn1")?;
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(2), "fc")?;
        net.output("logits", logits)
    });
    graph.unwrap()
}

/// Fresh weights with statistics that change something.
fn weights(graph: &Graph) -> Net {
    let net = graph.init(7).unwrap();
    for (param, tensor) in net.tensors() {
        let values: &[f32] = match param.name.as_str() {
            "bn1.weight" => &[1.5, 0.5, 2.0, 1.0],
            "bn1.bias" => &[0.1, -0.2, 0.3, 0.0],
            "bn1.running_mean" => &[1.0, -1.0, 0.5, 0.0],
            "bn1.running_var" => &[4.0, 0.25, 1.0, 2.0],
            _ => continue,
        };
        Var::from_tensor(tensor).unwrap().set(&Tensor::new(values, &Device::Cpu).unwrap()).unwrap();
    }
    net
}

fn written(graph: &Graph, weights: &dyn Weights, options: Options) -> Result<File, Error> {
    let mut bytes = Vec::new();
    let model = Model::new(graph, options)?;
    model.write(weights, &mut bytes)?;
    assert_eq!(bytes.len() as u64, model.bytes());
    Ok(read(&bytes))
}

fn floats(file: &File, name: &str) -> Vec<f32> {
    file.tensors.iter().find(|tensor| tensor.name == name).unwrap().floats()
}

fn own(net: &Net, name: &str) -> Vec<f32> {
    let (_, tensor) = net.tensors().find(|(param, _)| param.name == name).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn weights_lie_in_the_file_as_they_are() {
    let (graph, mut options) = (network(), Options::default());
    let net = weights(&graph);
    options.metadata = BTreeMap::from([("classes".into(), r#"["cat","dog"]"#.into())]);
    let file = written(&graph, &net, options).unwrap();
    for (param, _) in net.tensors() {
        assert_eq!(floats(&file, &param.name), own(&net, &param.name), "{}", param.name);
    }
    assert_eq!(file.metadata["classes"], r#"["cat","dog"]"#);
    let kinds: Vec<(&str, &str)> =
        file.nodes.iter().map(|node| (node.name.as_str(), node.kind.as_str())).collect();
    let expected = [
        ("conv1", "Conv"),
        ("bn1", "BatchNormalization"),
        ("relu", "Relu"),
        ("avgpool", "GlobalAveragePool"),
        ("flatten", "Flatten"),
        ("fc", "Gemm"),
    ];
    assert_eq!(kinds, expected);
    let conv = &file.nodes[0];
    assert_eq!(conv.inputs, ["input", "conv1.weight"]);
    assert_eq!(conv.attributes["pads"], Attribute::Ints(vec![1; 4]));
    assert_eq!(file.nodes[1].attributes["epsilon"], Attribute::Float(1e-5));
    assert_eq!(file.nodes[5].output, "logits");
}

#[test]
fn the_same_gives_the_same_bytes() {
    let graph = network();
    let bytes = |_| {
        let mut bytes = Vec::new();
        let model = Model::new(&graph, Options { fold_norms: true, ..Options::default() }).unwrap();
        model.write(&weights(&graph), &mut bytes).unwrap();
        bytes
    };
    assert_eq!(bytes(1), bytes(2));
}

#[test]
fn a_folded_norm_is_in_weight_and_bias() {
    let graph = network();
    let net = weights(&graph);
    let file = written(&graph, &net, Options { fold_norms: true, ..Options::default() }).unwrap();
    let scale = |channel: usize| {
        let (gamma, variance) = (own(&net, "bn1.weight")[channel], own(&net, "bn1.running_var")[channel]);
        f64::from(gamma) / (f64::from(variance) + 1e-5).sqrt()
    };
    let (folded, plain) = (floats(&file, "conv1.weight"), own(&net, "conv1.weight"));
    for (place, (folded, plain)) in folded.iter().zip(plain).enumerate() {
        let wanted = f64::from(plain) * scale(place / 27);
        assert!(
            (f64::from(*folded) - wanted).abs() < 1e-6 * wanted.abs().max(1e-3),
            "{folded}, not {wanted}"
        );
    }
    for (channel, bias) in floats(&file, "conv1.bias").iter().enumerate() {
        let wanted = f64::from(own(&net, "bn1.bias")[channel])
            - f64::from(own(&net, "bn1.running_mean")[channel]) * scale(channel);
        assert!((f64::from(*bias) - wanted).abs() < 1e-6, "{bias}, not {wanted}");
    }
    assert_eq!((file.nodes[0].name.as_str(), file.nodes[0].inputs.len()), ("conv1", 3));
    assert!(file.tensors.iter().all(|tensor| !tensor.name.starts_with("bn1")));
}

#[test]
fn large_weights_lie_in_a_second_file() {
    let graph = network();
    let net = weights(&graph);
    let options = Options { limit: 1000, ..Options::default() };
    let error = Model::new(&graph, options.clone()).unwrap_err();
    assert!(matches!(error, Error::NeedsSecondFile { limit: 1000, .. }), "{error}");
    let model = Model::new(&graph, Options { second_file: Some("tiny.data".into()), ..options }).unwrap();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    model.write_second(&net, &mut second).unwrap();
    model.write(&net, &mut first).unwrap();
    assert_eq!((model.bytes(), model.second_bytes()), (first.len() as u64, Some(second.len() as u64)));
    let file = read(&first);
    assert_eq!(file.tensors.len(), 7);
    for tensor in &file.tensors {
        assert!(tensor.raw.is_none() && tensor.external["location"] == "tiny.data");
        let at = |key: &str| tensor.external[key].parse::<usize>().unwrap();
        assert_eq!(at("offset") % 4096, 0, "{}", tensor.name);
        let values: Vec<f32> = second[at("offset")..at("offset") + at("length")]
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        assert_eq!(values, own(&net, &tensor.name));
    }
    // In one file, there is no second.
    let mut nothing = Vec::new();
    let model = Model::new(&graph, Options::default()).unwrap();
    model.write_second(&net, &mut nothing).unwrap();
    assert!(nothing.is_empty() && model.second_bytes().is_none());
}

/// Gives some other values for one parameter.
struct Odd<'a>(&'a Net, &'a str, &'a [f32]);

impl Weights for Odd<'_> {
    fn values(
        &self,
        param: &Param,
        take: &mut dyn FnMut(&[f32]) -> zoo_onnx::Result<()>,
    ) -> zoo_onnx::Result<()> {
        if param.name == self.1 { take(self.2) } else { self.0.values(param, take) }
    }
}

#[test]
fn weights_that_are_no_numbers_or_not_there_are_named() {
    let graph = network();
    let net = weights(&graph);
    let said = |name: &str, values: &[f32], fold_norms: bool| {
        let options = Options { fold_norms, ..Options::default() };
        written(&graph, &Odd(&net, name, values), options).unwrap_err().to_string()
    };
    let error = said("fc.bias", &[1.0, f32::NAN], false);
    assert!(error.contains("`fc.bias` holds NaN at place 1 of 2"), "{error}");
    let error = said("bn1.bias", &[1.0, 1.0, f32::INFINITY, 1.0], true);
    assert!(error.contains("`bn1.bias` holds inf at place 2 of 4"), "{error}");
    for values in [&[1.0][..], &[1.0; 3], &[]] {
        let error = said("fc.bias", values, false);
        let count = format!("give {} values for `fc.bias`, which has 2", values.len());
        assert!(error.contains(&count), "{error}");
    }
    let error = said("bn1.running_var", &[1.0, -1.0, 1.0, 1.0], true);
    assert!(error.contains("`bn1`") && error.contains("channel 1") && error.contains("-1"), "{error}");
    // What can't be written is told as it is, and through a function that tells of files only.
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let full = Model::new(&graph, Options::default()).unwrap().write(&net, &mut Full).unwrap_err();
    assert_eq!(io::Error::from(full).kind(), io::ErrorKind::StorageFull);
}

/// `1.7159 tanh(2x/3)`, or nothing that ONNX knows.
#[derive(Debug)]
struct Own(Option<Form>);

impl Operation for Own {
    fn kind(&self) -> &'static str {
        "Own"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        inputs.first().copied().ok_or_else(|| "no input".into())
    }

    fn onnx(&self, site: &Site<'_>) -> Option<Form> {
        assert_eq!(site.inputs, [Shape::map(3, 4, 4)]);
        self.0.clone()
    }

    fn forward(&self, call: Call<'_>) -> CandleResult<Tensor> {
        Activation::ScaledTanh.apply(&call.inputs[0])
    }
}

fn with(op: Own) -> Graph {
    let graph = Graph::build("own", Shape::map(3, 4, 4), |net, picture| {
        let x = net.add_op(Op::Custom(Arc::new(op)), &[picture], "square")?;
        net.output("features", x)
    });
    graph.unwrap()
}

#[test]
fn a_layer_of_ones_own_brings_its_form() {
    let mut form = Form::new();
    let x = form.call("Mul", [Arg::Input(0), Arg::number(2.0)]);
    form.call("Odd", [x, Arg::Absent, Arg::Ints(vec![1, 2])]);
    form.of("com.example")
        .with("alpha", onnx::Attribute::Float(0.5))
        .with("mode", onnx::Attribute::Text("new".into()));
    let graph = with(Own(Some(form)));
    let file = written(&graph, &graph.init(1).unwrap(), Options::default()).unwrap();
    let [first, last] = &file.nodes[..] else { panic!("{:?}", file.nodes) };
    assert_eq!((first.name.as_str(), first.kind.as_str()), ("square/Mul", "Mul"));
    assert_eq!(
        (last.name.as_str(), last.kind.as_str(), last.domain.as_str()),
        ("square", "Odd", "com.example")
    );
    assert_eq!(
        (last.inputs[0].as_str(), last.inputs[1].as_str(), last.output.as_str()),
        ("square/Mul", "", "features")
    );
    assert_eq!(last.attributes["alpha"], Attribute::Float(0.5));
    assert_eq!(last.attributes["mode"], Attribute::Text("new".into()));
    assert_eq!(file.opsets, [(String::new(), 17), ("com.example".into(), 1)]);
}

#[test]
fn a_layer_without_a_form_is_named() {
    let error = Model::new(&with(Own(None)), Options::default()).unwrap_err().to_string();
    assert!(error.contains("`square` (Own)") && error.contains("Operation::onnx"), "{error}");
    let mut form = Form::new();
    form.call("Mul", [Arg::Input(0), Arg::Param(2)]);
    let error = Model::new(&with(Own(Some(form))), Options::default()).unwrap_err().to_string();
    assert!(error.contains("`square` (Own) reads parameter 2 of 0"), "{error}");
    let mut form = Form::new();
    form.call("Mul", [Arg::Input(0), Arg::Floats { dims: vec![3], values: vec![1.0] }]);
    let error = Model::new(&with(Own(Some(form))), Options::default()).unwrap_err().to_string();
    assert!(error.contains("1 numbers for the shape [3]"), "{error}");
}

fn single(op: impl Into<Op>) -> Graph {
    let op = op.into();
    let graph = Graph::build("single", Shape::map(6, 7, 8), |net, picture| {
        let x = net.add_op(op, &[picture], "op")?;
        net.output("features", x)
    });
    graph.unwrap()
}

#[test]
fn windows_that_round_up_reach_into_padding_of_their_own() {
    let pads = |op: Op| {
        let graph = single(op);
        let file = written(&graph, &graph.init(1).unwrap(), Options::default()).unwrap();
        let pad = file.nodes.iter().any(|node| node.kind == "Pad");
        let pool = file.nodes.into_iter().last().unwrap();
        let counts = pool.attributes.get("count_include_pad").cloned();
        (pool.attributes["pads"].clone(), counts, pad)
    };
    // 7x8 pixels: rows fit, of the columns the last window lacks one.
    let up = MaxPool2d::new(3, 2).ceil_mode();
    assert_eq!(pads(up.into()), (Attribute::Ints(vec![0, 0, 0, 1]), None, false));
    let counts = |counts: i64| Some(Attribute::Int(counts));
    let mean = AvgPool2d::new(3, 2).ceil_mode();
    assert_eq!(pads(mean.into()), (Attribute::Ints(vec![0, 0, 0, 1]), counts(0), false));
    // Padding counts and what lies behind it does not: it becomes pixels.
    let padded = mean.padding(Padding::All(1));
    assert_eq!(pads(padded.into()), (Attribute::Ints(vec![0, 0, 0, 1]), counts(0), true));
    let picture = padded.divisor(Divisor::Picture);
    assert_eq!(pads(picture.into()), (Attribute::Ints(vec![1, 1, 1, 2]), counts(0), false));
}

#[test]
fn what_needs_a_size_says_so() {
    let free = Options { free_size: true, ..Options::default() };
    // The last window may start in the padding: how many there are, ONNX counts in another way.
    let pool = MaxPool2d::new(2, 2).padding(Padding::All(1)).ceil_mode();
    let error = Model::new(&single(pool), free.clone()).unwrap_err().to_string();
    assert!(error.contains("`op` (MaxPool2d)") && error.contains("give a size"), "{error}");
    Model::new(&single(pool), Options::default()).unwrap();
    let graph = Graph::build("dense", Shape::map(1, 4, 4), |net, picture| {
        let x = net.flatten(picture)?;
        let x = net.linear(x, Linear::new(2), "fc")?;
        net.output("logits", x)
    });
    let error = Model::new(&graph.unwrap(), free).unwrap_err().to_string();
    assert!(error.contains("`dense` can't take pictures of any size") && error.contains("`fc`"), "{error}");
    let none = Options { batch: Some(0), ..Options::default() };
    assert!(Model::new(&single(pool), none).unwrap_err().to_string().contains("the batch is 0"));
}

#[test]
fn a_neighbourhood_of_even_size_is_written_in_parts() {
    let norm = |size| LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 2.0 };
    let kinds = |size| -> Vec<String> {
        let graph = single(norm(size));
        let file = written(&graph, &graph.init(1).unwrap(), Options::default()).unwrap();
        file.nodes.into_iter().map(|node| node.kind).collect()
    };
    assert_eq!(kinds(5), ["LRN"]);
    assert_eq!(kinds(4), ["Mul", "Conv", "Add", "Pow", "Div"]);
}
