//! `zoo advise`, and runs that stay within so much memory.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::{json, printed, refused, zoo};

/// Pictures of two classes, as PGM files of 32x32 in colour.
fn pictures(data: &Path, each: usize) {
    for (class, base) in [("dark", 40), ("light", 170)] {
        fs::create_dir_all(data.join(class)).unwrap();
        for number in 0..each {
            let pixels = (0..3 * 32 * 32).map(|i| (base + (i * 7 + number * 13) % 60) as u8);
            let bytes: Vec<u8> = b"P6 32 32 255\n".iter().copied().chain(pixels).collect();
            fs::write(data.join(class).join(format!("{number}.ppm")), bytes).unwrap();
        }
    }
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

#[test]
fn advice_keeps_its_contract() {
    let advice = json(&["advise", "resnet50", "--memory", "2GB", "--optimizer", "adamw", "--format", "json"]);
    assert_eq!((&advice["model"], &advice["memory_bytes"]), (&"resnet50".into(), &2_000_000_000_u64.into()));
    let plain = &advice["plain"];
    assert_eq!((&plain["batch"], &plain["fits"]), (&32.into(), &false.into()));
    let bytes = |of: &Value| of["predicted_bytes"].as_u64().unwrap();
    let remedies = advice["remedies"].as_array().unwrap();
    let names: Vec<&str> = remedies.iter().map(|remedy| remedy["name"].as_str().unwrap()).collect();
    for name in [
        "smaller-batch",
        "accumulation",
        "smaller-picture",
        "smaller-variant",
        "bf16-activations",
        "cheap-checkpointing",
        "checkpointing",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    for remedy in remedies {
        assert_eq!(remedy["fits"], bytes(remedy) <= 2_000_000_000, "{remedy}");
        let saving = 1.0 - bytes(remedy) as f64 / bytes(plain) as f64;
        assert!((remedy["saving"].as_f64().unwrap() - saving).abs() < 1e-3, "{remedy}");
        assert!(remedy["slowdown"].as_f64().unwrap() > 0.0 && remedy["options"].is_object(), "{remedy}");
        let command = remedy["command"].as_str().unwrap();
        assert!(command.starts_with("zoo train ") && command.contains("--optimizer adamw"), "{command}");
    }
    let recommended = advice["recommended"].as_str().unwrap();
    let taken = remedies.iter().find(|remedy| remedy["name"] == recommended).unwrap();
    assert_eq!(taken["fits"], true);
    assert_eq!(advice["inference"].as_array().unwrap().len(), 4);
    assert!(advice["outside"][0].as_str().unwrap().contains("several devices"));
    // Dense maps may become coarser again, and what fits needs no advice.
    let dense = json(&[
        "advise",
        "resnet18",
        "--output-stride",
        "8",
        "--batch",
        "8",
        "--memory",
        "64GiB",
        "--format",
        "json",
    ]);
    assert_eq!((&dense["plain"]["fits"], &dense["recommended"]), (&true.into(), &Value::Null));
    let stride =
        dense["remedies"].as_array().unwrap().iter().find(|remedy| remedy["name"] == "larger-stride");
    assert!(stride.unwrap()["command"].as_str().unwrap().contains("--output-stride 16"));
}

/// What it says, without the figures, which depend on the machine's kernels.
#[test]
fn advice_looks_as_blessed() {
    let table = printed(&["advise", "xception", "--memory", "4GiB", "--batch", "64", "--format", "markdown"]);
    let lines: Vec<String> = table
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            format!("{} | {} | {}", cells[1], cells[5], cells[6])
        })
        .collect();
    insta::assert_snapshot!("advise_xception", lines.join("\n"));
    let text = printed(&["advise", "lenet5", "--memory", "1GB"]);
    let (_, told) = text.split_once("\n\n").unwrap();
    insta::assert_snapshot!("advise_lenet5_told", told);
    let csv = printed(&["advise", "lenet5", "--memory", "1GB", "--format", "csv"]);
    assert!(csv.starts_with("what,predicted_bytes,saving,slowdown,fits,command\nas it is,"), "{csv}");
}

/// A narrow terminal has the commands below the table, whole.
#[test]
fn no_command_is_cut() {
    let text = zoo(&["advise", "resnet18", "--memory", "1GB"]).env("COLUMNS", "80").output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    let json = json(&["advise", "resnet18", "--memory", "1GB", "--format", "json"]);
    let advised = ["remedies", "inference"].map(|part| json[part].as_array().unwrap().clone());
    for command in advised.iter().flatten().map(|line| line["command"].as_str().unwrap()) {
        assert!(text.contains(&format!(":\n  {command}\n")), "{command} in {text}");
    }
    assert!(!text.contains('…'), "{text}");
}

