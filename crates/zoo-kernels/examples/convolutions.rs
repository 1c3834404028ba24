//! Prints GFLOP/s of every pass of the convolutions of known networks, and their share of the machine's peak.
//!
//! `cargo run --release -p zoo-kernels --example convolutions [repetitions]`; `RAYON_NUM_THREADS` and
//! `ZOO_SIMD` as everywhere.

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::time::Instant;

use zoo_kernels::conv::{self, Conv2d};
use zoo_kernels::{Isa, Result, Shape, measured_peak};

/// Input shape and convolution of one layer.
fn layers() -> Vec<(&'static str, Shape, Conv2d)> {
    let conv = Conv2d::new;
    vec![
        ("resnet stem 7x7/2", [4, 3, 224, 224], conv(3, 64, 7).with_stride(2).with_padding(3)),
        ("resnet 3x3 64", [4, 64, 56, 56], conv(64, 64, 3).with_padding(1)),
        ("resnet 3x3/2 64-128", [4, 64, 56, 56], conv(64, 128, 3).with_stride(2).with_padding(1)),
        ("resnet 3x3 128", [4, 128, 28, 28], conv(128, 128, 3).with_padding(1)),
        ("resnet 3x3 256", [4, 256, 14, 14], conv(256, 256, 3).with_padding(1)),
        ("resnet 3x3/2 256-512", [4, 256, 14, 14], conv(256, 512, 3).with_stride(2).with_padding(1)),
        ("resnet 3x3 512", [4, 512, 7, 7], conv(512, 512, 3).with_padding(1)),
        ("resnet 1x1/2 64-128", [4, 64, 56, 56], conv(64, 128, 1).with_stride(2)),
        ("resnet50 1x1 64-256", [4, 64, 56, 56], conv(64, 256, 1)),
        ("resnet50 1x1 256-64", [4, 256, 56, 56], conv(256, 64, 1)),
        ("resnet50 1x1 512-128", [4, 512, 28, 28], conv(512, 128, 1)),
        ("resnet50 1x1 256-1024", [4, 256, 14, 14], conv(256, 1024, 1)),
        ("resnet50 1x1 512-2048", [4, 512, 7, 7], conv(512, 2048, 1)),
        ("resnet50 1x1 2048-512", [4, 2048, 7, 7], conv(2048, 512, 1)),
        ("resnext 3x3 g32 128", [4, 128, 56, 56], conv(128, 128, 3).with_padding(1).with_groups(32)),
        ("lenet 5x5 1-6", [64, 1, 28, 28], conv(1, 6, 5).with_padding(2)),
        ("lenet 5x5 6-16", [64, 6, 14, 14], conv(6, 16, 5)),
        ("mobilenet 1x1 16-96", [4, 16, 112, 112], conv(16, 96, 1)),
        ("mobilenet 1x1 144-24", [4, 144, 56, 56], conv(144, 24, 1)),
        ("mobilenet 1x1 64-384", [4, 64, 14, 14], conv(64, 384, 1)),
        ("mobilenet 1x1 384-64", [4, 384, 14, 14], conv(384, 64, 1)),
        ("mobilenet dw 3x3 384", [4, 384, 14, 14], conv(384, 384, 3).with_padding(1).with_groups(384)),
        ("mobilenet dw 3x3 144", [4, 144, 56, 56], conv(144, 144, 3).with_padding(1).with_groups(144)),
        (
            "mobilenet dw 3x3/2 96",
            [4, 96, 112, 112],
            conv(96, 96, 3).with_stride(2).with_padding(1).with_groups(96),
        ),
        ("xception dw 3x3 728", [4, 728, 19, 19], conv(728, 728, 3).with_padding(1).with_groups(728)),
        ("xception 1x1 728", [4, 728, 19, 19], conv(728, 728, 1)),
        ("vgg 3x3 512", [1, 512, 28, 28], conv(512, 512, 3).with_padding(1)),
    ]
}

/// Numbers in -0.5..0.5 that nothing can shorten.
fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

/// The least of the times, in milliseconds.
fn time(repetitions: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut least = f64::INFINITY;
    for _ in 0..repetitions {
        let start = Instant::now();
        work()?;
        least = least.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(least)
}

fn main() -> Result<()> {
    let repetitions = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    let filter = std::env::args().nth(2).unwrap_or_default();
    let peak = measured_peak();
    println!("instruction set {}, measured peak {peak:.0} GFLOP/s", Isa::current().name());
    println!(
        "{:<24}{:>9}{:>34}{:>34}{:>34}",
        "layer", "MFLOP", "forward", "input gradient", "weight gradient"
    );
    for (name, shape, spec) in layers() {
        if !name.contains(&filter) {
            continue;
        }
        let output = spec.output_shape(shape)?;
        let input = numbers(shape.iter().product());
        let weight = numbers(spec.weight_shape().iter().product());
        let mut out = numbers(output.iter().product());
        let (mut grad_input, mut grad_weight) = (input.clone(), weight.clone());
        let flop = 2.0 * out.len() as f64 * (weight.len() / spec.out_channels) as f64;
        let forward = time(repetitions, || conv::forward(&spec, shape, &input, &weight, None, &mut out))?;
        let to_input = time(repetitions, || conv::grad_input(&spec, shape, &out, &weight, &mut grad_input))?;
        let to_weight =
            time(repetitions, || conv::grad_weight(&spec, shape, &input, &out, &mut grad_weight, None))?;
        let cell = |ms: f64| {
            let rate = flop / ms / 1e6;
            format!("{ms:.3} ms {rate:.0} GFLOP/s {:.0} %", 100.0 * rate / peak)
        };
        println!(
            "{name:<24}{:>9.1}{:>34}{:>34}{:>34}",
            flop / 1e6,
            cell(forward),
            cell(to_input),
            cell(to_weight)
        );
    }
    Ok(())
}
