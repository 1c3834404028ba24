//! The commands that the project's texts show: fenced blocks of them, and those within a sentence.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A fenced block of a text.
pub(crate) struct Block {
    /// The file, from the project's root, and the line of the fence.
    pub(crate) place: String,
    /// The paragraph before the fence, in one line, or the comment.
    pub(crate) before: String,
    /// What stands behind the opening fence.
    pub(crate) language: String,
    pub(crate) lines: Vec<String>,
}

/// Programs that a text may start.
const PROGRAMS: [&str; 13] = [
    "zoo",
    "cargo",
    "find",
    "parallel",
    "dot",
    "pip",
    "python",
    "python3",
    "curl",
    "docker",
    "examples/scale/run.sh",
    ".ci/run",
    "git",
];

impl Block {
    /// Its command lines, each in one piece and without its comment. What a command prints is none.
    pub(crate) fn commands(&self) -> Vec<String> {
        if !["", "text", "sh"].contains(&self.language.as_str()) {
            return Vec::new();
        }
        let mut commands: Vec<String> = Vec::new();
        let mut goes_on = false;
        let is_shown = self.lines.iter().any(|line| line.starts_with("$ "));
        for line in &self.lines {
            let line = line.split(" #").next().unwrap_or_default().trim_end();
            let (line, more) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
            let told = if is_shown { line.strip_prefix("$ ") } else { Some(line) };
            if goes_on {
                let last = commands.last_mut().expect("a line that goes on has begun");
                *last += " ";
                *last += line.trim();
            } else if let Some(line) = told.filter(|line| begins(line)) {
                commands.push(line.trim().to_string());
            } else {
                continue;
            }
            goes_on = more;
        }
        commands
    }
}

/// Whether a line begins with a program, variables for it left out.
fn begins(line: &str) -> bool {
    program(line).is_some_and(|name| PROGRAMS.contains(&name))
}

fn program(line: &str) -> Option<&str> {
    line.split(' ').find(|word| {
        !word
            .split_once('=')
            .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    })
}

/// The texts with commands, from the project's root.
pub(crate) fn texts(root: &Path) -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "benches/README.md", "examples/scale/README.md"]
            .map(PathBuf::from)
            .to_vec();
    for folder in ["docs", "docs/book/src"] {
        let entries = fs::read_dir(root.join(folder)).expect("the texts are there");
        let files =
            entries.map(|entry| Path::new(folder).join(entry.expect("a folder can be read").file_name()));
        paths.extend(files.filter(|path| path.extension().is_some_and(|ending| ending == "md")));
    }
    for entry in fs::read_dir(root.join("crates")).expect("the crates are there") {
        paths.push(
            Path::new("crates").join(entry.expect("a folder can be read").file_name()).join("README.md"),
        );
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.to_string_lossy().replace('\\', "/"), text)
    };
    paths.into_iter().map(read).collect()
}

/// All fenced blocks of a text.
pub(crate) fn blocks(path: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    let (mut before, mut goes_on) = (String::new(), false);
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                let place = format!("{path}:{}", number + 1);
                let (before, language) = (before.clone(), language.to_string());
                open = Some(Block { place, before, language, lines: Vec::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.lines.push(line.to_string()),
            (None, None) if goes_on && !line.is_empty() && !line.starts_with("<!-- ") => {
                before.push(' ');
                before += line;
            }
            (None, None) if !line.is_empty() => before = line.to_string(),
            (None, None) => {}
        }
        goes_on = !line.is_empty();
    }
    assert!(open.is_none(), "{path}: a block has no end");
    found
}

/// What stands between backticks in a text's sentences, with the line in which its paragraph ends.
pub(crate) fn quoted(path: &str, text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut is_block, mut paragraph) = (false, String::new());
    for (number, line) in text.lines().chain([""]).enumerate() {
        let is_fence = line.starts_with("```");
        if is_fence || line.is_empty() || line.starts_with(['|', '*', '#']) {
            let parts = paragraph.split('`').skip(1).step_by(2).map(String::from);
            found.extend(parts.map(|part| (format!("{path}:{number}"), part)));
            paragraph.clear();
        }
        is_block ^= is_fence;
        if !is_block && !is_fence && !line.starts_with("<!-- ") {
            paragraph += line.trim();
            paragraph.push(' ');
        }
    }
    found
}

/// The words of a command line; quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if letter == open => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().expect("there is a word from the beginning").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The words that come behind a program's name, wherever in a line it is started.
pub(crate) fn called(line: &str, name: &[&str]) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for part in words(line).split(|word| ["|", "||", "&&", ";"].contains(&word.as_str())) {
        let is_name = |words: &[String]| words.iter().zip(name).all(|(word, name)| word == name);
        let mut starts =
            (0..part.len()).filter(|start| part.len() - start >= name.len() && is_name(&part[*start..]));
        // A word that only looks so, as in `--zoo zoo`, does not start it.
        let start = starts.find(|start| *start == 0 || !part[start - 1].starts_with("--"));
        if let Some(start) = start {
            let rest = part[start + name.len()..].iter();
            calls.push(rest.take_while(|word| !word.starts_with('>')).cloned().collect());
        }
    }
    calls
}
