//! Batch norm, activations, channel scale and local response normalisation against plain loops.

use crate::common::{assert_close, assert_gradient, dot, numbers, on_every_isa, tolerance, unwritten, wide};
use proptest::prelude::*;
use zoo_kernels::lrn::{self, Lrn, LrnForm};
use zoo_kernels::norm::{self, Gradients, Norm, Saved, Stats};
use zoo_kernels::{Activation, Element, KernelError, Shape, activation, scale};

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::Sigmoid, Activation::Tanh];

/// The channel of every element.
fn channels([_, c, h, w]: Shape, len: usize) -> impl Iterator<Item = usize> {
    (0..len).map(move |i| i / (h * w) % c)
}

struct Case<T> {
    shape: Shape,
    x: Vec<T>,
    residual: Option<Vec<T>>,
    gamma: Vec<T>,
    beta: Vec<T>,
    activation: Activation,
}

fn case<T: Element>(shape: Shape, activation: Activation, residual: bool, seed: u64) -> Case<T> {
    let len = shape.iter().product();
    let x = numbers::<T>(seed, len).into_iter().map(|x| x * T::from_f64(3.0) + T::from_f64(2.0)).collect();
    let gamma = numbers::<T>(seed + 1, shape[1]).into_iter().map(|x| x + T::from_f64(1.5)).collect();
    let residual = residual.then(|| numbers(seed + 3, len));
    Case { shape, x, residual, gamma, beta: numbers(seed + 2, shape[1]), activation }
}

impl<T: Element> Case<T> {
    fn norm(&self) -> Norm<'_, T> {
        Norm { gamma: &self.gamma, beta: &self.beta, epsilon: 1e-3, activation: self.activation }
    }

    /// Means, variances and results in f64, by the definition.
    fn reference(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let c = self.shape[1];
        let values = (self.x.len() / c) as f64;
        let (x, mut mean, mut variance) = (wide(&self.x), vec![0.0; c], vec![0.0; c]);
        channels(self.shape, x.len()).zip(&x).for_each(|(c, x)| mean[c] += x / values);
        channels(self.shape, x.len())
            .zip(&x)
            .for_each(|(c, x)| variance[c] += (x - mean[c]).powi(2) / values);
        let out = channels(self.shape, x.len())
            .zip(&x)
            .enumerate()
            .map(|(i, (c, x))| {
                let y = (x - mean[c]) / (variance[c] + 1e-3).sqrt() * self.gamma[c].to_f64()
                    + self.beta[c].to_f64();
                self.activation.apply(y + self.residual.as_ref().map_or(0.0, |r| r[i].to_f64()))
            })
            .collect();
        (mean, variance, out)
    }

    fn train(&self) -> (Vec<T>, Vec<T>, Vec<T>) {
        let (mut mean, mut variance) = (unwritten(self.shape[1]), unwritten(self.shape[1]));
        let mut out = unwritten(self.x.len());
        let mut stats = Stats { mean: &mut mean, variance: &mut variance };
        norm::train_forward(
            &self.norm(),
            self.shape,
            &self.x,
            self.residual.as_deref(),
            &mut out,
            &mut stats,
        )
        .unwrap();
        (mean, variance, out)
    }
}

