//! Grad-CAM: what speaks for a class, laid over the picture.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example grad_cam -- assets/digits/7.png seven.png
//! cargo run --release -p architecture-zoo --example grad_cam -- photo.jpg heat.png resnet50      # needs `zoo fetch resnet50`
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use zoo::Picture;
use zoo_explain::{Method, Target, explain, paint};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |place: usize, usual| arguments.get(place).map_or(usual, String::as_str);
    explained(given(0, "assets/digits/7.png"), given(1, "seven.png"), given(2, "lenet5"))
}

fn explained(from: &str, to: &str, model: &str) -> anyhow::Result<()> {
    let network = zoo::model(model)?.pretrained()?;
    let picture = Picture::open(from)?;
    let class = network.classify(&picture)?.top[0].index;

    let prepared = network.prepare().picture(&picture, from)?;
    let heat = explain(network.net()?, &prepared, Target::new(network.net()?, class)?, Method::GradCam)?;
    let beside = paint::beside(&network.prepare().seen(&picture, from)?, &heat)?;
    std::fs::write(to, paint::png(&beside)?)?;
    println!("{to}: what makes it a {}", network.prepare().class(class));
    Ok(())
}

#[test]
fn it_runs() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    explained("../../assets/digits/7.png", &folder.path().join("seven.png").to_string_lossy(), "lenet5")
}
