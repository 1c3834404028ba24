//! Questions from the classroom, asked of networks that are trained for the answer:
//!
//! ```text
//! cargo run --release -p architecture-zoo --example classroom -- dense     # why a convolution and not a dense layer?
//! cargo run --release -p architecture-zoo --example classroom -- pool      # max pooling, or a convolution with a stride?
//! cargo run --release -p architecture-zoo --example classroom -- norm      # what does local response normalisation bring?
//! ```
//!
//! Each trains two networks on the 8,000 digits inside the program, with the same recipe and three seeds, and prints a
//! table in Markdown. `--epochs N` trains longer than six.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use candle_core::Device;
use serde_json::json;
use zoo::data::{Dataset, Loader, LoaderOptions, Part, Pipeline, Preprocess, Subset, bundled_digits};
use zoo::layers::{Conv2d, Graph, Linear, LocalResponseNorm, MaxPool2d, Node, Result, Scope, Shape};
use zoo_train::{Recipe, RunFolder, Stage, Trainer, evaluate};

type Describe = fn(&mut Scope<'_>, Node) -> Result<Node>;

/// A question and the networks that answer it.
fn contestants(question: &str) -> Option<[(&'static str, Describe); 2]> {
    Some(match question {
        "dense" => [("two dense layers", dense), ("two convolutions", convolutions)],
        "pool" => [("max pools", convolutions), ("strides instead", strided)],
        "norm" => [("without", convolutions), ("with response norm", normalised)],
        _ => return None,
    })
}

fn dense(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let x = net.flatten(x)?; // (n, 784)
    let x = net.linear(x, Linear::new(128), "hidden1")?;
    let x = net.relu(x)?;
    let x = net.linear(x, Linear::new(64), "hidden2")?;
    net.relu(x)
}

fn convolutions(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let x = net.conv(x, Conv2d::k5(8), "conv1")?; // (n, 8, 28, 28)
    let x = net.relu(x)?;
    let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool1")?;
    let x = net.conv(x, Conv2d::k5(16), "conv2")?; // (n, 16, 14, 14)
    let x = net.relu(x)?;
    let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool2")?; // (n, 16, 7, 7)
    net.flatten(x)
}

fn strided(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let x = net.conv(x, Conv2d::k5(8).stride(2), "conv1")?; // (n, 8, 14, 14)
    let x = net.relu(x)?;
    let x = net.conv(x, Conv2d::k5(16).stride(2), "conv2")?; // (n, 16, 7, 7)
    let x = net.relu(x)?;
    net.flatten(x)
}

fn normalised(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let norm = LocalResponseNorm { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };
    let x = net.conv(x, Conv2d::k5(8), "conv1")?;
    let x = net.relu(x)?;
    let x = net.add_op(norm, &[x], "norm1")?;
    let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool1")?;
    let x = net.conv(x, Conv2d::k5(16), "conv2")?;
    let x = net.relu(x)?;
    let x = net.add_op(norm, &[x], "norm2")?;
    let x = net.max_pool(x, MaxPool2d::new(2, 2), "pool2")?;
    net.flatten(x)
}

/// The network's hidden part with a classifier behind it.
fn graph(name: &str, describe: Describe) -> Result<Graph> {
    Graph::build(name, Shape::map(1, 28, 28), |net, picture| {
        let features = describe(net, picture)?;
        let logits = net.linear(features, Linear::new(10), "classifier")?;
        net.output("logits", logits)
    })
}

/// The digits of a part, in batches.
fn digits(part: Part, options: LoaderOptions) -> anyhow::Result<Loader> {
    let all = bundled_digits()?;
    let own = (0..all.len()).filter(|index| all.part(*index) == Some(part)).collect();
    let prepare = Preprocess {
        input: [1, 28, 28],
        mean: [0.1307; 3],
        std: [0.3081; 3],
        ..Preprocess::imagenet(28, 28).unscaled()
    };
    let pipeline = Pipeline::plain(prepare);
    Ok(Loader::new(Arc::new(Subset::new(Arc::new(all), own)?), pipeline, options)?)
}

/// Trains a network from a seed; the share of the test digits that it tells, in percent.
fn trained(graph: &Graph, seed: u64, epochs: usize) -> anyhow::Result<f64> {
    let recipe = Recipe { epochs, ..Recipe::PLAIN };
    let (train, test) = (
        digits(Part::Train, LoaderOptions::training(recipe.batch_size, seed))?,
        digits(Part::Test, LoaderOptions::testing(100))?,
    );
    let folder = tempfile::tempdir()?;
    let folder = RunFolder::begin(&folder.path().join("run"), &json!({}))?;
    let mut net = graph.init(seed)?;
    let stages = [Stage {
        name: "all".into(),
        recipe,
        frozen: Vec::new(),
        train: &train,
        validation: None,
        from: None,
        class_weights: None,
    }];
    let mut trainer = Trainer {
        net: &mut net,
        stages: &stages,
        seed,
        device: &Device::Cpu,
        folder: &folder,
        card: ("zoo", &json!({})),
        identity: &json!({ "seed": seed }),
        every: Duration::from_secs(3600),
    };
    trainer.run(&mut |_| ControlFlow::Continue(()))?;
    Ok(100.0 * evaluate(&net, &test, &Device::Cpu)?.accuracy())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let question = arguments.first().map_or("", String::as_str);
    let Some(contestants) = contestants(question) else {
        anyhow::bail!("ask `dense`, `pool` or `norm`, not `{question}`")
    };
    let epochs = match arguments.get(1..) {
        Some([flag, count]) if flag == "--epochs" => count.parse()?,
        _ => 6,
    };
    println!(
        "| network | parameters | multiply-accumulates | right on 1,000 test digits, three seeds |\n|---|---:|---:|---:|"
    );
    for (name, describe) in contestants {
        let graph = graph(name, describe)?;
        let params: usize = graph.params().map(zoo::layers::Param::elements).sum();
        let macs: u64 = graph.layers().iter().map(|layer| layer.macs).sum();
        let right = (1..=3).map(|seed| Ok(format!("{:.1} %", trained(&graph, seed, epochs)?)));
        let right = right.collect::<anyhow::Result<Vec<_>>>()?.join(", ");
        println!("| {name} | {params} | {macs} | {right} |");
    }
    Ok(())
}
