//! What the tests share: plain-loop references, numbers, comparison, and every instruction set.

use zoo_kernels::{Element, Isa, with_isa};

/// Runs `work` once on every instruction set of this machine.
pub(crate) fn on_every_isa(mut work: impl FnMut(Isa)) {
    for isa in Isa::available() {
        with_isa(isa, || work(isa)).unwrap();
    }
}

/// Numbers in -1..1 that depend on `seed` alone.
pub(crate) fn numbers<T: Element>(seed: u64, len: usize) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            T::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        })
        .collect()
}

/// A buffer of NaN: what a kernel doesn't write stays visible.
pub(crate) fn unwritten<T: Element>(len: usize) -> Vec<T> {
    vec![T::from_f64(f64::NAN); len]
}

/// Asserts `max |a - b| <= tolerance * max(1, max |b|)`, and no NaN that `b` lacks.
pub(crate) fn assert_close<T: Element>(what: &str, got: &[T], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    let scale = want.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let g = g.to_f64();
        let same = (g - w).abs() <= tolerance * scale || (g.is_nan() && w.is_nan()) || g == *w;
        assert!(same, "{what}: at {i} got {g}, want {w} (scale {scale})");
    }
}

/// In f64.
pub(crate) fn wide<T: Element>(values: &[T]) -> Vec<f64> {
    values.iter().map(|v| v.to_f64()).collect()
}

/// Rounding errors that sums of moderate length may have.
pub(crate) fn tolerance<T: Element>() -> f64 {
    if size_of::<T>() == 4 { 3e-5 } else { 1e-12 }
}

/// Asserts that `gradient` is the derivative of `loss` at `at`, by central differences in f64.
pub(crate) fn assert_gradient(what: &str, at: &[f64], gradient: &[f64], mut loss: impl FnMut(&[f64]) -> f64) {
    assert_eq!(at.len(), gradient.len(), "{what}: length");
    let step = 1e-5;
    let mut moved = at.to_vec();
    // Every element of small tensors, a spread of larger ones.
    let stride = at.len().div_ceil(60).max(1);
    for i in (0..at.len()).step_by(stride) {
        moved[i] = at[i] + step;
        let above = loss(&moved);
        moved[i] = at[i] - step;
        let below = loss(&moved);
        moved[i] = at[i];
        let want = (above - below) / (2.0 * step);
        let error = (gradient[i] - want).abs();
        assert!(error <= 1e-6 * want.abs().max(1.0), "{what}: at {i} got {}, want {want}", gradient[i]);
    }
}

/// The sum of products: a loss whose gradient is `weights`.
pub(crate) fn dot(values: &[f64], weights: &[f64]) -> f64 {
    values.iter().zip(weights).map(|(v, w)| v * w).sum()
}
