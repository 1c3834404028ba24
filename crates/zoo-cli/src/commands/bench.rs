//! `zoo bench`: how fast networks answer on this machine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use zoo::Network;
use zoo_engine::Options;
use zoo_layers::Shape;
use zoo_report::{Align, Cell, Table};

use crate::{
    arguments::FormatArgument,
    failure::OrWrongCall,
    options::OptionArguments,
    output,
    running::{self, RunArguments},
};

/// Answers that are measured at least, whatever the time.
const FEWEST: usize = 5;

/// Measure how fast networks answer
///
/// The network compiled for its pictures (`zoo-engine`), on a CPU: percentiles of an answer's time after a first one,
/// pictures a second, multiply-adds as a share of what this machine reaches at most, memory. With --layers, each step:
/// how it is computed and what it takes. Winograd's convolutions need fewer products than are counted, so that their
/// share may exceed 100 %. Weights are drawn, and nothing is fetched, unless --weights names some or MODEL is a file.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  zoo bench resnet50 mobilenet_v2\n  zoo bench resnet50 --batch 1,8,32 --threads 2\n  \
                        zoo bench xception --layers\n  ZOO_SIMD=avx2 zoo bench vgg16 --exact --format json"
)]
pub(crate) struct Arguments {
    /// Names of architectures, or .safetensors files that name their own
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// Pictures at once; several, with commas between, are measured one after the other
    #[arg(long, default_value = "1", value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65536))]
    batch: Vec<u32>,
    /// Each step by itself
    #[arg(long)]
    layers: bool,
    /// With the smallest rounding errors: without Winograd's transforms and in short sums, which is slower
    #[arg(long)]
    exact: bool,
    /// How long each is measured
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS", value_parser = parse_seconds, allow_negative_numbers = true)]
    seconds: f64,
    #[command(flatten)]
    options: OptionArguments,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    format: FormatArgument,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "give seconds from 0 to 3600".into())
}

#[derive(Debug, Serialize)]
struct Entry {
    model: String,
    batch: usize,
    threads: usize,
    simd: &'static str,
    median_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    images_per_s: f64,
    gflops: f64,
    peak_share: f64,
    arena_bytes: usize,
    /// Of the arena, the zeros around the picture.
    padding_bytes: usize,
    /// What each thread works in beside it, at most.
    scratch_bytes: usize,
    peak_rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
}

/// A step of the compiled network.
#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    method: &'static str,
    ms: f64,
    share: f64,
    gflops: f64,
    peak_share: f64,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let device = self.run.machine()?;
        if !device.is_cpu() {
            return Err(anyhow::anyhow!(
                "`zoo bench` measures the compiled network, which runs on a CPU; leave --device out"
            ))
            .or_wrong_call();
        }
        if self.run.file().is_some() && self.models.len() > 1 {
            return Err(anyhow::anyhow!(
                "--weights are one network's, and {} are named; measure them one after the other",
                self.models.len()
            ))
            .or_wrong_call();
        }
        let ((_, key), mut models) = (self.run.weights(), Vec::new());
        for name in &self.models {
            let model = self
                .options
                .asked(running::model(name)?.under(key.clone()))
                .with_context(|| name.clone())
                .or_wrong_call()?;
            model.graph().with_context(|| name.clone()).or_wrong_call()?;
            models.push(model);
        }
        let bar = output::bar(Some((models.len() * self.batch.len()) as u64), "networks measured");
        bar.tick();
        let peak = zoo_kernels::measured_peak();
        let mut entries = Vec::new();
        for (name, model) in self.models.iter().zip(&models) {
            let network = match self.run.file().or(model.file()) {
                Some(_) => self.run.load(model)?,
                None => model.fresh()?,
            };
            for batch in &self.batch {
                entries.push(self.measure(name, &network, *batch as usize, peak)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let table = if self.layers { steps(&entries) } else { lines(&entries) };
        output::table(self.format.into(), &table, || Ok(serde_json::to_string_pretty(&entries)?), String::new)
    }

    fn measure(&self, name: &str, network: &Network, batch: usize, peak: f64) -> Result<Entry> {
        let graph = network.graph();
        let Shape::Map { channels, height, width } = graph.input() else {
            anyhow::bail!("{} takes no pictures", graph.name());
        };
        let options = Options { exact: self.exact };
        let compiled = network.engine_with([batch, channels, height, width], options);
        let engine = match compiled {
            Err(zoo::Error::Engine(error @ zoo::engine::Error::Memory { .. })) => {
                Err(error).or_wrong_call()?
            }
            compiled => compiled?,
        };
        let pictures = vec![0.5; batch * channels * height * width];
        forget_peak();
        engine.run(&pictures)?;
        let (mut runs, mut parts): (Vec<Duration>, Vec<Vec<Duration>>) = (Vec::new(), Vec::new());
        let start = Instant::now();
        while runs.len() < FEWEST || start.elapsed().as_secs_f64() < self.seconds {
            let start = Instant::now();
            let (_, times) = engine.timed(&pictures)?;
            runs.push(start.elapsed());
            if self.layers {
                parts.push(times);
            }
        }
        let macs: u64 = engine.steps().map(|step| step.macs).sum();
        let gflops = |macs: u64, seconds: f64| 2e-9 * macs as f64 * batch as f64 / seconds.max(1e-9);
        let median = percentile(&mut runs, 50);
        let layers = self.layers.then(|| {
            let steps = engine.steps().enumerate().map(|(i, step)| {
                let mut times: Vec<Duration> = parts.iter().map(|times| times[i]).collect();
                let seconds = percentile(&mut times, 50);
                let gflops = gflops(step.macs, seconds);
                let (name, method) = (step.node.to_string(), step.method);
                Layer {
                    name,
                    method,
                    ms: milliseconds(seconds),
                    share: seconds / median,
                    gflops,
                    peak_share: gflops / peak,
                }
            });
            steps.collect()
        });
        Ok(Entry {
            model: name.into(),
            batch,
            threads: rayon::current_num_threads(),
            simd: zoo_kernels::Isa::current().name(),
            median_ms: milliseconds(median),
            p90_ms: milliseconds(percentile(&mut runs, 90)),
            p99_ms: milliseconds(percentile(&mut runs, 99)),
            images_per_s: batch as f64 / median,
            gflops: gflops(macs, median),
            peak_share: gflops(macs, median) / peak,
            arena_bytes: engine.sizes().arena,
            padding_bytes: engine.sizes().halo,
            scratch_bytes: engine.sizes().scratch,
            peak_rss_bytes: peak_memory(),
            layers,
        })
    }
}

/// The time, in seconds, that so many of a hundred runs don't exceed.
fn percentile(runs: &mut [Duration], percent: usize) -> f64 {
    runs.sort_unstable();
    let place = (runs.len() * percent).div_ceil(100).clamp(1, runs.len().max(1));
    runs.get(place - 1).map_or(0.0, Duration::as_secs_f64)
}

/// To the nanosecond, which is as fine as the clock.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1e9).round() / 1e6
}

