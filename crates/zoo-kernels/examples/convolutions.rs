//! Prints how every pass of the convolutions of known networks is computed, its GFLOP/s, and their share of the
//! machine's peak; of depthwise ones, which memory limits, the share of a copy's speed.
//!
//! `cargo run --release -p zoo-kernels --example convolutions [repetitions [name]]`; `RAYON_NUM_THREADS` and
//! `ZOO_SIMD` as everywhere.

use std::error::Error;
use std::io::{Write, stdout};
use std::time::Instant;

use rayon::prelude::*;
use zoo_kernels::conv::{self, Conv2d, Method, Pass};
use zoo_kernels::{Isa, Result, Shape, measured_peak};

/// How often a layer, and its limit before it, take their turns; the best of each counts.
const ROUNDS: usize = 3;

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

/// The least of the times, in milliseconds, of threads that stay together, as in a step.
fn time(repetitions: usize, mut work: impl FnMut() -> Result<()> + Send) -> Result<f64> {
    zoo_kernels::on_team(|| {
        let mut least = f64::INFINITY;
        for _ in 0..repetitions {
            let start = Instant::now();
            work()?;
            least = least.min(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(least)
    })
}

/// The GB/s of a plain copy of `bytes` bytes in all, half of them read and half written, by all threads.
fn copy_rate(repetitions: usize, bytes: usize) -> Result<f64> {
    let from = vec![1f32; bytes / 8];
    let mut to = vec![0f32; bytes / 8];
    let each = to.len().div_ceil(rayon::current_num_threads()).max(1);
    let ms = time(repetitions, || {
        to.par_chunks_mut(each).zip(from.par_chunks(each)).for_each(|(to, from)| to.copy_from_slice(from));
        Ok(())
    })?;
    Ok(bytes as f64 / ms / 1e6)
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let mut table = stdout().lock();
    let repetitions = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    let filter = std::env::args().nth(2).unwrap_or_default();
    writeln!(table, "instruction set {}, {} threads", Isa::current().name(), rayon::current_num_threads())?;
    writeln!(
        table,
        "Shares are of the peak, multiply-adds on registers; of depthwise layers, of what a copy of the same bytes \
         reaches.\nBoth are measured beside each layer, since a machine that is shared isn't always as fast."
    )?;
    writeln!(
        table,
        "{:<24}{:>7} {:>12}  {:<46}{:<46}weight gradient",
        "layer", "MFLOP", "limit", "forward", "input gradient"
    )?;
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
        // Each pass goes over the input's and the output's side once.
        let bytes = 4 * (input.len() + out.len());
        let depthwise = spec.groups == spec.in_channels && spec.groups > 1;
        let unit = if depthwise { "GB/s" } else { "GFLOP/s" };
        let (mut limit, mut least) = (0f64, [f64::INFINITY; 3]);
        for _ in 0..ROUNDS {
            let now = if depthwise { copy_rate(repetitions, bytes)? } else { measured_peak() };
            let times = [
                time(repetitions, || conv::forward(&spec, shape, &input, &weight, None, &mut out))?,
                time(repetitions, || conv::grad_input(&spec, shape, &out, &weight, &mut grad_input))?,
                time(repetitions, || conv::grad_weight(&spec, shape, &input, &out, &mut grad_weight, None))?,
            ];
            limit = limit.max(now);
            least = std::array::from_fn(|pass| least[pass].min(times[pass]));
        }
        let cell = |pass, ms: f64| -> Result<String> {
            let rate = if depthwise { bytes as f64 } else { flop } / ms / 1e6;
            let method = conv::choose(pass, &spec, shape)?;
            let share = 100.0 * rate / limit;
            Ok(format!("{ms:>7.3} ms {rate:>4.0}  {share:>3.0} %  {}", short(method)))
        };
        let [forward, to_input, to_weight] = least;
        writeln!(
            table,
            "{name:<24}{:>7.1} {limit:>4.0} {unit:<7}  {:<46}{:<46}{}",
            flop / 1e6,
            cell(Pass::Forward, forward)?,
            cell(Pass::GradInput, to_input)?,
            cell(Pass::GradWeight, to_weight)?.trim_end()
        )?;
    }
    Ok(())
}

/// A method's name, short enough for a column.
fn short(method: Method) -> String {
    method.to_string().replace("product, ", "")
}
