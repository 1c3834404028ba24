//! Writes small networks of every operation, with odd options, and what the zoo answers: `tests/check_onnx.py` asks ONNX
//! Runtime for the same.
//!
//! `cargo run -p zoo-onnx --example operations -- FOLDER`

use std::{fs::File, io::BufWriter, path::Path};

use candle_core::{Device, Tensor};
use zoo_layers::{
    Activation, AdaptiveAvgPool2d, Add, Align, AvgPool2d, BatchNorm2d, ChannelAffine, ChannelScaleShift,
    Concat, Conv2d, ConvTranspose2d, Crop, Divisor, Dropout, Flatten, Graph, Init, Linear, LocalResponseNorm,
    MaxPool2d, Op, PadChannels, Padding, Rbf, ScaleChannels, SelectChannels, Shape, Softmax, Subsample,
    Upsample, rng::Stream,
};
use zoo_onnx::{Model, Options};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).ok_or("name a folder to write to")?;
    for (name, op) in alone() {
        write(Path::new(&folder), &single(&name, op)?)?;
    }
    for graph in together()? {
        write(Path::new(&folder), &graph)?;
    }
    Ok(())
}

/// Pictures are of six channels and an odd size.
const PICTURE: Shape = Shape::map(6, 13, 18);

/// Operations on one map.
fn alone() -> Vec<(String, Op)> {
    let mut all: Vec<(String, Op)> = Vec::new();
    let mut put = |name: &str, op: Op| all.push((name.into(), op));
    for padding in [Padding::None, Padding::Half, Padding::Same, Padding::Explicit([0, 1, 2, 1])] {
        let conv = Conv2d::k3(4).stride(2).padding(padding);
        put(&format!("conv {padding:?}"), conv.clone().into());
        put(&format!("dilated conv {padding:?}"), conv.dilation(2).groups(2).no_bias().into());
    }
    for padding in [Padding::None, Padding::All(1), Padding::Same, Padding::Explicit([0, 1, 1, 0])] {
        let (max, mean) = (MaxPool2d::new(3, 2).padding(padding), AvgPool2d::new(3, 2).padding(padding));
        put(&format!("max {padding:?}"), max.into());
        put(&format!("max up {padding:?}"), max.ceil_mode().into());
        for divisor in [Divisor::Window, Divisor::Picture] {
            put(&format!("mean {padding:?} {divisor:?}"), mean.divisor(divisor).into());
            put(&format!("mean up {padding:?} {divisor:?}"), mean.divisor(divisor).ceil_mode().into());
        }
    }
    put("max wide steps", MaxPool2d::new(2, 3).padding(Padding::All(1)).ceil_mode().into());
    for output_size in [[1, 1], [13, 18], [13, 6], [5, 7], [20, 25]] {
        put(&format!("adaptive {output_size:?}"), AdaptiveAvgPool2d { output_size }.into());
    }
    let transposed = ConvTranspose2d::new(4, 4, 2);
    put("transposed", transposed.clone().padding(1).into());
    put("transposed groups", transposed.groups(2).output_padding(1).no_bias().into());
    put("norm", BatchNorm2d::new().into());
    for size in 1..6 {
        let norm = LocalResponseNorm { size, alpha: 0.1, beta: 0.75, k: 2.0 };
        put(&format!("response {size}"), norm.into());
    }
    use Activation::{Relu, Relu6, ScaledTanh, Sigmoid, Tanh};
    for activation in [Relu, Relu6, Sigmoid, Tanh, ScaledTanh] {
        put(&format!("{activation:?}"), activation.into());
    }
    put("dropout", Dropout { probability: 0.5 }.into());
    put("select", SelectChannels { channels: vec![5, 0, 0, 3] }.into());
    put("pad channels", PadChannels { before: 2, after: 1 }.into());
    put("subsample", Subsample { stride: [2, 3] }.into());
    let spread = || Init::Normal { std: 1.0 };
    put("affine", ChannelAffine { weight_init: spread(), bias_init: spread() }.into());
    let (scale, shift) = (vec![1.0, 2.0, -1.0, 0.5, 3.0, 0.0], vec![0.1, 0.0, 1.0, -2.0, 0.5, 0.3]);
    put("scale and shift", ChannelScaleShift { scale, shift }.into());
    put("softmax", Softmax.into());
    put("flatten", Flatten.into());
    put("add one", Add.into());
    all
}

fn single(name: &str, op: Op) -> Outcome<Graph> {
    Ok(Graph::build(name, PICTURE, |net, picture| {
        let x = net.add_op(op, &[picture], "op")?;
        net.output("features", x)
    })?)
}

