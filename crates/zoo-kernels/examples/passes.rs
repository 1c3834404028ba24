//! Prints milliseconds and GB/s of the kernels that memory limits, at the sizes of ResNet's layers.
//!
//! `cargo run --release -p zoo-kernels --example passes [repetitions]`.

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::time::Instant;

use zoo_kernels::norm::{Gradients, Norm, Saved, Stats};
use zoo_kernels::pool::Pool2d;
use zoo_kernels::upsample::Corners;
use zoo_kernels::{Activation, Result, Shape, activation, norm, pool, upsample};

/// Numbers in -0.5..0.5 that nothing can shorten.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

/// Prints the least of the times; `streams` is how often all of `shape` goes through memory at least.
fn time(
    repetitions: usize,
    name: &str,
    shape: Shape,
    streams: f64,
    mut work: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut least = f64::INFINITY;
    for _ in 0..repetitions {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64());
    }
    let bytes = streams * 4.0 * shape.iter().product::<usize>() as f64;
    println!(
        "{name:<28}{:<22}{:>9.3} ms{:>9.1} GB/s",
        format!("{shape:?}"),
        least * 1e3,
        bytes / least / 1e9
    );
    Ok(())
}

fn main() -> Result<()> {
    let n = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    for shape in [[4, 64, 112, 112], [4, 64, 56, 56], [4, 256, 56, 56], [4, 512, 7, 7]] {
        let len: usize = shape.iter().product();
        let (x, g) = (numbers(len), numbers(len));
        let (mut out, mut dx, mut dr) = (numbers(len), numbers(len), numbers(len));
        let c = shape[1];
        let (gamma, beta) = (vec![1f32; c], vec![0.1f32; c]);
        let (mut mean, mut variance) = (vec![0f32; c], vec![0f32; c]);
        let bn = Norm { gamma: &gamma, beta: &beta, epsilon: 1e-5, activation: Activation::Relu };
        time(n, "norm relu", shape, 2.0, || {
            let mut stats = Stats { mean: &mut mean, variance: &mut variance };
            norm::train_forward(&bn, shape, &x, None, &mut out, &mut stats)
        })?;
        let (mut dg, mut db) = (vec![0f32; c], vec![0f32; c]);
        time(n, "norm relu backward", shape, 3.0, || {
            let saved = Saved::Batch { mean: &mean, variance: &variance };
            let to = Gradients { input: &mut dx, residual: None, gamma: &mut dg, beta: &mut db };
            norm::backward(&bn, saved, shape, &x, None, &g, to)
        })?;
        time(n, "norm add relu backward", shape, 5.0, || {
            let saved = Saved::Batch { mean: &mean, variance: &variance };
            let to = Gradients { input: &mut dx, residual: Some(&mut dr), gamma: &mut dg, beta: &mut db };
            norm::backward(&bn, saved, shape, &x, Some(&out), &g, to)
        })?;
        time(n, "add relu", shape, 3.0, || activation::add_forward(Activation::Relu, &x, &g, &mut dx))?;
        time(n, "relu backward", shape, 3.0, || activation::backward(Activation::Relu, &out, &g, &mut dx))?;
        let pool = Pool2d::new(3, 2).with_padding(1);
        let small: usize = pool.output_shape(shape)?.iter().product();
        let mut pooled = vec![0f32; small];
        time(n, "max pool 3/2", shape, 1.25, || pool::max_forward(&pool, shape, &x, &mut pooled))?;
        time(n, "max pool 3/2 backward", shape, 2.5, || {
            pool::max_backward(&pool, shape, &x, &pooled, &g[..small], &mut dx)
        })?;
        time(n, "average pool 3/2", shape, 1.25, || pool::average_forward(&pool, shape, &x, &mut pooled))?;
        time(n, "average pool 3/2 backward", shape, 1.25, || {
            pool::average_backward(&pool, shape, &g[..small], &mut dx)
        })?;
        time(n, "global average", shape, 1.0, || {
            pool::adaptive_average_forward([1, 1], shape, &x, &mut pooled[..shape[0] * c])
        })?;
        let double = [shape[2] * 2, shape[3] * 2];
        let mut large = vec![0f32; 4 * len];
        time(n, "bilinear x2", shape, 5.0, || {
            upsample::forward(Corners::Edges, double, shape, &x, &mut large)
        })?;
        time(n, "bilinear x2 backward", shape, 5.0, || {
            upsample::backward(Corners::Edges, double, shape, &large, &mut dx)
        })?;
    }
    Ok(())
}
