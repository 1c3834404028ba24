//! The program `peers` as a process, as the harness starts it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

fn peers(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(arguments).args(["--steps", "1", "--seconds", "0"]);
    command.env("RAYON_NUM_THREADS", "2").env("RUST_LIB_BACKTRACE", "0").output().unwrap()
}

fn line(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn both_do_the_same_step() {
    let [here, candle] = ["here", "candle"].map(|who| {
        let output = peers(&[who, "lenet5_b64"]);
        assert!(output.status.success(), "{output:?}");
        line(&output)
    });
    for measured in [&here, &candle] {
        assert_eq!(measured["params"], 61_706);
        let steps = measured["step_ms"].as_array().unwrap();
        assert!(steps.len() == 1 && steps[0].as_f64().unwrap() > 0.0, "{steps:?}");
    }
    let losses = |measured: &Value| -> Vec<f64> {
        measured["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect()
    };
    let (here, candle) = (losses(&here), losses(&candle));
    assert_eq!((here.len(), candle.len()), (3, 3));
    // Steps that taught nothing would agree too.
    assert!(here[2] < 0.95 * here[0], "{here:?}");
    for (a, b) in here.iter().zip(&candle) {
        assert!((a - b).abs() < 1e-5, "{here:?} {candle:?}");
    }
}

#[test]
fn blocks_of_the_networks_agree_with_candle() {
    let losses = ["here", "candle"].map(|who| {
        let measured = line(&peers(&[who, "mobilenet_block"]));
        assert_eq!(measured["params"], 54_272, "{measured}");
        measured["losses"][2].as_f64().unwrap()
    });
    assert!((losses[0] - losses[1]).abs() < 1e-5, "{losses:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_step_needs_memory() {
    let peak = line(&peers(&["here", "mobilenet_block"]))["peak_mib"].as_f64().unwrap();
    // The wide maps of 8 pictures, kept for the way back, are 2.3 MiB each.
    assert!((5.0..500.0).contains(&peak), "{peak}");
}

#[test]
fn what_candle_cannot_train_it_says_in_its_own_words() {
    let output = peers(&["candle", "resnet18_b4"]);
    assert_eq!(output.status.code(), Some(1));
    let reason = line(&output)["reason"].as_str().unwrap().to_string();
    assert!(reason.starts_with("backward not supported for maxpool2d if ksize (3, 3)"), "{reason}");
    assert_eq!(reason.lines().count(), 1, "{reason}");
}

#[test]
fn a_wrong_call_has_its_own_exit_code() {
    for (arguments, hint) in [(["here", "resnet19"], "lenet5_b64"), (["there", "lenet5_b64"], "here, candle")]
    {
        let output = peers(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(str::from_utf8(&output.stderr).unwrap().contains(hint), "{output:?}");
    }
}
