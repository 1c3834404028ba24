//! The program `infer` as a process, as the harness starts it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

fn infer(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infer"));
    command.args(arguments).env("RAYON_NUM_THREADS", "2").env("RUST_LIB_BACKTRACE", "0").output().unwrap()
}

fn line(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_network_is_written_for_others_and_answered_here() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let prepared = infer(&["prepare", "lenet5", path, "--batch", "3"]);
    assert!(prepared.status.success(), "{prepared:?}");
    assert_eq!(line(&prepared)["input"], serde_json::json!([3, 1, 28, 28]));
    for name in ["model.onnx", "one.onnx", "weights.safetensors", "input.npy", "output.txt"] {
        assert!(folder.path().join(name).is_file(), "there is no {name}");
    }
    let ran = infer(&["run", "lenet5", path, "--runs", "2", "--seconds", "0"]);
    assert!(ran.status.success(), "{ran:?}");
    let measured = line(&ran);
    let times = measured["run_ms"].as_array().unwrap();
    assert!(times.len() == 2 && times[0].as_f64().unwrap() > 0.0, "{measured}");
    // Ten numbers for each of three digits.
    let answer = std::fs::read(folder.path().join("here.f32")).unwrap();
    let answer: Vec<f32> =
        answer.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(answer.len(), 30);
    assert!(answer.iter().any(|value| value.abs() > 0.01), "{answer:?}");
}

#[test]
fn a_network_that_there_is_not_has_a_reason() {
    let output = infer(&["check", "lenet5", "lenet6"]);
    assert_eq!(output.status.code(), Some(1));
    let reason = line(&output)["reason"].as_str().unwrap().to_string();
    assert!(reason.contains("`lenet6`") && reason.contains("`lenet5`"), "{reason}");
    assert!(infer(&["check", "lenet5"]).status.success());
    assert_eq!(infer(&["run"]).status.code(), Some(2));
}
