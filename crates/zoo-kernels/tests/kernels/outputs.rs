//! What networks end in: softmax and radial basis units, against their formulas.

use crate::common::{assert_close, assert_gradient, dot, numbers, on_every_isa, tolerance, unwritten, wide};
use proptest::prelude::*;
use zoo_kernels::{Element, rbf, softmax};

fn check_softmax<T: Element>(shape: [usize; 3], seed: u64) {
    let [outer, classes, inner] = shape;
    let x: Vec<T> = numbers(seed, outer * classes * inner);
    let g: Vec<T> = numbers(seed + 1, x.len());
    let e: Vec<f64> = wide(&x).iter().map(|x| x.exp()).collect();
    let at = |o: usize, c: usize, i: usize| (o * classes + c) * inner + i;
    let (mut want, mut to) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
        let sum: f64 = (0..classes).map(|c| e[at(o, c, i)]).sum();
        (0..classes).for_each(|c| want[at(o, c, i)] = e[at(o, c, i)] / sum);
        let mean: f64 = (0..classes).map(|c| want[at(o, c, i)] * g[at(o, c, i)].to_f64()).sum();
        (0..classes).for_each(|c| to[at(o, c, i)] = want[at(o, c, i)] * (g[at(o, c, i)].to_f64() - mean));
    }
    on_every_isa(|_| {
        let (mut out, mut grad) = (unwritten::<T>(x.len()), unwritten::<T>(x.len()));
        softmax::forward(shape, &x, &mut out).unwrap();
        assert_close("softmax", &out, &want, tolerance::<T>());
        softmax::backward(shape, &out, &g, &mut grad).unwrap();
        assert_close("softmax backward", &grad, &to, tolerance::<T>());
    });
}

fn check_rbf<T: Element>(sizes: [usize; 3], seed: u64) {
    let [rows, features, classes] = sizes;
    let (x, w): (Vec<T>, Vec<T>) = (numbers(seed, rows * features), numbers(seed + 1, classes * features));
    let g: Vec<T> = numbers(seed + 2, rows * classes);
    let (mut want, mut to_x, mut to_w) = (vec![0.0; g.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    for (r, c) in (0..rows).flat_map(|r| (0..classes).map(move |c| (r, c))) {
        for i in 0..features {
            let difference = x[r * features + i].to_f64() - w[c * features + i].to_f64();
            want[r * classes + c] += difference * difference;
            to_x[r * features + i] += 2.0 * g[r * classes + c].to_f64() * difference;
            to_w[c * features + i] -= 2.0 * g[r * classes + c].to_f64() * difference;
        }
    }
    on_every_isa(|_| {
        let (mut out, mut dx, mut dw) =
            (unwritten::<T>(g.len()), unwritten::<T>(x.len()), unwritten::<T>(w.len()));
        rbf::forward(sizes, &x, &w, &mut out).unwrap();
        assert_close("rbf", &out, &want, tolerance::<T>());
        rbf::grad_input(sizes, &x, &w, &g, &mut dx).unwrap();
        assert_close("rbf dx", &dx, &to_x, tolerance::<T>());
        rbf::grad_codes(sizes, &x, &w, &g, &mut dw).unwrap();
        assert_close("rbf dw", &dw, &to_w, tolerance::<T>());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn softmax_agrees_with_the_formula(
        sides in [1..5usize, 1..40usize, 1..300usize], last in any::<bool>(), seed in any::<u32>(),
    ) {
        let shape = if last { [sides[0] * sides[2], sides[1], 1] } else { sides };
        check_softmax::<f32>(shape, seed.into());
        check_softmax::<f64>(shape, seed.into());
    }

    #[test]
    fn radial_units_agree_with_the_formula(sizes in [1..9usize, 1..90usize, 1..12usize], seed in any::<u32>()) {
        check_rbf::<f32>(sizes, seed.into());
        check_rbf::<f64>(sizes, seed.into());
    }
}

#[test]
fn gradients_are_derivatives() {
    let shape = [2, 5, 3];
    let (x, g): (Vec<f64>, Vec<f64>) = (numbers(1, 30), numbers(2, 30));
    let loss = |x: &[f64]| {
        let mut out = unwritten(30);
        softmax::forward(shape, x, &mut out).unwrap();
        dot(&out, &g)
    };
    let (mut out, mut dx) = (unwritten(30), unwritten(30));
    softmax::forward(shape, &x, &mut out).unwrap();
    softmax::backward(shape, &out, &g, &mut dx).unwrap();
    assert_gradient("softmax dx", &x, &dx, loss);
}

#[test]
fn large_logits_do_not_overflow_and_a_nan_stays() {
    let mut out = [0f32; 3];
    softmax::forward([1, 3, 1], &[1e30, 1e30, -1e30], &mut out).unwrap();
    assert_eq!(out, [0.5, 0.5, 0.0]);
    softmax::forward([1, 3, 1], &[0.0, f32::NAN, 1.0], &mut out).unwrap();
    assert!(out.iter().all(|x| x.is_nan()));
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(softmax::forward([1, 0, 1], &[0f32; 0], &mut []).is_err());
    assert!(softmax::forward([1, 3, 1], &[0f32; 3], &mut [0.0; 2]).is_err());
    let error = rbf::forward([2, 3, 4], &[0f32; 5], &[0.0; 12], &mut [0.0; 8]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rbf: `input` has 5 elements, but its shape [2, 3] needs 6: pass the whole tensor, contiguous"
    );
}
