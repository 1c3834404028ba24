//! What texts and helps say of the command line is true: each command they show is one that it takes.

use std::{collections::BTreeSet, path::Path};

use clap::{CommandFactory, Parser, error::ErrorKind};

use crate::arguments::Cli;

#[path = "../tests/it/blocks.rs"]
#[expect(dead_code, reason = "what stands before a block is tested with those that are run")]
mod blocks;

use blocks::{called, quoted, texts};

/// Ways in which a text starts the program.
const STARTS: [&[&str]; 4] = [
    &["zoo"],
    &["cargo", "run", "--release", "-p", "zoo-cli", "--"],
    &["cargo", "run", "--release", "--package", "zoo-cli", "--"],
    &["target/release/zoo"],
];

/// What is wrong with the calls of a line, if anything.
fn faults(line: &str, may_lack: bool) -> Vec<String> {
    let calls = STARTS.iter().flat_map(|start| called(line, start));
    let fault = |words: Vec<String>| {
        let fault = Cli::try_parse_from(["zoo".to_string()].into_iter().chain(words)).err()?;
        let lacks = [
            ErrorKind::MissingRequiredArgument,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ErrorKind::MissingSubcommand,
        ];
        let asks = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
        // In a sentence a word in capitals stands for a value.
        let is_place = |word: &str| word.len() > 1 && word.chars().all(|letter| letter.is_ascii_uppercase());
        let is_value = [ErrorKind::InvalidValue, ErrorKind::ValueValidation].contains(&fault.kind());
        let may_be = lacks.contains(&fault.kind()) || is_value && line.split(' ').any(is_place);
        let is_fine = asks.contains(&fault.kind()) || may_lack && may_be;
        (!is_fine).then(|| format!("`{line}`: {fault}"))
    };
    calls.filter_map(fault).collect()
}

#[test]
fn commands_in_texts_are_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut wrong, mut shown) = (Vec::new(), 0);
    for (path, text) in texts(&root) {
        for block in blocks::blocks(&path, &text) {
            for line in block.commands() {
                shown += 1;
                wrong.extend(
                    faults(&line, false).into_iter().map(|fault| format!("{}: {fault}", block.place)),
                );
            }
        }
        for (place, part) in quoted(&path, &text) {
            if part.starts_with("zoo ") {
                wrong.extend(faults(&part, true).into_iter().map(|fault| format!("{place}: {fault}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shown > 60, "only {shown} commands were found");
}

#[test]
fn flags_in_texts_are_flags() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let command = Cli::command();
    let flags: BTreeSet<String> = command
        .get_subcommands()
        .flat_map(|command| command.get_arguments().filter_map(|argument| argument.get_long()))
        .map(|name| format!("--{name}"))
        .chain(["--help".to_string()])
        .collect();
    // Those of other programs: cargo, cargo xtask, scripts.
    let others =
        ["--workspace", "--release", "--master", "--simd", "--keep", "--model_path", "--all-targets"];
    for (path, text) in
        texts(&root).into_iter().filter(|(path, _)| path.starts_with("docs/book") || path == "README.md")
    {
        for (place, part) in quoted(&path, &text) {
            let flag = part.split([' ', '=']).next().unwrap_or_default();
            let is_known = flags.contains(flag) || others.contains(&flag);
            assert!(!flag.starts_with("--") || is_known, "{place}: no command has {flag}");
        }
    }
}

#[test]
fn examples_of_the_help_are_commands() {
    let mut shown = 0;
    for command in Cli::command().get_subcommands() {
        let help = command.get_after_help().or(command.get_after_long_help()).map(ToString::to_string);
        let help = help.unwrap_or_default();
        // What is said of a command stands behind it, at some distance.
        for line in help.lines().map(|line| line.trim().split("  ").next().unwrap_or_default()) {
            shown += usize::from(line.contains("zoo "));
            let wrong = faults(line, false);
            assert!(wrong.is_empty(), "{}: {wrong:?}", command.get_name());
        }
        assert!(help.contains("zoo "), "{} shows no example", command.get_name());
    }
    assert!(shown > 30, "only {shown} examples were found");
}

#[test]
fn what_is_no_command_is_found() {
    for line in [
        "zoo predict resnet50 photo.jpg --tpo 5",
        "find . | zoo predict resnet50 --files-from - --format jsonll",
        "cargo run --release -p zoo-cli -- sumary resnet50",
        "parallel -j 8 zoo predict resnet50 --theads 1",
    ] {
        assert_eq!(faults(line, false).len(), 1, "{line}");
    }
    assert!(faults("spark.py --zoo zoo --model mine.safetensors", false).is_empty());
}
