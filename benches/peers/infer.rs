//! A network's answers to one input, timed: `cargo xtask peers infer` has this write the network as the other engines
//! read it, and runs each in a process of its own, this one among them. It prints one line of JSON.

mod answer;

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use zoo_layers::{Graph, Param, rng};
use zoo_onnx::{Model, Options, Weights};

use answer::Answer;
use zoo_bench::memory::{self, Memory};

/// Answers before the first timed one.
const WARM_UP: usize = 3;

#[derive(Parser)]
#[command(
    about = "Writes a network for other engines, or times the zoo's answers, and prints a line of JSON"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say whether there are such networks
    Check {
        /// Names of architectures
        networks: Vec<String>,
    },
    /// Write weights made from their names, the network as ONNX, and an input
    Prepare {
        /// Name of the architecture
        network: String,
        /// Where to; it is made if it isn't there
        folder: PathBuf,
        /// Pictures at once
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
        batch: u16,
    },
    /// Answer it, over and over
    Run {
        /// Name of the architecture
        network: String,
        /// What `prepare` wrote
        folder: PathBuf,
        /// Timed answers at least
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Seconds of timed answers at least
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
}

fn main() -> ExitCode {
    if let Some(warning) = &zoo_kernels::selection().warning {
        // Nothing is left to do if even this can't be written.
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    match done(Cli::parse().command) {
        Ok(line) => print(&line, ExitCode::SUCCESS),
        Err(error) => print(&json!({ "reason": format!("{error:#}") }), ExitCode::FAILURE),
    }
}

fn print(line: &Value, code: ExitCode) -> ExitCode {
    writeln!(std::io::stdout(), "{line}").map_or(ExitCode::FAILURE, |()| code)
}

fn done(command: Command) -> Result<Value> {
    match command {
        Command::Check { networks } => {
            networks.iter().try_for_each(|network| zoo::find(network).map(|_| ()))?;
            Ok(json!({}))
        }
        Command::Prepare { network, folder, batch } => prepare(&network, &folder, batch.into()),
        Command::Run { network, folder, runs, seconds } => run(&network, &folder, runs, seconds),
    }
}

/// Weights that their names decide, such that signals neither die nor explode on their way through any network: the
/// rules of `crates/zoo/tests/goldens/make_goldens.py`.
struct Named;

impl Named {
    fn all(param: &Param) -> Vec<f32> {
        let (name, shape) = (param.name.as_str(), param.shape.as_slice());
        let fan_in: usize = shape.iter().skip(1).product();
        let bound = |numerator: f64| (numerator / fan_in as f64).sqrt();
        let (middle, spread) = match (shape, name.rsplit('.').next()) {
            ([_, 1, _, _], _) => (0.0, bound(3.0)),
            ([_, _, ..], _) => (0.0, bound(6.0)),
            (_, Some("running_var")) => (1.0, 0.5),
            (_, Some("running_mean" | "bias")) => (0.0, 0.1),
            _ if name.ends_with("bn2.weight") || name.ends_with("bn3.weight") => (0.5, 0.05),
            _ => (1.0, 0.1),
        };
        let mut stream = rng::Stream::from_key(rng::hash_name(name));
        (0..param.elements()).map(|_| (middle + spread * (2.0 * stream.uniform() - 1.0)) as f32).collect()
    }
}

impl Weights for Named {
    fn values(
        &self,
        param: &Param,
        take: &mut dyn FnMut(&[f32]) -> zoo_onnx::Result<()>,
    ) -> zoo_onnx::Result<()> {
        take(&Self::all(param))
    }
}

const WEIGHTS: &str = "weights.safetensors";
const INPUT: &str = "input.npy";

fn prepare(network: &str, folder: &Path, batch: usize) -> Result<Value> {
    let graph = zoo::find(network)?.graph()?;
    fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
    save(&graph, &folder.join(WEIGHTS))?;
    // ncnn knows no batch, and reads a network for one picture.
    let files = [("model.onnx", batch), ("one.onnx", 1)];
    for (name, batch) in files.into_iter().take(batch.min(2)) {
        let model = Model::new(&graph, Options { batch: Some(batch), ..Options::default() })?;
        let file = folder.join(name);
        let out = fs::File::create(&file).with_context(|| format!("{} can't be written", file.display()))?;
        model.write(&Named, &mut BufWriter::new(out))?;
    }
    fs::write(folder.join("output.txt"), format!("{}\n", graph.main_output().name))?;
    let shape = graph.input().with_batch(batch);
    let mut stream = rng::Stream::from_key(rng::hash_name("input"));
    let count: usize = shape.iter().product();
    let pixels = (0..count).map(|_| (3f64.sqrt() * (2.0 * stream.uniform() - 1.0)) as f32).collect();
    Tensor::from_vec(pixels, shape.as_slice(), &Device::Cpu)?.write_npy(folder.join(INPUT))?;
    Ok(json!({ "input": shape, "macs": graph.layers().iter().map(|layer| layer.macs).sum::<u64>() }))
}

fn save(graph: &Graph, path: &Path) -> Result<()> {
    let values: Vec<(&Param, Vec<f32>)> = graph.params().map(|param| (param, Named::all(param))).collect();
    let tensors: Vec<_> = values
        .iter()
        .map(|(param, values)| (&param.name, zoo_weights::Tensor::from_f32(&param.shape, values)))
        .collect();
    Ok(zoo_weights::save(path, &tensors, None)?)
}

fn run(network: &str, folder: &Path, runs: usize, seconds: f64) -> Result<Value> {
    let pictures = Tensor::read_npy(folder.join(INPUT))?;
    let memory = Memory::before();
    let answer = Answer::load(network, &folder.join(WEIGHTS), &pictures)?;
    let mut output = answer.run()?;
    for _ in 1..WARM_UP {
        output = answer.run()?;
    }
    ensure!(output.iter().all(|value| value.is_finite()), "the answer is no number");
    let bytes: Vec<u8> = output.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(folder.join("here.f32"), bytes)?;
    let least = Duration::try_from_secs_f64(seconds)?;
    let start = Instant::now();
    let mut run_ms = Vec::new();
    while run_ms.len() < runs.max(1) || start.elapsed() < least {
        let start = Instant::now();
        answer.run()?;
        run_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let simd = zoo_kernels::Isa::current().name();
    let peak = memory.as_ref().and_then(Memory::peak_mib);
    Ok(
        json!({ "run_ms": run_ms, "peak_mib": peak, "process_mib": memory::most_mib(), "simd": simd, "version": null }),
    )
}
