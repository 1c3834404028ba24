//! Fine-tuning in forty lines: LeNet-5, which knows ten digits, learns to tell odd from even ones.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example finetune
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use serde_json::json;
use zoo::Network;
use zoo::data::{Channels, Dataset, InMemory, Loader, LoaderOptions, Part, Subset, bundled_digits};
use zoo_train::{Recipe, RunFolder, Stage, Trainer};

fn main() -> anyhow::Result<()> {
    let (digits, names) = (bundled_digits()?, vec!["even".to_string(), "odd".to_string()]);
    let mut pictures = InMemory::new(names.clone(), (28, 28), Channels::Grey)?;
    for index in (0..digits.len()).step_by(3) {
        let picture = digits.picture(index)?;
        pictures.add(digits.part(index), "digit", picture.pixels(), &[digits.label(index) % 2])?;
    }
    let pictures = Arc::new(pictures);
    // The last layer is drawn anew, everything else is carried over.
    let mut network = zoo::model("lenet5")?.class_names(names).pretrained()?;
    let pipeline = network.prepare().pipeline()?;
    let load = |part: Part, options: LoaderOptions| -> anyhow::Result<Loader> {
        let own = (0..pictures.len()).filter(|index| pictures.part(*index) == Some(part)).collect();
        Ok(Loader::new(Arc::new(Subset::new(pictures.clone(), own)?), pipeline.clone(), options)?)
    };
    let recipe = Recipe { epochs: 3, learning_rate: 1e-3, ..Recipe::PLAIN };
    let stage = Stage {
        name: "all".into(),
        train: &load(Part::Train, LoaderOptions::training(recipe.batch_size, 1))?,
        validation: Some(&load(Part::Test, LoaderOptions::testing(100))?),
        recipe,
        frozen: Vec::new(),
        from: None,
        class_weights: None,
    };
    let (run, card, device) = (tempfile::tempdir()?, network.card()?, network.device().clone());
    let mut trainer = Trainer {
        net: network.net_mut()?,
        stages: &[stage],
        seed: 1,
        device: &device,
        folder: &RunFolder::begin(&run.path().join("run"), &json!({}))?,
        card: (Network::KEY, &card),
        identity: &json!({}),
        every: Duration::from_secs(60),
    };
    trainer.run(&mut |progress| {
        if let Some(top1) = progress.done.and_then(|epoch| epoch.validation_top1) {
            println!("epoch {}: {:.1} % of the others", progress.epoch.0, 100.0 * top1);
        }
        ControlFlow::Continue(())
    })?;
    Ok(())
}

#[test]
fn it_runs() -> anyhow::Result<()> {
    main()
}
