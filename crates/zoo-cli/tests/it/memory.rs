//! How much memory answering takes, as the system counts it.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
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
        let peak = peak(child.id());
        drop(paths);
        assert!(child.wait().unwrap().success());
        assert!(peak < bytes + (96 << 20), "{name}: a peak of {peak} bytes for {bytes} of weights");
    }
    // Exported, the last of them still to be read; dense layers as convolutions have the same numbers.
    let from = bench.path("full.safetensors");
    for (to, more) in [("pipe.onnx", &[][..]), ("sliding.onnx", &["--convolutional"])] {
        let to = bench.path(to);
        assert!(Command::new("mkfifo").arg(&to).status().unwrap().success());
        let call = [&["export", "alexnet", &to, "--weights", &from], more].concat();
        let mut child = zoo(&call).spawn().unwrap();
        let mut pipe = fs::File::open(&to).unwrap();
        let nearly = bytes as u64 - (4 << 20);
        std::io::copy(&mut Read::by_ref(&mut pipe).take(nearly), &mut std::io::sink()).unwrap();
        let exported = peak(child.id());
        std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
        assert!(child.wait().unwrap().success());
        assert!(exported < bytes + (96 << 20), "{to}: a peak of {exported} bytes for {bytes} of weights");
    }
    // What is converted goes through tensor by tensor; when the pipe gets its first byte, all of them were looked at.
    let largest = values.iter().map(|(.., values)| 4 * values.len()).max().unwrap_or(0);
    let (from, to) = (bench.path("full.safetensors"), bench.path("pipe.safetensors"));
    assert!(Command::new("mkfifo").arg(&to).status().unwrap().success());
    let call = ["convert", &from, &to, "--model", "alexnet", "--dtype", "f16"];
    let mut child = zoo(&call).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = fs::File::open(&to).unwrap();
    pipe.read_exact(&mut [0; 4096]).unwrap();
    let peak = peak(child.id());
    std::io::copy(&mut pipe, &mut std::io::sink()).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(peak < 2 * largest + (64 << 20), "a peak of {peak} bytes, the largest tensor has {largest}");
}

/// The most memory that a process has had.
fn peak(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
