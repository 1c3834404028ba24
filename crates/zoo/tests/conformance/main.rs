//! What every architecture of the registry must do, whatever it is: a case for each, under its name.
//!
//! `cargo test -p architecture-zoo --test conformance resnet` runs those whose names hold `resnet`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod checks;
#[path = "../common/figures.rs"]
mod figures;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use zoo::{ARCHITECTURES, Architecture};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each holds its weights up to three times over, and VGG's are half a gigabyte: two at once are enough.
    arguments.test_threads.get_or_insert(2);
    let case = |architecture: &'static Architecture| {
        Trial::test(architecture.name, move || {
            conforms(architecture);
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, ARCHITECTURES.iter().map(case).collect()).exit_code()
}

/// All checks on one set of fresh weights, at a size that is kind to large networks.
fn conforms(architecture: &Architecture) {
    let graph = architecture.graph().unwrap();
    checks::figures_and_names(&graph);
    let side = checks::small_pictures_are_refused(&graph);
    let graph = graph.at_size(side, side).unwrap();
    let net = graph.init(1).unwrap();
    checks::every_parameter_learns(&net);
    checks::answers_depend_on_nothing_else(&net);
    checks::the_engine_agrees(&net);
    checks::saved_and_loaded_it_is_the_same(net);
}
