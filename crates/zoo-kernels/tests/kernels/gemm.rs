//! Matrix products and dense layers against plain loops.

use crate::common::{assert_close, assert_gradient, dot, numbers, on_every_isa, tolerance, unwritten};
use proptest::prelude::*;
use zoo_kernels::gemm::{self, Matrix, matmul};
use zoo_kernels::{Activation, Element, Epilogue, KernelError};

/// `a (m x k) * b (k x n)`, in all four layouts.
fn check<T: Element>(m: usize, k: usize, n: usize, tolerance: f64) {
    let (a, b) = (numbers::<T>(1, m * k), numbers::<T>(2, k * n));
    let bias = numbers::<T>(3, n);
    let mut want = vec![0.0; m * n];
    for (i, l) in (0..m).flat_map(|i| (0..k).map(move |l| (i, l))) {
        for j in 0..n {
            want[i * n + j] += a[i * k + l].to_f64() * b[l * n + j].to_f64();
        }
    }
    let biased: Vec<f64> = want.iter().enumerate().map(|(i, w)| w + bias[i % n].to_f64()).collect();
    let turn = |x: &[T], rows: usize, columns: usize| -> Vec<T> {
        (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect()
    };
    let (a_turned, b_turned) = (turn(&a, m, k), turn(&b, k, n));
    on_every_isa(|isa| {
        let lefts = [Matrix::new(&a, m, k).unwrap(), Matrix::new(&a_turned, k, m).unwrap().transposed()];
        let rights = [Matrix::new(&b, k, n).unwrap(), Matrix::new(&b_turned, n, k).unwrap().transposed()];
        for (left, right) in lefts.into_iter().flat_map(|l| rights.map(|r| (l, r))) {
            let mut out = unwritten::<T>(m * n);
            matmul(left, right, None, &mut out).unwrap();
            assert_close(&format!("{m}x{k}x{n} on {isa:?}"), &out, &want, tolerance);
            matmul(left, right, Some(&bias), &mut out).unwrap();
            assert_close(&format!("{m}x{k}x{n} with bias on {isa:?}"), &out, &biased, tolerance);
        }
    });
}

/// A dense layer with what follows it, prepared and not, row by row and all at once.
fn check_layer<T: Element>([rows, inputs, outputs]: [usize; 3], activation: Activation) {
    let (x, w) = (numbers::<T>(1, rows * inputs), numbers::<T>(2, inputs * outputs));
    let (scale, shift) = (numbers::<T>(3, outputs), numbers::<T>(4, outputs));
    let residual = numbers::<T>(5, rows * outputs);
    let epilogue =
        Epilogue { scale: Some(&scale), shift: Some(&shift), residual: Some(&residual), activation };
    let want: Vec<f64> = (0..rows * outputs)
        .map(|i| {
            let (row, out) = (i / outputs * inputs, i % outputs * inputs);
            let sum: f64 = (0..inputs).map(|k| x[row + k].to_f64() * w[out + k].to_f64()).sum();
            let scaled = sum * scale[i % outputs].to_f64() + shift[i % outputs].to_f64();
            activation.apply(scaled + residual[i].to_f64())
        })
        .collect();
    on_every_isa(|_| {
        let (mut out, mut once) = (unwritten::<T>(rows * outputs), unwritten::<T>(rows * outputs));
        gemm::linear_with([rows, inputs, outputs], &x, &w, &epilogue, &mut out).unwrap();
        assert_close("a layer", &out, &want, tolerance::<T>());
        let layer = gemm::Prepared::new([inputs, outputs], &w).unwrap();
        layer.forward(rows, &x, &epilogue, &mut once).unwrap();
        assert!(out == once, "prepared");
        for row in 0..rows {
            let part = row * outputs..(row + 1) * outputs;
            let epilogue = Epilogue { residual: Some(&residual[part.clone()]), ..epilogue };
            let x = &x[row * inputs..(row + 1) * inputs];
            layer.forward(1, x, &epilogue, &mut once[part.clone()]).unwrap();
            assert!(out[part.clone()] == once[part], "one row");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_layer_agrees_with_the_loop(rows in 1..20usize, inputs in 0..600usize, outputs in 1..90usize) {
        let activation = [Activation::Relu, Activation::Relu6, Activation::Tanh][inputs % 3];
        check_layer::<f32>([rows, inputs, outputs], activation);
        check_layer::<f64>([rows, inputs, outputs], activation);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_product_agrees_with_the_loop(m in 0..40usize, k in 0..60usize, n in 0..120usize) {
        check::<f32>(m, k, n, 1e-5);
        check::<f64>(m, k, n, 1e-13);
    }
}

#[test]
fn long_and_tall_products_agree_with_the_loop() {
    check::<f32>(4, 1500, 33, 1e-5);
    check::<f32>(300, 70, 17, 1e-5);
    check::<f64>(130, 400, 50, 1e-13);
}

#[test]
fn dense_gradients_are_derivatives() {
    let sizes @ [rows, inputs, outputs] = [5, 13, 7];
    let (x, w, b) = (numbers::<f64>(1, 65), numbers::<f64>(2, 91), numbers::<f64>(3, 7));
    let g = numbers::<f64>(4, 35);
    let loss = |x: &[f64], w: &[f64], b: &[f64]| {
        let mut out = unwritten(35);
        gemm::linear(sizes, x, w, Some(b), &mut out).unwrap();
        dot(&out, &g)
    };
    on_every_isa(|_| {
        let (mut dx, mut dw, mut db) = (unwritten(65), unwritten(91), unwritten(7));
        gemm::linear_grad_input(sizes, &g, &w, &mut dx).unwrap();
        gemm::linear_grad_weight(sizes, &x, &g, &mut dw).unwrap();
        gemm::linear_grad_bias(rows, outputs, &g, &mut db).unwrap();
        assert_gradient("linear dx", &x, &dx, |x| loss(x, &w, &b));
        assert_gradient("linear dw", &w, &dw, |w| loss(&x, w, &b));
        assert_gradient("linear db", &b, &db, |b| loss(&x, &w, b));
    });
    assert!(gemm::linear([rows, inputs + 1, outputs], &x, &w, None, &mut unwritten(35)).is_err());
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    let x = [0f32; 6];
    let (a, b) = (Matrix::new(&x, 2, 3).unwrap(), Matrix::new(&x, 2, 3).unwrap());
    let error = matmul(a, b, None, &mut [0.0; 6]).unwrap_err();
    assert!(matches!(error, KernelError::Mismatch { left_value: 3, right_value: 2, .. }));
    assert!(matches!(Matrix::new(&x, usize::MAX, 2).unwrap_err(), KernelError::Overflow { .. }));
    assert!(matmul(a, b.transposed(), None, &mut [0.0; 5]).is_err());
}
