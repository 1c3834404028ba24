//! What the operations' tests share: random inputs, comparison, gradients against finite differences in f64.

use candle_core::{Device, Tensor, Var};

use super::{Call, Mode, Op};
use crate::{Shape, rng::Stream, tape};

/// Normal values in f64.
pub(crate) fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut stream = Stream::new(seed, "test");
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Equal shapes, and values that differ by no more than `tolerance`.
pub(crate) fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64) {
    assert_eq!(a.dims(), b.dims());
    for (place, (a, b)) in values(a).into_iter().zip(values(b)).enumerate() {
        assert!((a - b).abs() <= tolerance, "value {place}: {a}, not {b}");
    }
}

/// Runs `op` composed of candle's operations and, if it has one, by its kernel on candle's tape. Shows each output
/// to `check`, and compares the gradient of a random weighting of it with central differences, at every value of
/// every input and parameter.
pub(crate) fn check_gradients(
    op: impl Into<Op>,
    inputs: &[Tensor],
    params: &[Tensor],
    check: impl Fn(&Tensor),
) {
    let op = op.into();
    let tensors: Vec<Tensor> = inputs.iter().chain(params).cloned().collect();
    let random = Stream::from_key(0);
    check_way(&tensors, &check, |tensors| {
        let (inputs, params) = tensors.split_at(inputs.len());
        op.operation().forward(Call { inputs, params, mode: Mode::Train, random: random.clone() }).unwrap()
    });
    let shapes: Vec<Shape> = inputs.iter().map(|input| shape(input.dims())).collect();
    if let Some(kernel) = op.operation().kernel(Mode::Train) {
        let dims = op.operation().output(&shapes).unwrap().with_batch(inputs[0].dims()[0]);
        let saved = kernel.saved(&shapes);
        check_way(&tensors, &check, |tensors| {
            tape::run(&kernel, tensors, (&dims, saved), &random).unwrap().0
        });
    }
}

/// A batch's shape for one picture.
pub(crate) fn shape(dims: &[usize]) -> Shape {
    match *dims {
        [_, c, h, w] => Shape::map(c, h, w),
        [_, features] => Shape::vector(features),
        _ => panic!("{dims:?}"),
    }
}

fn check_way(tensors: &[Tensor], check: impl Fn(&Tensor), run: impl Fn(&[Tensor]) -> Tensor) {
    let y = run(tensors);
    check(&y);
    let weighting = random(y.dims(), 99);
    let weighted = |tensors: &[Tensor]| (run(tensors) * &weighting).unwrap().sum_all().unwrap();
    let variables: Vec<Tensor> =
        tensors.iter().map(|tensor| Var::from_tensor(tensor).unwrap().into_inner()).collect();
    let gradients = weighted(&variables).backward().unwrap();
    let step = 1e-5;
    for (index, variable) in variables.iter().enumerate() {
        let ours = gradients.get(variable).map_or(vec![0.0; variable.elem_count()], values);
        for (place, ours) in ours.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = values(&tensors[index]);
                moved[place] += by;
                let mut tensors = tensors.to_vec();
                tensors[index] = Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap();
                weighted(&tensors).to_scalar::<f64>().unwrap()
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            let near = (ours - expected).abs() <= 1e-6 * (1.0 + expected.abs());
            assert!(near, "argument {index}, value {place}: {ours}, not {expected}");
        }
    }
}
