//! Fine-tuning in forty lines: LeNet-5, which knows ten digits, learns to tell odd from even ones.
//!
//! ```text
//! cargo run --release -p zoo --example finetune
//! ```

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use zoo::{
    Network,
    data::{Channels, Dataset, InMemory, Loader, LoaderOptions, Part, Subset, bundled_digits},
};
use zoo_train::{Recipe, RunFolder, Stage, Trainer, evaluate};

fn main() -> anyhow::Result<()> {
    let digits = bundled_digits()?;
    let mut pictures = InMemory::new(vec!["even".into(), "odd".into()], (28, 28), Channels::Grey)?;
    for index in (0..digits.len()).step_by(3) {
        let picture = digits.picture(index)?;
        pictures.add(digits.part(index), "digit", picture.pixels(), &[digits.label(index) % 2])?;
    }
    let pictures = Arc::new(pictures);
    let part = |part: Part| {
        (0..pictures.len()).filter(|index| pictures.part(*index) == Some(part)).collect::<Vec<_>>()
    };

    // The last layer is drawn anew, everything else is carried over.
    let mut network = zoo::model("lenet5")?.class_names(vec!["even".into(), "odd".into()]).pretrained()?;
    let recipe = Recipe { epochs: 3, learning_rate: 1e-3, ..Recipe::PLAIN };
    let load = |wanted: Part, options: LoaderOptions| -> anyhow::Result<Loader> {
        Ok(Loader::new(
            Arc::new(Subset::new(pictures.clone(), part(wanted))?),
            network.prepare().pipeline()?,
            options,
        )?)
    };
    let train = load(Part::Train, LoaderOptions::training(recipe.batch_size, 1))?;
    let test = load(Part::Test, LoaderOptions::testing(100))?;

    let run = tempfile::tempdir()?;
    let (folder, card) =
        (RunFolder::begin(&run.path().join("run"), &serde_json::json!({}))?, network.card()?);
    let stage = Stage {
        name: "all".into(),
        recipe,
        frozen: Vec::new(),
        train: &train,
        validation: None,
        from: None,
        class_weights: None,
    };
    let device = network.device().clone();
    let mut trainer = Trainer {
        net: network.net_mut()?,
        stages: &[stage],
        seed: 1,
        device: &device,
        folder: &folder,
        card: (Network::KEY, &card),
        identity: &serde_json::json!({}),
        every: Duration::from_secs(60),
    };
    trainer.run(&mut |_| ControlFlow::Continue(()))?;
    println!("{:.1} % of the test digits", 100.0 * evaluate(network.net()?, &test, &device)?.accuracy());
    Ok(())
}