/// Has the system count the process's peak anew, where it can: making fresh weights takes more than answering.
fn forget_peak() {
    // Where it can't, the peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that the process has had, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A line for each network and batch.
fn lines(entries: &[Entry]) -> Table {
    let columns = [
        ("model", Align::Left),
        ("batch", Align::Right),
        ("threads", Align::Right),
        ("simd", Align::Left),
        ("median ms", Align::Right),
        ("p90", Align::Right),
        ("p99", Align::Right),
        ("images/s", Align::Right),
        ("GFLOP/s", Align::Right),
        ("of peak", Align::Right),
        ("arena", Align::Right),
        ("peak memory", Align::Right),
    ];
    let keys = [
        "model",
        "batch",
        "threads",
        "simd",
        "median_ms",
        "p90_ms",
        "p99_ms",
        "images_per_s",
        "gflops",
        "peak_share",
        "arena_bytes",
        "peak_rss_bytes",
    ];
    // First what flags, `summary` or another column tell: arena, threads, the nearer tail, instruction set, share, work.
    let mut table = Table::new(&columns, 0).keys(&keys).sparing(&[10, 2, 5, 3, 9, 8, 11]);
    for entry in entries {
        table.push([
            Cell::from(&entry.model),
            entry.batch.to_string().into(),
            entry.threads.to_string().into(),
            entry.simd.into(),
            Cell::rounded(entry.median_ms, 2),
            Cell::rounded(entry.p90_ms, 2),
            Cell::rounded(entry.p99_ms, 2),
            Cell::rounded(entry.images_per_s, 1),
            Cell::rounded(entry.gflops, 0),
            Cell::share(entry.peak_share, 0),
            Cell::bytes(entry.arena_bytes as u64),
            entry.peak_rss_bytes.map_or_else(Cell::default, Cell::bytes),
        ]);
    }
    table
}

/// A line for each step of each network.
fn steps(entries: &[Entry]) -> Table {
    let columns = [
        ("model", Align::Left),
        ("batch", Align::Right),
        ("layer", Align::Left),
        ("method", Align::Left),
        ("ms", Align::Right),
        ("share", Align::Right),
        ("GFLOP/s", Align::Right),
        ("of peak", Align::Right),
    ];
    let keys = ["model", "batch", "name", "method", "ms", "share", "gflops", "peak_share"];
    let mut table = Table::new(&columns, 2).keys(&keys);
    for entry in entries {
        for layer in entry.layers.iter().flatten() {
            let counts = layer.gflops > 0.0;
            table.push([
                Cell::from(&entry.model),
                entry.batch.to_string().into(),
                Cell::from(&layer.name),
                layer.method.into(),
                Cell::rounded(layer.ms, 3),
                Cell::share(layer.share, 0),
                if counts { Cell::rounded(layer.gflops, 0) } else { Cell::default() },
                if counts { Cell::share(layer.peak_share, 0) } else { Cell::default() },
            ]);
        }
    }
    table
}
