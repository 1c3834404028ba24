//! Every operation with a kernel gives the same composed of candle's operations, and both have the gradients that
//! finite differences have.

use std::cell::OnceCell;

use candle_core::Tensor;

use super::{
    Activation, AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Call, ChannelAffine, Concat, Conv2d, Divisor,
    Linear, LocalResponseNorm, MaxPool2d, Op, Operation, PadChannels, Rbf, ScaleChannels, SelectChannels,
    Softmax, Subsample,
    testing::{assert_close, check_gradients, random, shape},
};
use crate::{Init, Mode, Padding, Shape, kernel::Following, rng::Stream, tape};

/// Checks `op` for inputs of these dimensions, its parameters drawn at random.
fn check(op: impl Into<Op>, inputs: &[&[usize]]) {
    let op = op.into();
    let shapes: Vec<Shape> = inputs.iter().map(|dims| shape(dims)).collect();
    let params = op.operation().params(&shapes);
    let params: Vec<Tensor> =
        params.iter().zip(50..).map(|(param, seed)| random(&param.shape, seed)).collect();
    let inputs: Vec<Tensor> = inputs.iter().zip(1..).map(|(dims, seed)| random(dims, seed)).collect();
    let composed = OnceCell::new();
    check_gradients(op, &inputs, &params, |y| match composed.get() {
        Some(first) => assert_close(y, first, 1e-10),
        None => composed.set(y.clone()).unwrap(),
    });
}

#[test]
fn convolutions() {
    let picture: &[usize] = &[2, 4, 8, 9];
    check(Conv2d::k3(2).stride(2), &[picture]);
    check(Conv2d::k3(4).groups(2).dilation(2).no_bias(), &[picture]);
    check(Conv2d::k3(4).groups(4).stride(2).padding(Padding::Same), &[picture]);
    check(Conv2d::k1(3).stride(2), &[picture]);
    let uneven = Conv2d { stride: [1, 2], dilation: [2, 1], ..Conv2d::new(2, [3, 2]) };
    check(uneven.padding(Padding::Explicit([0, 1, 2, 0])), &[&[1, 2, 7, 5]]);
}

#[test]
fn pools() {
    let picture: &[usize] = &[2, 2, 6, 7];
    check(MaxPool2d::new(3, 2).padding(Padding::All(1)), &[picture]);
    check(MaxPool2d::new(3, 2).ceil_mode(), &[picture]);
    check(MaxPool2d::new(3, 1).padding(Padding::Same), &[picture]);
    check(AvgPool2d::new(3, 2).padding(Padding::All(1)).ceil_mode(), &[picture]);
    check(AvgPool2d::new(3, 1).padding(Padding::Half).divisor(Divisor::Picture), &[picture]);
    check(AdaptiveAvgPool2d { output_size: [4, 3] }, &[picture]);
    check(AdaptiveAvgPool2d::GLOBAL, &[picture]);
}

#[test]
fn norms_and_activations() {
    let picture: &[usize] = &[2, 3, 3, 4];
    check(LocalResponseNorm { size: 2, alpha: 0.3, beta: 0.75, k: 2.0 }, &[picture]);
    check(ChannelAffine { weight_init: Init::ONES, bias_init: Init::ZEROS }, &[picture]);
    for activation in
        [Activation::Relu, Activation::Relu6, Activation::Sigmoid, Activation::Tanh, Activation::ScaledTanh]
    {
        check(activation, &[picture]);
    }
}

#[test]
fn batch_norm_by_its_own_statistics() {
    let x = random(&[2, 3, 3, 4], 1);
    let params = [random(&[3], 2), random(&[3], 3), random(&[3], 4), random(&[3], 5)];
    let norm = BatchNorm2d::new();
    let (composed, statistics) = norm.train(&x, &params).unwrap();
    let composed = Activation::Relu.apply(&composed).unwrap();
    let following = Following { activation: Some(Activation::Relu), ..Following::default() };
    let kernel = norm.fused(Mode::Train, &following).unwrap();
    let args = [std::slice::from_ref(&x), &params].concat();
    let random = Stream::from_key(0);
    let (fused, saved) = tape::run(&kernel, &args, (&[2, 3, 3, 4], 6), &random).unwrap();
    assert_close(&fused, &composed, 1e-10);
    let row = |values: Vec<f64>| Tensor::from_vec(values, 3, x.device()).unwrap();
    assert_close(&row(saved[..3].to_vec()), &statistics.mean, 1e-10);
    let unbiased = saved[3..].iter().map(|variance| variance * 24.0 / 23.0).collect();
    assert_close(&row(unbiased), &statistics.variance, 1e-10);
}

#[test]
fn batch_norm_by_running_statistics() {
    let picture: &[usize] = &[2, 3, 3, 4];
    let x = random(picture, 1);
    let params = [random(&[3], 2), random(&[3], 3), random(&[3], 4), random(&[3], 5).sqr().unwrap()];
    let norm = BatchNorm2d::new();
    let args = [std::slice::from_ref(&x), &params].concat();
    let call = Call { inputs: &[x], params: &params, mode: Mode::Eval, random: Stream::from_key(0) };
    let composed = norm.forward(call).unwrap();
    let kernel = norm.kernel(Mode::Eval).unwrap();
    let (ours, _) = tape::run(&kernel, &args, (picture, 0), &Stream::from_key(0)).unwrap();
    assert_close(&ours, &composed, 1e-10);
}

#[test]
fn dense_layers_merges_and_moves() {
    check(Linear::new(3), &[&[2, 5]]);
    check(Softmax, &[&[2, 5]]);
    check(Softmax, &[&[2, 4, 2, 3]]);
    let codes = (0..15).map(|code| (code % 4) as f32 - 1.5).collect();
    check(Rbf { classes: 3, codes }, &[&[2, 5]]);
    check(Concat, &[&[2, 1, 2, 3], &[2, 2, 2, 3]]);
    check(ScaleChannels, &[&[2, 3, 2, 3], &[2, 3]]);
    check(super::Add, &[&[2, 3, 2, 3], &[2, 3, 2, 3]]);
    check(SelectChannels { channels: vec![2, 0, 2] }, &[&[2, 3, 2, 2]]);
    check(PadChannels { before: 1, after: 2 }, &[&[2, 3, 2, 2]]);
    check(Subsample { stride: [2, 3] }, &[&[2, 2, 5, 7]]);
}

/// Of equal pixels the first wins the gradient, on both ways.
#[test]
fn ties_have_one_winner() {
    use candle_core::{Device, Var};
    let x = Var::ones((1, 1, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let graph = crate::Graph::build("pool", Shape::map(1, 2, 2), |net, picture| {
        let y = net.max_pool(picture, MaxPool2d::new(2, 2), "pool")?;
        net.output("y", y)
    });
    let net = graph.unwrap().init(1).unwrap();
    let y = net.forward(&x, crate::Mode::Train).unwrap().sum_all().unwrap();
    let gradient = y.backward().unwrap().get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(gradient, [1.0, 0.0, 0.0, 0.0]);
}
