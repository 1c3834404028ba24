//! What texts say of `cargo xtask` is true: each chore they show is one that it takes.

use std::path::Path;

use clap::{Parser, error::ErrorKind};

use crate::Cli;

#[path = "../../crates/zoo-cli/tests/it/blocks.rs"]
#[expect(dead_code, reason = "what stands before a block is tested with those that are run")]
mod blocks;

use blocks::{called, quoted, texts};

#[test]
fn chores_in_texts_are_chores() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut shown = 0;
    for (path, text) in texts(&root) {
        let blocks = blocks::blocks(&path, &text).into_iter();
        let lines = blocks
            .flat_map(|block| block.commands().into_iter().map(move |line| (block.place.clone(), line)));
        for (place, line) in lines.chain(quoted(&path, &text)) {
            for call in called(&line, &["cargo", "xtask"]) {
                // What may be left out stands in brackets.
                let words = call.into_iter().take_while(|word| !word.starts_with('['));
                let fault = Cli::try_parse_from(["xtask".to_string()].into_iter().chain(words)).err();
                let lacks =
                    [ErrorKind::MissingSubcommand, ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand];
                let fault = fault.filter(|fault| !lacks.contains(&fault.kind()));
                assert!(
                    fault.is_none(),
                    "{place}: `{line}`: {}",
                    fault.map_or(String::new(), |fault| fault.to_string())
                );
                shown += 1;
            }
        }
    }
    assert!(shown > 10, "only {shown} chores were found");
}
