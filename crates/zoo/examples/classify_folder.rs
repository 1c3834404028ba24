//! Classifies every picture in a folder: the likeliest class and how likely it is, a line for each.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example classify_folder -- assets/digits           # LeNet-5's weights are inside
//! cargo run --release -p architecture-zoo --example classify_folder -- photos/ resnet50        # needs `zoo fetch resnet50`
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use zoo::{Picture, Prepare, data::folder};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "assets/digits".into());
    classify(&path, &arguments.next().unwrap_or_else(|| "lenet5".into()))
}

fn classify(path: &str, model: &str) -> anyhow::Result<()> {
    let net = zoo::model(model)?.pretrained()?;
    let found = folder::pictures(path.as_ref())?.into_iter();
    let pictures = found.filter_map(|found| match found {
        folder::Found::Picture(path) => Some(path),
        folder::Found::LeftOut(_) => None,
    });
    // Pictures are read on other threads while the network answers, few at a time, however many there are.
    let read = |path: &std::path::PathBuf, prepare: &Prepare| {
        prepare.picture(&Picture::open(path)?, &zoo::data::shown(path))
    };
    for next in net.stream(pictures, read).top(1) {
        let (path, answer) = next?;
        match answer {
            Ok(answer) => println!(
                "{}: {} ({:.1} %)",
                path.display(),
                answer.top[0].label,
                100.0 * answer.top[0].probability
            ),
            Err(fault) => println!("{}: {fault}", path.display()),
        }
    }
    Ok(())
}

#[test]
fn it_runs() -> anyhow::Result<()> {
    classify("../../assets/digits", "lenet5")
}
