//! The command line as its users meet it: output, errors, exit codes.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod advise;
mod bad_input;
#[expect(dead_code, reason = "what is said within sentences is tested beside the command line")]
mod blocks;
mod book;
mod classes;
mod commands;
mod compare;
mod contracts;
mod export;
mod files;
mod learning;
mod look;
mod memory;
mod runs;
mod segmenting;
#[path = "../../../zoo-weights/tests/it/server.rs"]
#[expect(dead_code, reason = "most of what a server can do wrong is tested where the server is from")]
mod server;
mod streams;
mod weights;

use std::{
    path::PathBuf,
    process::{Command, Output},
};

/// The program, ready to be given arguments, in the project's root.
fn zoo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoo"));
    command.current_dir(root()).args(arguments).env_remove("COLUMNS").env("NO_COLOR", "1");
    // Nothing that lies on the machine counts as fetched.
    let nowhere = std::env::temp_dir().join("zoo-tests-without-weights");
    command.env("HF_HOME", &nowhere).env("TORCH_HOME", &nowhere);
    command
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What it prints where all goes well.
fn printed(arguments: &[&str]) -> String {
    let output = zoo(arguments).output().unwrap();
    assert!(output.status.success(), "zoo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&printed(arguments)).unwrap()
}

/// The exit code and the sentence on stderr.
fn failed(output: &Output) -> (i32, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    (output.status.code().unwrap(), said)
}

/// Runs the program and checks its exit code and what its sentence names.
fn refused(arguments: &[&str], code: i32, names: &[&str]) {
    let (found, said) = failed(&zoo(arguments).output().unwrap());
    assert_eq!(found, code, "zoo {arguments:?}: {said}");
    for name in names {
        assert!(said.contains(name), "zoo {arguments:?} does not name `{name}`: {said}");
    }
}
