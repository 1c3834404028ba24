//! `cargo xtask peers` called wrongly: it says so before anything is built.

use std::process::{Command, Output};

fn peers(arguments: &[&str]) -> Output {
    // Without a PATH nothing could be built or found.
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("peers").args(arguments).env_clear().output().unwrap()
}

#[test]
fn a_wrong_call_is_refused_at_once() {
    for (arguments, hint) in [
        (&["train", "--case", "resnet18"][..], "resnet18_b4"),
        (&["train", "--peer", "tensorflow"][..], "pytorch, candle"),
        (&["train", "--threads", "0"][..], "0 is not in 1..=1024"),
        (&["train", "--rounds", "0"][..], "0 is not in 1.."),
        (&["train", "--steps", "0"][..], "0 is not in 1.."),
        (&["train", "--seconds", "NaN"][..], "0 to 3600"),
        (&["train", "--seconds=-1"][..], "0 to 3600"),
        (&["train", "--format", "xml"][..], "table, json"),
        (&["train", "--python", "/no/such/python"][..], "`/no/such/python` can't be started"),
        (&["infer", "--peer", "tensorflow"][..], "onnxruntime, openvino, ncnn, mnn"),
        (&["infer", "--batch", "0"][..], "0 is not in 1..=1024"),
        (&["infer", "--runs", "0"][..], "0 is not in 1.."),
        (&["infer", "--seconds", "never"][..], "not a number"),
        (&["infer", "--python", "/no/such/python"][..], "`/no/such/python` can't be started"),
        (&["data", "--rounds", "0"][..], "0 is not in 1.."),
        (&["convolutions", "--threads", "0"][..], "0 is not in 1..=1024"),
        (&[][..], "Usage"),
    ] {
        let output = peers(arguments);
        let error = str::from_utf8(&output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(hint), "{arguments:?}: {error}");
    }
}

#[test]
fn a_python_from_the_environment_is_checked_too() {
    for what in ["train", "infer"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let output = command.args(["peers", what]).env("ZOO_PYTHON", "/no/such/python").output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = str::from_utf8(&output.stderr).unwrap();
        assert!(error.contains("--python or ZOO_PYTHON"), "{error}");
    }
}
