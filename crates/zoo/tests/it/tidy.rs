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
        ("zoo-fcn", &["zoo-vgg", "zoo-resnet", "zoo-xception"]),
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

/// What an architecture crate has no business with, by the words that reach it: files, network, environment, threads,
/// the terminal, the clock.
const OUTSIDE: [&str; 11] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "std::time",
    "env!(",
    "include_bytes!",
    "include_str!",
    "rayon",
];

#[test]
fn architectures_touch_nothing_but_their_graphs() {
    for (package, beside) in FLOORS[2] {
        let folder = format!("crates/{package}/src/");
        let own = sources().into_iter().filter(|(path, _)| path.starts_with(&folder));
        for (path, text) in own {
            for word in OUTSIDE {
                assert!(
                    !code(&text).any(|line| line.contains(word)),
                    "{path} says `{word}`: an architecture is a value"
                );
            }
        }
        let needed = dependencies(&manifest(package));
        let allowed = |name: &String| name == "zoo-layers" || beside.contains(&name.as_str());
        assert!(needed.iter().all(allowed), "{package} depends on more than graphs: {needed:?}");
    }
}

/// A file's lines without its comments and the tests at its end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines.filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn only_the_facade_lists_architectures() {
    let listed: Vec<String> = zoo::ARCHITECTURES.iter().map(|line| format!("\"{}\"", line.name)).collect();
    // Beside the registry: recipes and the names of Keras' layers, which are data as the manifest of weights is, and what is
    // tried, shown or measured.
    let named = [
        "crates/zoo/src/registry.rs",
        "crates/zoo-train/src/recipe.rs",
        "crates/zoo-weights/src/keys/keras.rs",
        "xtask/src/memory.rs",
    ];
    let tried = ["/tests/", "/tests.rs", "/examples/", "benches/", "xtask/src/peers/"];
    let homes = [&named[..], &tried[..]].concat();
    for (path, text) in sources() {
        let own = FLOORS[2].iter().any(|(package, _)| path.starts_with(&format!("crates/{package}/")));
        if own || homes.iter().any(|home| path.contains(home)) {
            continue;
        }
        let code: String = code(&text).collect();
        let named: Vec<&String> = listed.iter().filter(|name| code.contains(*name)).collect();
        assert!(named.len() < 5, "{path} has a list of its own: {named:?}");
    }
    // A bench measures a paper's block by itself.
    let others = FLOORS[3].iter().chain(FLOORS[5]).filter(|(package, _)| *package != "zoo-bench");
    for (package, _) in others {
        let of = dependencies(&manifest(package));
        let known = FLOORS[2].iter().find(|(architecture, _)| of.iter().any(|name| name == architecture));
        assert_eq!(known, None, "{package} knows an architecture by its crate; `zoo` has them all");
    }
}

#[test]
fn flags_and_commands_are_named_by_the_programs_alone() {
    for (path, text) in sources() {
        let library =
            path.starts_with("crates/") && path.contains("/src/") && !path.starts_with("crates/zoo-cli/");
        if !library || path.ends_with("/tests.rs") {
            continue;
        }
        for line in code(&text) {
            let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            // A sentence that goes on on lines of its own has no quote at its beginning.
            let said = if quoted.is_empty() { vec![line] } else { quoted };
            let is_flag = |word: &str| {
                let name = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '-');
                name.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
            };
            let named = said.iter().any(|text| {
                text.contains("`zoo ") || text.contains("cargo xtask") || text.split(' ').any(is_flag)
            });
            assert!(!named, "{path} speaks of the command line: {}", line.trim());
        }
    }
}

#[test]
fn random_numbers_are_our_own() {
    for (path, text) in sources() {
        if path.contains("/src/") && !path.starts_with("xtask/") {
            for word in ["Tensor::rand(", "Tensor::randn(", "::rand_like(", "rand::rng", "thread_rng"] {
                assert!(
                    !code(&text).any(|line| line.contains(word)),
                    "{path} draws by `{word}`, which has no seed"
                );
            }
        }
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
