//! What a few training steps take at most, in a process of their own, beside what is predicted: `cargo xtask memory`
//! runs this for each network and way. It prints one line of JSON.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor, backprop::GradStore};
use clap::{Parser, ValueEnum};
use serde_json::json;
use zoo_bench::memory::Memory;
use zoo_layers::{Loss, Recompute, Route, Shape};
use zoo_report::{Lesson, Training};
use zoo_train::optim::{Method, Optimizer, Sgd};

#[derive(Parser)]
#[command(about = "Trains for a few steps and prints what that took as a line of JSON")]
struct Cli {
    /// Name of an architecture
    model: String,
    /// Pictures at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    batch: u16,
    /// Side of the pictures, where it isn't the network's own
    #[arg(long)]
    side: Option<usize>,
    /// What is computed again on the way back
    #[arg(long, value_enum, default_value = "off")]
    recompute: Again,
    /// Keep activations as bf16
    #[arg(long)]
    keep_bf16: bool,
    /// Steps, the first of which does not count for the time
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    steps: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Again {
    Off,
    Cheap,
    All,
}

impl From<Again> for Recompute {
    fn from(again: Again) -> Self {
        match again {
            Again::Off => Self::Nothing,
            Again::Cheap => Self::Cheap,
            Again::All => Self::All,
        }
    }
}

fn main() -> ExitCode {
    let (line, code) = match measured(&Cli::parse()) {
        Ok(line) => (line, ExitCode::SUCCESS),
        Err(error) => (json!({ "reason": format!("{error:#}") }), ExitCode::FAILURE),
    };
    writeln!(std::io::stdout(), "{line}").map_or(ExitCode::FAILURE, |()| code)
}

fn measured(cli: &Cli) -> Result<serde_json::Value> {
    let empty = Memory::before();
    let mut model = zoo::model(&cli.model)?;
    if let Some(side) = cli.side {
        model = model.input_size(side, side);
    }
    let graph = model.graph()?;
    let recompute = cli.recompute.into();
    let lesson = Lesson {
        recompute,
        keep_bf16: cli.keep_bf16,
        ..Lesson::plain(cli.batch.into(), zoo_report::Optimizer::Momentum)
    };
    let training = Training::of(&graph, &lesson)?;
    let plain =
        Training::of(&graph, &Lesson { recompute: Recompute::Nothing, keep_bf16: false, ..lesson.clone() })?;
    let plan = lesson.plan(&graph)?;
    let net = graph.init(1)?;
    let pictures = Tensor::rand(-1f32, 1f32, graph.input().with_batch(cli.batch.into()), &Device::Cpu)?;
    let route = Route::training(&graph).recomputing(recompute);
    let route = if cli.keep_bf16 { route.keeping_bf16() } else { route };
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut optimizer = Optimizer::new(Method::Sgd(sgd), &net)?;
    // Drawing the weights takes memory for a while, which does not count.
    let drawn = empty.as_ref().and_then(Memory::forget);
    let mut step_ms = Vec::new();
    for _ in 0..cli.steps {
        let start = Instant::now();
        let pass = net.pass(&route, &[&pictures])?;
        // Auxiliary heads learn too.
        let mut slopes = GradStore::default();
        for output in net.graph().outputs() {
            let labels = vec![1; labels(net.graph().get(output.node).output) * usize::from(cli.batch)];
            let logits = &pass.outputs()[&output.name];
            slopes.insert(logits, Loss::CROSS_ENTROPY.gradient(logits, &labels, &[])?.1);
        }
        let gradients = pass.backward(&slopes)?;
        optimizer.step(&gradients, 1e-3)?;
        net.recycle(gradients)?;
        step_ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let bytes = |mib: f64| (mib * f64::from(1 << 20)).round();
    let peak = drawn.and(empty).and_then(|empty| empty.peak_mib()).map(bytes);
    step_ms.remove(0);
    step_ms.sort_by(f64::total_cmp);
    Ok(json!({
        "model": cli.model,
        "input": graph.input().with_batch(cli.batch.into()),
        "predicted_bytes": training.peak_bytes,
        "kept_bytes": training.kept_bytes,
        "kept_share": training.kept_bytes as f64 / plain.kept_bytes as f64,
        "measured_bytes": peak.context("this system does not tell a process's peak")?,
        "step_ms": step_ms.get(step_ms.len() / 2),
        "slowdown": plan.slowdown(),
    }))
}

/// Places that have a label, of one picture.
fn labels(output: Shape) -> usize {
    output.elements() / output.channels()
}
