//! What a training step takes at most, as the system sees it, against what the report says: a process for each
//! network. Linux alone tells a process's peak; elsewhere this says so and passes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::print_stdout, reason = "it has no harness: this is its report")]

use std::{env, fs, process::Command};

use candle_core::{DType, Device, Tensor};
use zoo_layers::CrossEntropy;
use zoo_report::{Memory, Optimizer as Kind};
use zoo_train::optim::{Method, Optimizer, Sgd};

/// The networks, and the batch.
const NETWORKS: [&str; 4] = ["resnet18", "resnet50", "vgg16", "xception"];
const BATCH: usize = 4;

/// Which network a process is to train; set for the processes that this one starts.
const NETWORK: &str = "ZOO_PEAK_OF";

/// How far measured and predicted may lie apart: threads and the program itself are not planned.
const TOLERANCE: f64 = 0.10;

fn main() {
    if let Ok(name) = env::var(NETWORK) {
        println!("{}", measured(&name));
        return;
    }
    if fs::write("/proc/self/clear_refs", "5").is_err() {
        println!("peak: skipped, this system does not tell a process's peak");
        return;
    }
    for name in NETWORKS {
        let child = Command::new(env::current_exe().unwrap()).env(NETWORK, name).output().unwrap();
        assert!(child.status.success(), "{name}: {}", String::from_utf8_lossy(&child.stderr));
        let measured: f64 = String::from_utf8(child.stdout).unwrap().trim().parse().unwrap();
        let graph = zoo::model(name).unwrap().graph().unwrap();
        let said = Memory::of(&graph, BATCH as u64, Kind::Momentum).unwrap().training_peak_bytes as f64;
        let ratio = measured / said;
        println!(
            "peak {name}: {:.1} MB measured, {:.1} MB said, ratio {ratio:.3}",
            measured / 1e6,
            said / 1e6
        );
        assert!((ratio - 1.0).abs() <= TOLERANCE, "{name}: {measured} bytes measured, {said} said");
    }
}

/// The peak of two training steps, less what the process had before it made the network.
fn measured(name: &str) -> u64 {
    let empty = status("VmRSS:");
    let net = zoo::model(name).unwrap().graph().unwrap().init(1).unwrap();
    let input = net.graph().input().with_batch(BATCH);
    let pictures = Tensor::ones(input, DType::F32, &Device::Cpu).unwrap();
    let sgd = Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut optimizer = Optimizer::new(Method::Sgd(sgd), &net).unwrap();
    // What was needed for a while to draw the weights does not count.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    for _ in 0..2 {
        let pass = net.train_pass(&pictures).unwrap();
        let logits = &pass.outputs()[&net.graph().main_output().name];
        let loss = CrossEntropy::default().of(logits, &[1; BATCH]).unwrap();
        let gradients = pass.backward(&loss.backward().unwrap()).unwrap();
        optimizer.step(&gradients, 1e-3).unwrap();
        net.recycle(gradients).unwrap();
    }
    status("VmHWM:") - empty
}

/// A field of the process's status, in bytes.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}
