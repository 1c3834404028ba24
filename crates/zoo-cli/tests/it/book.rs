//! The book's generated parts are what the program says now. `cargo xtask docs` writes them.
//!
//! A page of `docs/book/src` marks them by comments, and what follows is replaced up to the next empty line:
//!
//! * `<!-- $ zoo summary lenet5 -->`: a block with the command and what it prints;
//! * `<!-- | zoo compare vgg16 resnet50 --format markdown -->`: what it prints, as it is;
//! * `<!-- draw img/lenet5.svg: zoo diagram lenet5 -o FILE -->`: a picture, which the command writes;
//! * `<!-- family LeNet -->`: a table of a family's variants;
//! * `<!-- code crates/zoo/examples/pyramid.rs -->`: a program, without its heading and its test;
//! * `<!-- slow $ … -->`, `<!-- slow | … -->`: the same of commands that train, or whose last digits depend on the machine.
//!   They are run where `cargo xtask docs --slow` asks for it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use zoo::{ARCHITECTURES, Metric};
use zoo_layers::{Graph, Mode, Role};

use crate::{root, zoo};

/// What is to be done about parts that are not as they should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Check,
    Write,
    WriteSlow,
}

fn wanted() -> Wanted {
    match std::env::var("ZOO_BOOK").as_deref() {
        Ok("write") => Wanted::Write,
        Ok("slow") => Wanted::WriteSlow,
        _ => Wanted::Check,
    }
}

fn source() -> PathBuf {
    root().join("docs/book/src")
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .collect();
    pages.sort();
    pages
}

/// Words of a command line; quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Runs `zoo …` or `cargo …` in the project's root; what it prints.
fn run(line: &str) -> String {
    let words = words(line);
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let mut command = match words[0].as_str() {
        "zoo" => zoo(&arguments),
        other => {
            let mut command = Command::new(other);
            command.current_dir(root()).args(&arguments);
            command
        }
    };
    let output = command.env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A table of a family's variants.
fn family(name: &str) -> String {
    let mut text = "| name | parameters | multiply-accumulates | input | published accuracy |\n|---|---:|---:|---|---|\n".to_string();
    let variants = ARCHITECTURES.iter().filter(|architecture| architecture.family.name == name);
    for architecture in variants {
        let graph = architecture.graph().unwrap();
        let accuracy = architecture.accuracy.map_or(String::new(), |accuracy| {
            let metric = match accuracy.metric {
                Metric::Top1 => "top-1",
                Metric::Top5 => "top-5",
                Metric::MeanIou => "mean IoU",
            };
            format!("{} % {metric} ({})", accuracy.percent, accuracy.source)
        });
        let (params, macs) = totals(&graph);
        let (params, macs) = (zoo_report::thousands(params), zoo_report::count(macs));
        text +=
            &format!("| `{}` | {params} | {macs} | {} | {accuracy} |\n", architecture.name, graph.input());
    }
    assert!(text.lines().count() > 2, "no family is called {name}");
    text
}

fn totals(graph: &Graph) -> (u64, u64) {
    let active = graph.active(Mode::Eval);
    let layers = graph.nodes().filter(|(node, _)| active.contains(*node));
    layers.fold((0, 0), |(params, macs), (_, layer)| {
        (params + layer.elements(Role::Trainable) as u64, macs + layer.macs)
    })
}

/// What should stand behind a mark; none if it is slow, and nobody asked for that.
fn generated(mark: &str, wanted: Wanted) -> Option<String> {
    let (mark, is_slow) = mark.strip_prefix("slow ").map_or((mark, false), |mark| (mark, true));
    if is_slow && wanted != Wanted::WriteSlow {
        return None;
    }
    if let Some(line) = mark.strip_prefix("$ ") {
        return Some(format!("```text\n$ {line}\n{}\n```\n", run(line).trim_end()));
    }
    if let Some(line) = mark.strip_prefix("| ") {
        return Some(run(line));
    }
    if let Some(name) = mark.strip_prefix("family ") {
        return Some(family(name));
    }
    if let Some(path) = mark.strip_prefix("code ") {
        let program = fs::read_to_string(root().join(path)).unwrap();
        let program = program.split("\n\n#[test]").next().unwrap();
        let lines = program
            .lines()
            .skip_while(|line| line.starts_with("//!") || line.starts_with("#!") || line.is_empty());
        return Some(format!("```rust\n{}\n```\n", lines.collect::<Vec<_>>().join("\n")));
    }
    let (name, line) = mark.strip_prefix("draw ").and_then(|mark| mark.split_once(": ")).expect(mark);
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join(Path::new(name).file_name().unwrap());
    run(&line.replace("FILE", drawn.to_str().unwrap()));
    let (drawn, place) = (fs::read(drawn).unwrap(), source().join(name));
    if wanted == Wanted::Check {
        assert!(
            fs::read(&place).is_ok_and(|there| there == drawn),
            "{name} is stale; run `cargo xtask docs`"
        );
    } else {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, drawn).unwrap();
    }
    let title = line.trim_end_matches(" -o FILE").trim_end_matches(" --plot FILE");
    // It is as wide as the page, and a click shows it at its size.
    Some(format!("[![{title}]({name})]({name})\n"))
}

#[test]
fn generated_parts_are_what_the_program_says() {
    let wanted = wanted();
    let mut marks = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let mut told = String::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            told += line;
            told.push('\n');
            let mark = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
            // What is only run, `commands.rs` runs.
            let Some(mark) = mark.filter(|mark| *mark != "run") else { continue };
            marks += 1;
            let mut there = String::new();
            let is_block = lines.peek().is_some_and(|line| line.starts_with("```"));
            while let Some(line) = lines.peek().filter(|line| is_block || !line.is_empty()) {
                let ends = is_block && !there.is_empty() && *line == "```";
                there += line;
                there.push('\n');
                lines.next();
                if ends {
                    break;
                }
            }
            let should = generated(mark, wanted).unwrap_or_else(|| there.clone());
            if wanted == Wanted::Check {
                assert!(
                    !there.is_empty(),
                    "{}: nothing stands behind `{mark}`; run `cargo xtask docs --slow`",
                    page.display()
                );
                assert_eq!(there, should, "{}: `{mark}` is stale; run `cargo xtask docs`", page.display());
            }
            told += &should;
        }
        if wanted != Wanted::Check && told != text {
            fs::write(&page, told).unwrap();
        }
    }
    assert!(marks > 30, "only {marks} generated parts were found");
}

#[test]
fn the_books_links_lead_somewhere() {
    let summary = fs::read_to_string(source().join("SUMMARY.md")).unwrap();
    let mut drawn = BTreeSet::new();
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap().to_string();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "SUMMARY.md does not list {name}"
        );
        let text = fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            let path = target.split('#').next().unwrap();
            assert!(source().join(path).exists(), "{name} leads to {target}, which is not there");
            drawn.extend(path.strip_prefix("img/").map(String::from));
        }
    }
    for entry in fs::read_dir(source().join("img")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(drawn.contains(&name), "no page shows img/{name}");
    }
}