/// Operations on several maps, and on vectors.
fn together() -> Outcome<Vec<Graph>> {
    let mut all = Vec::new();
    for align in [Align::Areas, Align::Corners] {
        all.push(Graph::build(format!("upsample {align:?}"), PICTURE, |net, picture| {
            let x = net.conv(picture, Conv2d::k3(3).stride(3), "conv")?;
            let x = net.upsample_like(x, picture, align)?;
            net.output("features", x)
        })?);
        all.push(Graph::build(format!("smaller {align:?}"), PICTURE, |net, picture| {
            let small = net.max_pool(picture, MaxPool2d::new(4, 3), "pool")?;
            let x = net.add_op(Upsample { align }, &[picture, small], "resize")?;
            net.output("features", x)
        })?);
    }
    all.push(Graph::build("crop", PICTURE, |net, picture| {
        let small = net.conv(picture, Conv2d::k5(3).padding(Padding::None), "conv")?;
        let x = net.add_op(Crop { offset: [1, 3] }, &[picture, small], "crop")?;
        net.output("features", x)
    })?);
    all.push(Graph::build("sums and rows", PICTURE, |net, picture| {
        let x = net.conv_norm(picture, Conv2d::k3(6), "conv1", "bn1")?;
        let y = net.conv_norm_act(x, Conv2d::k1(6), "conv2", "bn2")?;
        let sum = net.add_op(Add, &[x, y, picture], "sum")?;
        let x = net.add_op(Concat, &[sum, y, picture], "rows")?;
        net.output("features", x)?;
        net.output("again", x)?;
        net.output("before", y)
    })?);
    for is_vector in [false, true] {
        all.push(Graph::build(format!("scaled by vector {is_vector}"), PICTURE, |net, picture| {
            let scale = net.adaptive_avg_pool(picture, [1, 1], "squeeze")?;
            let scale = if is_vector { net.flatten(scale)? } else { scale };
            let x = net.add_op(ScaleChannels, &[picture, scale], "scale")?;
            net.output("features", x)
        })?);
    }
    all.push(Graph::build("vectors", PICTURE, |net, picture| {
        let x = net.global_avg_pool(picture)?;
        let y = net.linear(x, Linear { bias: false, ..Linear::new(5) }, "fc1")?;
        let x = net.add_op(Concat, &[x, y], "cat")?;
        let x = net.linear(x, Linear::new(4), "fc2")?;
        let codes = (0..12).map(|place| if place % 5 < 2 { 1.0 } else { -1.0 }).collect();
        let distances = net.add_op(Rbf { classes: 3, codes }, &[x], "rbf")?;
        let x = net.add_op(Softmax, &[distances], "softmax")?;
        net.output("probabilities", x)?;
        net.output("distances", distances)
    })?);
    Ok(all)
}

/// The network in all the ways it can be written, an input and the answers.
fn write(folder: &Path, graph: &Graph) -> Outcome<()> {
    let folder = folder.join(graph.name().replace(|letter: char| !letter.is_alphanumeric(), "_"));
    std::fs::create_dir_all(&folder)?;
    let net = graph.init(7)?;
    for (param, tensor) in net.tensors() {
        let mut stream = Stream::new(1, &param.name);
        let spread = match param.name.rsplit('.').next() {
            Some("running_var") => [0.5, 1.5],
            _ => [-1.0, 1.0],
        };
        let values =
            (0..param.elements()).map(|_| (spread[0] + (spread[1] - spread[0]) * stream.uniform()) as f32);
        let values = Tensor::from_vec(values.collect(), param.shape.as_slice(), &Device::Cpu)?;
        candle_core::Var::from_tensor(tensor)?.set(&values)?;
    }
    let ways = [
        ("fixed", Options { batch: Some(2), ..Options::default() }),
        ("batch", Options { fold_norms: true, ..Options::default() }),
        ("size", Options { free_size: true, ..Options::default() }),
    ];
    for (way, options) in ways {
        let model = match Model::new(graph, options) {
            Err(zoo_onnx::Error::NeedsSize { .. }) => continue,
            model => model?,
        };
        model.write(&net, &mut BufWriter::new(File::create(folder.join(format!("{way}.onnx")))?))?;
        // Pictures of another size where they may be.
        let size = if way == "size" { [16, 21] } else { graph.input().size() };
        let mut stream = Stream::new(2, "pictures");
        let shape = [2, graph.input().channels(), size[0], size[1]];
        let pixels: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
        let pictures = Tensor::from_vec(pixels, &shape, &Device::Cpu)?;
        pictures.write_npy(folder.join(format!("{way}.input.npy")))?;
        for (name, output) in net.outputs(&pictures, zoo_layers::Mode::Eval)? {
            output.write_npy(folder.join(format!("{way}.{name}.npy")))?;
        }
    }
    Ok(())
}
