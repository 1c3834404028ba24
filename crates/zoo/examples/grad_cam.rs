//! Grad-CAM: what speaks for a class, laid over the picture.
//!
//! ```text
//! cargo run --release -p zoo --example grad_cam -- assets/digits/7.png seven.png
//! cargo run --release -p zoo --example grad_cam -- photo.jpg heat.png resnet50      # needs `zoo fetch resnet50`
//! ```

use zoo::Picture;
use zoo_explain::{Method, Target, explain, paint};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (from, to) = match arguments.as_slice() {
        [from, to, ..] => (from.as_str(), to.as_str()),
        _ => ("assets/digits/7.png", "seven.png"),
    };
    let network = zoo::model(arguments.get(2).map_or("lenet5", String::as_str))?.pretrained()?;
    let picture = Picture::open(from.as_ref())?;
    let class = network.classify(&picture)?.top[0].index;

    let prepared = network.prepare().picture(&picture, from)?;
    let heat = explain(network.net()?, &prepared, Target::new(network.net()?, class)?, Method::GradCam)?;
    let beside = paint::beside(&network.prepare().seen(&picture, from)?, &heat)?;
    std::fs::write(to, paint::png(&beside)?)?;
    println!("{to}: what makes it a {}", network.prepare().class(class));
    Ok(())
}
