//! The commands and programs that README, book and other texts show: each is run here or by another test, or says what it
//! needs. Whether its flags exist is tested beside the command line, in `src/documented.rs`, and in xtask.

use std::{fs, path::Path, process::Command};

use crate::{
    blocks::{Block, blocks, called, texts},
    root,
};

/// Whether a comment before the block says that a test runs it.
fn is_run(block: &Block) -> bool {
    block.before == "<!-- run -->"
}

fn all() -> impl Iterator<Item = Block> {
    texts(&root()).into_iter().flat_map(|(path, text)| blocks(&path, &text))
}

#[test]
fn commands_are_run_or_say_what_they_need() {
    for block in all().filter(|block| !block.commands().is_empty()) {
        let is_generated = ["<!-- $ ", "<!-- slow $ "].iter().any(|mark| block.before.starts_with(mark));
        let says = block.before.starts_with("*Needs ") && block.before.ends_with(".*");
        assert!(
            is_run(&block) || is_generated || says,
            "{}: commands that nothing runs need a line `*Needs ….*` before them, not `{}`",
            block.place,
            block.before
        );
    }
}

#[cfg(unix)]
#[test]
fn commands_that_need_nothing_run() {
    let program = Path::new(env!("CARGO_BIN_EXE_zoo")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let nowhere = std::env::temp_dir().join("zoo-tests-without-weights");
    let mut run = 0;
    for block in all().filter(is_run) {
        let folder = tempfile::tempdir().unwrap();
        for name in ["assets", "crates"] {
            std::os::unix::fs::symlink(root().join(name).canonicalize().unwrap(), folder.path().join(name))
                .unwrap();
        }
        for line in block.commands() {
            let mut command = Command::new("sh");
            command.args(["-c", &line]).current_dir(folder.path()).env("PATH", &path);
            command.env("HF_HOME", &nowhere).env("TORCH_HOME", &nowhere);
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: `{line}`: {said}", block.place);
            run += 1;
        }
    }
    assert!(run > 15, "only {run} commands were run");
}

#[test]
fn what_other_programs_are_given_is_there() {
    let packages: Vec<String> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([root().join("benches")])
        .map(|path| fs::read_to_string(path.join("Cargo.toml")).unwrap())
        .map(|text| text.split("name = \"").nth(1).unwrap().split('"').next().unwrap().to_string())
        .collect();
    for block in all() {
        for line in block.commands() {
            let place = &block.place;
            for call in called(&line, &["cargo"]) {
                let value = |names: &[&str]| {
                    let at = call.iter().position(|word| names.contains(&word.as_str()))?;
                    call.get(at + 1)
                };
                if let Some(package) = value(&["-p", "--package"]) {
                    assert!(packages.contains(package), "{place}: no package is called {package}");
                }
                if let Some(example) = value(&["--example"]) {
                    let is_there = fs::read_dir(root().join("crates")).unwrap().any(|found| {
                        let folder = found.unwrap().path().join("examples");
                        folder.join(format!("{example}.rs")).exists() || folder.join(example).is_dir()
                    });
                    assert!(is_there, "{place}: no example is called {example}");
                }
                if let Some(path) = value(&["--path"]) {
                    assert!(
                        root().join(path).join("Cargo.toml").exists(),
                        "{place}: no package lies in {path}"
                    );
                }
            }
            for name in ["python", "python3"] {
                for call in called(&line, &[name]) {
                    let script = fs::read_to_string(root().join(&call[0]));
                    let script = script.unwrap_or_else(|error| panic!("{place}: {}: {error}", call[0]));
                    for flag in call.iter().filter(|word| word.starts_with("--")) {
                        assert!(
                            script.contains(&format!("\"{flag}\"")),
                            "{place}: {} has no {flag}",
                            call[0]
                        );
                    }
                }
            }
        }
    }
}

/// A program without its comments, the marks of a documentation's lines and its blanks.
fn bare(text: &str) -> String {
    let line = |line: &str| {
        let line = line.trim_start();
        let line = ["///", "//!"].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
        line.split("//").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn programs_in_texts_are_compiled_somewhere() {
    let mut sources = String::new();
    let mut folders = vec![root().join("crates"), root().join("examples")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let ending = path.extension().unwrap_or_default().to_os_string();
            if path.is_dir() {
                folders.push(path);
            } else if ending == "rs" || ending == "py" {
                sources += &bare(&fs::read_to_string(&path).unwrap());
                sources.push('\n');
            }
        }
    }
    let mut found = 0;
    // What ARCHITECTURE.md shows are sketches.
    let shown = all().filter(|block| !block.place.starts_with("docs/ARCHITECTURE.md"));
    for block in shown.filter(|block| ["rust", "python"].contains(&block.language.as_str())) {
        let program = bare(&block.lines.join("\n"));
        assert!(sources.contains(&program), "{}: neither a test nor an example has\n{program}", block.place);
        found += 1;
    }
    assert!(found > 8, "only {found} programs were found");
}