#[test]
fn every_command_that_is_advised_works() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data, 12);
    let data = data.to_str().unwrap();
    let call =
        ["advise", "resnet32_cifar", "--data", data, "--batch", "8", "--memory", "130MB", "--format", "json"];
    let advice = json(&call);
    let lines = advice["remedies"].as_array().unwrap().iter().chain(advice["inference"].as_array().unwrap());
    let mut tried = 0;
    for (number, line) in lines.enumerate() {
        let command = line["command"].as_str().unwrap();
        let mut call = words(command.strip_prefix("zoo ").unwrap());
        let run = folder.path().join(number.to_string());
        match call[0] {
            "train" => call.extend(["--epochs", "1", "-o", run.to_str().unwrap()]),
            _ => call.extend(["--seconds", "0"]),
        }
        printed(&call);
        tried += 1;
    }
    assert!(tried >= 9, "{tried} commands only");
}

#[test]
fn data_are_left_out_only_where_the_digits_serve() {
    let commands = |call: &[&str]| -> Vec<String> {
        let advice = json(&[call, &["--memory", "40MB", "--format", "json"]].concat());
        let lines = advice["remedies"].as_array().unwrap().iter();
        lines.filter_map(|line| line["command"].as_str().map(String::from)).collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.safetensors");
    printed(&["convert", "crates/zoo/assets/lenet5.safetensors", file.to_str().unwrap()]);
    for (call, has_data) in [
        (&["advise", "lenet5"][..], false),
        (&["advise", "lenet5", "--classes", "7"], true),
        (&["advise", file.to_str().unwrap()], true),
        (&["advise", "resnet20_cifar", "--in-channels", "1"], true),
    ] {
        let all = commands(call);
        assert!(!all.is_empty() && all.iter().all(|line| line.contains("--data") == has_data), "{all:?}");
    }
}

#[test]
fn memory_that_is_too_little_is_said_with_both_values() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data, 4);
    let data = data.to_str().unwrap();
    let out = folder.path().join("run");
    let train = |model: &str, memory: &str, names: &[&str]| {
        let call = ["train", model, "--data", data, "--memory", memory, "-o", out.to_str().unwrap()];
        refused(&call, 2, names);
        assert!(!out.exists(), "something was written");
    };
    train("vgg16", "300MB", &["`--memory` is 300.0 MB", "`vgg16`", "1.61 GB", "a smaller network"]);
    train("resnet18", "290MB", &["`--memory` is 290.0 MB", "`resnet18`", "zoo advise"]);
    train("resnet18", "much", &["'much'", "4GiB"]);
    let text = printed(&["advise", "vgg16", "--memory", "300MB"]);
    assert!(text.contains("takes 1.7") && text.contains("there are 300.0 MB"), "{text}");
    refused(&["advise", "resnet50"], 2, &["--memory"]);
    refused(&["advise", "resnet5", "--memory", "1GB"], 2, &["`resnet50`"]);
    refused(&["advise", "resnet50", "--memory", "0"], 2, &["4GiB"]);
}

/// The peak of a run under `--memory`, as the system sees it, and what it said.
#[cfg(target_os = "linux")]
fn watched(call: &[&str]) -> (u64, String) {
    use std::io::Read;
    let mut child = zoo(call).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        if let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
            peak = peak.max(kib * 1024);
        }
        std::thread::yield_now();
    }
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    (peak, said)
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_stays_within_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    pictures(&data, 180);
    let data = data.to_str().unwrap();
    for (limit, remedy) in [("400MB", "--recompute all"), ("170MB", "--accumulate")] {
        let run = folder.path().join(limit);
        let call =
            ["train", "resnet20_cifar", "--data", data, "--batch", "256", "--epochs", "1", "--memory", limit];
        let (peak, said) = watched(&[&call[..], &["-o", run.to_str().unwrap()]].concat());
        let most: u64 = limit.trim_end_matches("MB").parse().unwrap();
        assert!(said.contains(remedy), "{said}");
        assert!(peak <= most * 1_000_000, "{peak} bytes where {limit} were allowed: {said}");
    }
    // From its best on, with a new last layer that learns from features first.
    let (best, run) = (folder.path().join("170MB/best.safetensors"), folder.path().join("fine"));
    let call = ["finetune", best.to_str().unwrap(), "--data", data, "--batch", "128", "--epochs", "1"];
    let (peak, said) = watched(&[&call[..], &["--memory", "120MB", "-o", run.to_str().unwrap()]].concat());
    assert!(said.contains("all: ") && said.contains("passes for a step"), "{said}");
    assert!(peak <= 120_000_000, "{peak} bytes where 120 MB were allowed: {said}");
}