fn check_norm<T: Element>(shape: Shape, activation: Activation, residual: bool, seed: u64) {
    let case = case::<T>(shape, activation, residual, seed);
    let (mean, variance, out) = case.reference();
    on_every_isa(|_| {
        let (got_mean, got_variance, got) = case.train();
        assert_close("mean", &got_mean, &mean, tolerance::<T>());
        assert_close("variance", &got_variance, &variance, tolerance::<T>());
        assert_close("out", &got, &out, tolerance::<T>() * 4.0);
        let mut fixed = unwritten(got.len());
        let stats = (&got_mean[..], &got_variance[..]);
        norm::eval_forward(&case.norm(), shape, &case.x, case.residual.as_deref(), stats, &mut fixed)
            .unwrap();
        assert_eq!(fixed, got, "the batch's own statistics, given");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn norm_agrees_with_its_definition(
        n in 1..4usize, c in 1..9usize, h in 1..12usize, w in 2..40usize,
        activation in prop::sample::select(&ACTIVATIONS[..]), residual: bool, seed in any::<u32>(),
    ) {
        check_norm::<f32>([n, c, h, w], activation, residual, seed.into());
        check_norm::<f64>([n, c, h, w], activation, residual, seed.into());
    }
}

#[test]
fn norm_gradients_are_derivatives() {
    for (seed, (activation, residual, batch)) in ACTIVATIONS
        .into_iter()
        .flat_map(|a| [(a, false, true), (a, true, true), (a, false, false), (a, true, false)])
        .enumerate()
    {
        let shape = [2, 3, 5, 7];
        let case = case::<f64>(shape, activation, residual, seed as u64);
        let len = case.x.len();
        let g = numbers::<f64>(99, len);
        let (mean, variance, _) = case.train();
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64], residual: Option<&[f64]>| {
            let norm = Norm { gamma, beta, ..case.norm() };
            let (mut m, mut v, mut out) = (mean.clone(), variance.clone(), unwritten(len));
            if batch {
                let mut stats = Stats { mean: &mut m, variance: &mut v };
                norm::train_forward(&norm, shape, x, residual, &mut out, &mut stats).unwrap();
            } else {
                norm::eval_forward(&norm, shape, x, residual, (&mean, &variance), &mut out).unwrap();
            }
            dot(&out, &g)
        };
        let saved = if batch {
            Saved::Batch { mean: &mean, variance: &variance }
        } else {
            Saved::Fixed { mean: &mean, variance: &variance }
        };
        on_every_isa(|_| {
            let (mut dx, mut dr) = (unwritten(len), unwritten(len));
            let (mut dgamma, mut dbeta) = (unwritten(3), unwritten(3));
            let (_, _, out) = case.train();
            let gradients = Gradients {
                input: &mut dx,
                residual: residual.then_some(&mut dr[..]),
                gamma: &mut dgamma,
                beta: &mut dbeta,
            };
            let out = residual.then_some(&out[..]);
            norm::backward(&case.norm(), saved, shape, &case.x, out, &g, gradients).unwrap();
            let r = case.residual.as_deref();
            assert_gradient("dx", &case.x, &dx, |x| loss(x, &case.gamma, &case.beta, r));
            assert_gradient("dgamma", &case.gamma, &dgamma, |gamma| loss(&case.x, gamma, &case.beta, r));
            assert_gradient("dbeta", &case.beta, &dbeta, |beta| loss(&case.x, &case.gamma, beta, r));
            if let Some(r) = r {
                assert_gradient("dresidual", r, &dr, |r| loss(&case.x, &case.gamma, &case.beta, Some(r)));
            }
        });
    }
}

#[test]
fn one_value_per_channel_has_no_variance() {
    let case = case::<f32>([1, 3, 1, 1], Activation::Relu, false, 1);
    let (mut mean, mut variance, mut out) = (vec![0.0; 3], vec![0.0; 3], vec![0.0; 3]);
    let mut stats = Stats { mean: &mut mean, variance: &mut variance };
    let error =
        norm::train_forward(&case.norm(), case.shape, &case.x, None, &mut out, &mut stats).unwrap_err();
    assert!(error.to_string().contains("at least 2 in training"), "{error}");
    let error =
        norm::train_forward(&case.norm(), [1, 2, 1, 2], &case.x, None, &mut out, &mut stats).unwrap_err();
    assert!(matches!(error, KernelError::Length { .. }));
}

#[test]
fn activations_keep_nan_and_their_gradients_are_derivatives() {
    for act in ACTIVATIONS {
        assert!(act.apply(f32::NAN).is_nan());
        let (x, g) = (numbers::<f64>(3, 40_001), numbers::<f64>(4, 40_001));
        let x: Vec<f64> = x.iter().map(|x| x * 9.0).collect();
        let run = |x: &[f64]| {
            let mut out = unwritten(x.len());
            activation::forward(act, x, &mut out).unwrap();
            out
        };
        on_every_isa(|_| {
            let mut dx = unwritten(x.len());
            activation::backward(act, &run(&x), &g, &mut dx).unwrap();
            assert_gradient("activation", &x, &dx, |x| dot(&run(x), &g));
            let mut sum = unwritten(x.len());
            activation::add_forward(act, &x, &g, &mut sum).unwrap();
            let want: Vec<f64> = x.iter().zip(&g).map(|(x, g)| act.apply(x + g)).collect();
            assert_eq!(sum, want);
        });
    }
    assert!(activation::forward(Activation::Relu, &[1.0f32], &mut [0.0; 2]).is_err());
}

#[test]
fn channel_scale_multiplies_planes() {
    let shape = [2, 5, 7, 9];
    let (x, s, g) = (numbers::<f64>(1, 630), numbers::<f64>(2, 10), numbers::<f64>(3, 630));
    let run = |x: &[f64], s: &[f64]| {
        let mut out = unwritten(630);
        scale::forward(shape, x, s, &mut out).unwrap();
        out
    };
    let want: Vec<f64> = x.iter().enumerate().map(|(i, x)| x * s[i / 63]).collect();
    on_every_isa(|_| {
        assert_eq!(run(&x, &s), want);
        let (mut dx, mut ds) = (unwritten(630), unwritten(10));
        scale::backward(shape, &x, &s, &g, &mut dx, &mut ds).unwrap();
        assert_gradient("scale dx", &x, &dx, |x| dot(&run(x, &s), &g));
        assert_gradient("scale ds", &s, &ds, |s| dot(&run(&x, s), &g));
    });
    assert!(scale::forward([2, 5, 0, 9], &x, &s, &mut unwritten(630)).is_err());
}

#[test]
fn response_normalisation_agrees_with_its_definition() {
    for (size, beta, form) in
        [(5, 0.75, LrnForm::Sum), (4, 0.5, LrnForm::Mean), (1, 0.9, LrnForm::Mean), (40, 0.75, LrnForm::Mean)]
    {
        let lrn = Lrn { size, alpha: 0.3, beta, k: 2.0, form };
        let shape @ [n, c, h, w] = [2, 11, 5, 29];
        let (pixels, len) = (h * w, n * c * h * w);
        let (x, g) = (numbers::<f64>(5, len), numbers::<f64>(6, len));
        let factor = if form == LrnForm::Mean { 0.3 / size as f64 } else { 0.3 };
        let want: Vec<f64> = (0..len)
            .map(|i| {
                let channel = i / pixels % c;
                let window = (0..c).filter(|&o| o + size / 2 >= channel && o <= channel + (size - 1) / 2);
                let squares: f64 = window.map(|o| x[i - channel * pixels + o * pixels].powi(2)).sum();
                x[i] / (2.0 + factor * squares).powf(beta)
            })
            .collect();
        let run = |x: &[f64]| {
            let mut out = unwritten(len);
            lrn::forward(&lrn, shape, x, &mut out).unwrap();
            out
        };
        on_every_isa(|_| {
            assert_close("lrn", &run(&x), &want, 1e-12);
            let narrow: Vec<f32> = x.iter().map(|&x| x as f32).collect();
            let mut out = unwritten::<f32>(len);
            lrn::forward(&lrn, shape, &narrow, &mut out).unwrap();
            assert_close("lrn in f32", &out, &want, 1e-5);
            let mut dx = unwritten(len);
            lrn::backward(&lrn, shape, &x, &g, &mut dx).unwrap();
            assert_gradient("lrn dx", &x, &dx, |x| dot(&run(x), &g));
        });
    }
    let lrn = Lrn { size: 0, alpha: 1.0, beta: 1.0, k: 1.0, form: LrnForm::Sum };
    assert!(lrn::forward(&lrn, [1, 1, 1, 1], &[1.0f32], &mut [0.0]).is_err());
}
