//! The rules of the house that no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Crates by floor: each may depend on those of lower floors, and on the ones named beside it.
const FLOORS: &[&[(&str, &[&str])]] = &[
    &[("zoo-base", &[]), ("zoo-kernels", &[])],
    &[("zoo-layers", &[]), ("zoo-data", &[]), ("zoo-weights", &[])],
    &[
        ("zoo-lenet", &[]),
        ("zoo-alexnet", &[]),
        ("zoo-vgg", &[]),
        ("zoo-googlenet", &[]),
        ("zoo-inception", &[]),
        ("zoo-resnet", &[]),
        ("zoo-xception", &[]),
        ("zoo-mobilenet", &[]),
        ("zoo-senet", &["zoo-resnet"]),
        ("zoo-fcn", &["zoo-vgg", "zoo-resnet"]),
    ],
    &[("zoo-engine", &[]), ("zoo-explain", &[]), ("zoo-onnx", &[]), ("zoo-report", &[]), ("zoo-train", &[])],
    &[("zoo", &[])],
    &[("zoo-cli", &[]), ("zoo-bench", &[])],
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The names under `[dependencies]` of a crate's manifest.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let section = text.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = section.take_while(|line| !line.starts_with('['));
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or_default().to_string();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(name).collect()
}

fn manifest(package: &str) -> PathBuf {
    match package {
        "zoo-bench" => root().join("benches/Cargo.toml"),
        _ => root().join("crates").join(package).join("Cargo.toml"),
    }
}

#[test]
fn arrows_go_down_only() {
    for (height, floor) in FLOORS.iter().enumerate() {
        for (package, beside) in *floor {
            for dependency in dependencies(&manifest(package)).iter().filter(|name| name.starts_with("zoo")) {
                let below = FLOORS[..height]
                    .iter()
                    .flat_map(|floor| floor.iter())
                    .any(|(name, _)| name == dependency);
                let allowed = below || beside.contains(&dependency.as_str());
                assert!(allowed, "{package} may not depend on {dependency}: see docs/ARCHITECTURE.md");
                let architecture = height == 2;
                assert!(
                    !architecture || dependency == "zoo-layers" || beside.contains(&dependency.as_str()),
                    "{package} describes networks, and needs nothing of {dependency}"
                );
            }
        }
    }
}

#[test]
fn every_crate_has_its_floor() {
    let known: Vec<&str> = FLOORS.iter().flat_map(|floor| floor.iter().map(|(name, _)| *name)).collect();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "{name} stands on no floor of tidy.rs");
    }
}

#[test]
fn candle_and_the_terminal_stay_where_they_belong() {
    for package in ["zoo-base", "zoo-kernels", "zoo-weights", "zoo-data"] {
        let candle = dependencies(&manifest(package)).into_iter().find(|name| name.starts_with("candle"));
        assert_eq!(candle, None, "{package} knows no candle");
    }
    for (package, _) in FLOORS[2] {
        let text = fs::read_to_string(manifest(package)).unwrap();
        assert!(!text.contains("[features]"), "{package} has no Cargo features");
    }
    for (path, text) in sources() {
        let prints = ["println!", "eprintln!", "print!(", "eprint!("].iter().any(|word| text.contains(word));
        let may = ["crates/zoo-cli/", "xtask/", "/examples/", "/tests/", "/benches/"];
        let quoted = path.ends_with("tidy.rs");
        assert!(!prints || quoted || may.iter().any(|part| path.contains(part)), "{path} prints");
    }
}

/// Every Rust file of the project with its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("xtask"), root().join("benches")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 50, "only {} files were found", found.len());
    found
}

#[test]
fn files_are_short_headed_and_finished() {
    for (path, text) in sources() {
        assert!(
            text.starts_with("//!") || text.starts_with("#!"),
            "{path} does not begin with what it is (`//!`)"
        );
        let lines = text.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines; a file holds one idea, in 500 at most");
        // Written apart, so that this file does not name itself.
        for word in
            [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[", "ignore"), concat!("#[", "allow(")]
        {
            assert!(!text.contains(word), "{path} says `{word}`");
        }
        assert!(
            !text.lines().any(|line| line.ends_with([' ', '\t'])),
            "{path} has blanks at the end of a line"
        );
    }
}

#[test]
fn unsafe_code_is_argued_and_stays_in_its_crates() {
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        let blocks = text.matches("unsafe {").count();
        let allowed = path.starts_with("crates/zoo-kernels/") || path == "crates/zoo-weights/src/file.rs";
        assert!(blocks == 0 || allowed, "{path} has {blocks} unsafe blocks");
    }
}
