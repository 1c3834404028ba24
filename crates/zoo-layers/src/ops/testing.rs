//! What the operations' tests share: random inputs, comparison, gradients against finite differences in f64.

use candle_core::{Device, Tensor, Var};

use super::{Call, Mode, Operation};
use crate::rng::Stream;

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

/// Runs `op`, shows its output to `check`, and compares the gradient of a random weighting of it with central
/// differences, at every value of every input and parameter.
pub(crate) fn check_gradients(
    op: &dyn Operation,
    inputs: &[Tensor],
    params: &[Tensor],
    check: impl Fn(&Tensor),
) {
    let run = |tensors: &[Tensor]| {
        let (inputs, params) = tensors.split_at(inputs.len());
        op.forward(Call { inputs, params, mode: Mode::Train, random: Stream::from_key(0) }).unwrap()
    };
    let tensors: Vec<Tensor> = inputs.iter().chain(params).cloned().collect();
    let y = run(&tensors);
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
                let mut tensors = tensors.clone();
                tensors[index] = Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap();
                weighted(&tensors).to_scalar::<f64>().unwrap()
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            assert!(
                (ours - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                "{index}, {place}: {ours}, {expected}"
            );
        }
    }
}
