//! How much memory answering takes, as the system counts it.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use zoo_weights::{Dtype, Tensor};

use crate::{weights::Bench, zoo};

/// Of the weights there is one copy, from the file on; what else is needed does not grow with them.
#[test]
fn weights_are_in_memory_once() {
    let bench = Bench::new();
    let net = zoo::model("alexnet").unwrap().graph().unwrap().init(7).unwrap();
    let values: Vec<(&String, &Vec<usize>, Vec<f32>)> = net
        .tensors()
        .map(|(param, tensor)| (&param.name, &param.shape, tensor.flatten_all().unwrap().to_vec1().unwrap()))
        .collect();
    let full: Vec<_> =
        values.iter().map(|(name, shape, values)| (*name, Tensor::from_f32(shape, values))).collect();
    let bytes: usize = values.iter().map(|(.., values)| 4 * values.len()).sum();
    let half: Vec<_> = full.iter().map(|(name, tensor)| (*name, tensor.cast(Dtype::F16).unwrap())).collect();
    for (name, tensors) in [("full.safetensors", &full), ("half.safetensors", &half)] {
        let path = bench.path(name);
        zoo_weights::save(std::path::Path::new(&path), tensors, None).unwrap();
        let call = ["predict", "alexnet", "--weights", &path, "--files-from", "-", "--format", "jsonl"];
        let mut child = zoo(&call).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut paths = child.stdin.take().unwrap();
        writeln!(paths, "assets/photos/rocket.jpg").unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("\"top\""), "{line}");
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: usize = peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024;
        drop(paths);
        assert!(child.wait().unwrap().success());
        assert!(peak < bytes + (96 << 20), "{name}: a peak of {peak} bytes for {bytes} of weights");
    }
}
