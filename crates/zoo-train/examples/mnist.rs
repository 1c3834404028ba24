//! Trains a LeNet on the bundled digits, and says how it went:
//!
//! ```text
//! cargo run --release -p zoo-train --example mnist -- lenet5 42 [lenet5.safetensors]
//! ```
//!
//! With `split` in place of the file it learns from the first 7,000 of the 8,000 digits and is judged on the
//! other 1,000: recipes are chosen that way, never on the test digits.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::time::Instant;

use candle_core::Device;
use zoo_train::{Recipe, Run};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (model, seed, file) = match &arguments[..] {
        [model, seed] => (model, seed.parse()?, None),
        [model, seed, file] => (model, seed.parse()?, Some(file)),
        _ => return Err("call it with a network, a seed, and perhaps a file or `split`".into()),
    };
    let graph = match model.as_str() {
        "lenet5" => zoo_lenet::lenet5()?,
        "lenet5_paper" => zoo_lenet::lenet5_paper()?,
        "mnist_convnet" => zoo_lenet::mnist_convnet()?,
        other => return Err(format!("`{other}` is none of lenet5, lenet5_paper, mnist_convnet").into()),
    };
    let recipe = Recipe::for_model(model).ok_or("there is no recipe for it")?;
    let split = file.is_some_and(|file| file == "split");
    let (mut digits, mut test) = zoo_data::digits::bundled()?;
    if split {
        let all: Vec<usize> = (0..digits.len()).collect();
        let (learn, judge) = all.split_at(7000);
        (digits, test) = (digits.select(learn), digits.select(judge));
    }

    let start = Instant::now();
    let mut out = io::stdout();
    let run = Run { graph: &graph, digits: &digits, test: &test, recipe: &recipe, seed, device: &Device::Cpu };
    let trained = run.train(|progress| {
        if let Some(score) = progress.test {
            let (epoch, loss, seconds) = (progress.epoch, progress.loss, start.elapsed().as_secs());
            // A closed pipe is no reason to stop training.
            let _ = writeln!(out, "{epoch:3}  {seconds:5} s  loss {loss:.4}  {}/{}", score.correct, score.digits);
        }
    })?;
    let accuracy = 100.0 * trained.score().accuracy();
    writeln!(io::stdout(), "{model}, seed {seed}: {accuracy:.2} % in {} s", start.elapsed().as_secs())?;
    if let Some(file) = file.filter(|_| !split) {
        trained.save(file)?;
    }
    Ok(())
}
