//! Short runs: they learn, they repeat bit for bit however often they are stopped, and they refuse what can't work.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use candle_core::Device;
use serde_json::{Value, json};
use zoo_data::{
    Augment, Loader, LoaderOptions, Part, Pipeline, Place, Preprocess, Subset, augment::Distortion,
    bundled_digits,
};
use zoo_layers::{Activation, AvgPool2d, Conv2d, Graph, Linear, Net, Shape};
use zoo_train::{
    Batch, Batches, Cached, Curve, Ending, Error, Recipe, RunFolder, Source, Stage, Trainer, evaluate,
    frozen, head, precise_norms,
};
use zoo_weights::TensorFile;

/// Convolution, norm, pool, dropout and a dense layer, small.
fn graph() -> Graph {
    let graph = Graph::build("small", Shape::map(1, 28, 28), |net, picture| {
        let x = net.conv_norm_act(picture, Conv2d::k5(4).stride(2), "conv", "bn")?;
        let x = net.activation(x, Activation::Tanh)?;
        let x = net.avg_pool(x, AvgPool2d::new(2, 2), "pool")?;
        let x = net.flatten(x)?;
        let x = net.dropout(x, 0.1)?;
        let logits = net.linear(x, Linear::new(10), "fc")?;
        net.output("logits", logits)
    });
    graph.unwrap()
}

fn recipe() -> Recipe {
    Recipe {
        epochs: 2,
        batch_size: 16,
        warmup_epochs: 0.5,
        label_smoothing: 0.05,
        ema: 0.9,
        clip: 5.0,
        accumulate: 2,
        augment: vec![Augment::Distort(Distortion::MNIST)],
        ..Recipe::PLAIN
    }
}

/// Some digits of a part, in batches.
fn loader(part: Part, count: usize, recipe: Option<&Recipe>) -> Loader {
    let data = bundled_digits().unwrap();
    let of_part = |index: &usize| zoo_data::Dataset::part(&data, *index) == Some(part);
    let indices = (0..9000).filter(of_part).take(count).collect();
    let prepare = Preprocess {
        input: [1, 28, 28],
        mean: [0.13; 3],
        std: [0.31; 3],
        ..Preprocess::imagenet(28, 28).unscaled()
    };
    let mut pipeline = Pipeline::plain(prepare);
    let options = match recipe {
        Some(recipe) => {
            pipeline.augment.clone_from(&recipe.augment);
            LoaderOptions { mix: recipe.mix, ..LoaderOptions::training(recipe.batch_size, 3) }
        }
        None => LoaderOptions::testing(50),
    };
    Loader::new(Arc::new(Subset::new(Arc::new(data), indices).unwrap()), pipeline, options).unwrap()
}

fn stage<'a>(name: &str, recipe: &Recipe, train: &'a dyn Source, validation: &'a dyn Source) -> Stage<'a> {
    Stage {
        name: name.into(),
        recipe: recipe.clone(),
        frozen: Vec::new(),
        train,
        validation: Some(validation),
        from: None,
        class_weights: None,
    }
}

/// Runs `stages` in a folder, stopped behind the steps and judged batches that `stops` counts, and taken up again each time.
fn run(path: &Path, stages: &[Stage<'_>], seed: u64, stops: &[usize]) -> zoo_train::Result<(Net, Vec<f64>)> {
    run_of(&graph(), path, stages, seed, stops)
}

fn run_of(
    graph: &Graph,
    path: &Path,
    stages: &[Stage<'_>],
    seed: u64,
    stops: &[usize],
) -> zoo_train::Result<(Net, Vec<f64>)> {
    let identity = json!({"seed": seed});
    let mut losses = Vec::new();
    let mut begun = false;
    for stop in stops.iter().copied().chain([usize::MAX]) {
        let folder = match begun {
            true => RunFolder::resume(path)?.0,
            false => RunFolder::begin(path, &Value::Null)?,
        };
        begun = true;
        let mut net = graph.init(seed)?;
        let card = json!({"architecture": "small"});
        let mut trainer = Trainer {
            net: &mut net,
            stages,
            seed,
            device: &Device::Cpu,
            folder: &folder,
            card: ("zoo", &card),
            identity: &identity,
            every: Duration::ZERO,
        };
        let mut steps = 0;
        let ending = trainer.run(&mut |progress| {
            if progress.judged.is_none() {
                losses.push(progress.loss);
            }
            steps += 1;
            if steps == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let Ending::Finished(_) = ending {
            folder.load_best(&net)?;
            return Ok((net, losses));
        }
    }
    panic!("it never ended");
}

fn files(path: &Path) -> [Vec<u8>; 2] {
    ["best.safetensors", "last.checkpoint"].map(|name| std::fs::read(path.join(name)).unwrap())
}

#[test]
fn a_run_that_was_stopped_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, at) = (recipe(), |name: &str| folder.path().join(name));
    let (train, validation) = (loader(Part::Train, 100, Some(&recipe)), loader(Part::Test, 50, None));
    let stages = [stage("one", &recipe, &train, &validation), stage("two", &recipe, &train, &validation)];
    run(&at("whole"), &stages, 1, &[]).unwrap();
    // In an epoch's middle, while it is judged, behind its end, behind a stage's, twice in a row.
    for (name, stops) in [("a", &[1, 3][..]), ("b", &[6, 1, 6]), ("c", &[7, 14]), ("d", &[5, 1, 1, 7])] {
        run(&at(name), &stages, 1, stops).unwrap();
        assert!(files(&at(name)) == files(&at("whole")), "stopped after {stops:?}");
    }
    run(&at("other"), &stages, 2, &[]).unwrap();
    assert!(files(&at("other"))[0] != files(&at("whole"))[0], "another seed gave the same network");
    let log = std::fs::read_to_string(at("d").join("log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 4);
}

/// In processes of their own, since a process's threads are counted once.
#[test]
fn the_number_of_threads_changes_no_bit() {
    const WRITE_TO: &str = "ZOO_TRAIN_TEST_FOLDER";
    let recipe = recipe();
    if let Some(path) = std::env::var_os(WRITE_TO) {
        let (train, validation) = (loader(Part::Train, 64, Some(&recipe)), loader(Part::Test, 50, None));
        run(Path::new(&path), &[stage("one", &recipe, &train, &validation)], 3, &[]).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trained = |threads: &str| {
        let path = folder.path().join(threads);
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_number_of_threads_changes_no_bit"])
            .env(WRITE_TO, &path)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        files(&path)
    };
    let one = trained("1");
    assert!(one == trained("2") && one == trained("4"));
}

#[test]
fn it_learns_tells_how_it_goes_and_the_file_gives_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Recipe { epochs: 6, batch_size: 16, ..Recipe::PLAIN };
    let (train, test) = (loader(Part::Train, 330, Some(&plain)), loader(Part::Test, 200, None));
    let path = folder.path().join("run");
    let (net, losses) = run(&path, &[stage("one", &plain, &train, &test)], 5, &[]).unwrap();
    // 330 digits are 20 whole batches of 16; 10 are left out of each epoch.
    assert_eq!(losses.len(), 6 * 20);
    assert!(losses[119] < 0.8 * losses[19], "{losses:?}");
    let score = evaluate(&net, &test, &Device::Cpu).unwrap();
    assert!(score.accuracy() > 0.5 && score.pictures == 200, "{score:?}");
    let file = TensorFile::open(path.join("best.safetensors")).unwrap();
    let card: Value = serde_json::from_str(&file.metadata()["zoo"]).unwrap();
    assert_eq!(card["architecture"], "small");
    assert_eq!(card["training"]["epoch"]["validation_top1"], score.accuracy());
    let log = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
    let right: Vec<f64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["top1"].as_f64().unwrap())
        .collect();
    assert!(right.len() == 6 && right[5] > right[0] && right[5] <= 1.0, "{right:?}");
}

#[test]
fn a_head_learns_from_features_as_it_does_from_pictures_and_nothing_else_moves() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { epochs: 20, batch_size: 16, learning_rate: 0.02, ..Recipe::PLAIN };
    let (train, test) = (loader(Part::Train, 200, None), loader(Part::Test, 100, None));
    let (net, before) = (graph().init(1).unwrap(), graph().init(1).unwrap());
    let node = net.graph().features();
    let cached = |source| Cached::compute(&net, node, source, &Device::Cpu, 16).unwrap();
    let (features, judged) = (cached(&train).shuffled(1), cached(&test));
    assert_eq!((features.len(), features.steps(), judged.steps()), (200, 12, 7));
    // Drawn alike often, a class of few pictures comes as often as one of many.
    let drawn = features.clone().drawn(1, zoo_data::Sampling::Balanced);
    let mut counts = [0_usize; 10];
    for batch in drawn.batches(Place::default(), 1).unwrap() {
        batch.unwrap().labels.into_iter().for_each(|label| counts[label] += 1);
    }
    assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 2, "{counts:?}");
    let frozen = vec!["conv".to_string(), "bn".into()];
    let stage = Stage { frozen, from: Some(node), ..stage("head", &recipe, &features, &judged) };
    let path = folder.path().join("run");
    let (net, _) = run(&path, &[stage], 1, &[7, 20]).unwrap();
    assert!(evaluate(&net, &test, &Device::Cpu).unwrap().accuracy() > 0.3);
    assert_eq!(head(net.graph()).as_deref(), Some("fc"));
    for ((param, new), (_, old)) in net.tensors().zip(before.tensors()) {
        let values = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(new) != values(old), param.name.starts_with("fc."), "{}", param.name);
    }
}

#[test]
fn networks_that_answer_maps_learn_from_their_means() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { epochs: 4, batch_size: 16, ..Recipe::PLAIN };
    let (train, validation) = (loader(Part::Train, 330, Some(&recipe)), loader(Part::Test, 200, None));
    let (maps, _) = graph().convolutionalize().unwrap();
    let stages = [stage("one", &recipe, &train, &validation)];
    let (net, losses) = run_of(&maps, &folder.path().join("maps"), &stages, 5, &[]).unwrap();
    assert!(losses[79] < 0.9 * losses[19], "{losses:?}");
    let score = evaluate(&net, &validation, &Device::Cpu).unwrap();
    assert!(score.pictures == 200 && score.accuracy() > 0.3, "{score:?}");
}

#[test]
fn one_cycle_rises_by_itself_whatever_the_warm_up() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = Curve::OneCycle { rise: 0.5 };
    let recipe = Recipe { epochs: 2, batch_size: 16, schedule, warmup_epochs: 1.0, ..Recipe::PLAIN };
    let (train, validation) = (loader(Part::Train, 96, Some(&recipe)), loader(Part::Test, 50, None));
    let path = folder.path().join("run");
    run(&path, &[stage("one", &recipe, &train, &validation)], 1, &[]).unwrap();
    let log = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
    let line: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    // The sixth of twelve steps: five sixths of the way up.
    let share = 1.0 - (1.0 - 1.0 / 25.0) * 0.5 * (1.0 + (std::f64::consts::PI * 5.0 / 6.0).cos());
    assert!((line["rate"].as_f64().unwrap() / recipe.learning_rate - share).abs() < 1e-9, "{line}");
}

/// A part of which no picture can be read.
struct Unreadable;

impl Source for Unreadable {
    fn steps(&self) -> usize {
        1
    }

    fn batches(&self, _: Place, _: usize) -> zoo_train::Result<Box<dyn Batches + '_>> {
        Ok(Box::new(Nothing))
    }
}

struct Nothing;

impl Iterator for Nothing {
    type Item = zoo_train::Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl Batches for Nothing {}

#[test]
fn a_validation_part_that_can_not_be_read_judges_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { epochs: 2, batch_size: 16, ..Recipe::PLAIN };
    let train = loader(Part::Train, 32, Some(&recipe));
    let refused = run(&folder.path().join("run"), &[stage("one", &recipe, &train, &Unreadable)], 1, &[]);
    assert!(matches!(refused, Err(Error::NothingToJudge { first: None })), "{:?}", refused.err());
}

#[test]
fn a_run_waits_no_longer_than_its_recipe_says() {
    let folder = tempfile::tempdir().unwrap();
    let still = Recipe { epochs: 50, batch_size: 16, learning_rate: 1e-12, patience: 2, ..Recipe::PLAIN };
    let (train, validation) = (loader(Part::Train, 32, Some(&still)), loader(Part::Test, 50, None));
    let frozen = Recipe { frozen_norms: true, ..still };
    let (_, losses) =
        run(&folder.path().join("run"), &[stage("one", &frozen, &train, &validation)], 1, &[]).unwrap();
    assert!(losses.len() < 20, "{} steps", losses.len());
}

#[test]
fn what_cannot_work_is_said_and_what_was_good_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let wild = Recipe { epochs: 3, batch_size: 16, learning_rate: 1e30, ..Recipe::PLAIN };
    let (train, validation) = (loader(Part::Train, 64, Some(&wild)), loader(Part::Test, 50, None));
    let stages = [stage("one", &wild, &train, &validation)];
    let error = run(&path, &stages, 1, &[]).unwrap_err();
    assert!(matches!(&error, Error::Diverged { kept: Some(_), .. }), "{error}");
    assert!(
        error.to_string().contains("diverged") && error.to_string().contains("last.checkpoint"),
        "{error}"
    );
    assert!(TensorFile::open(path.join("last.checkpoint")).is_ok());
    let single = Recipe { batch_size: 1, ..wild.clone() };
    let alone = loader(Part::Train, 4, Some(&single));
    let error = run(&folder.path().join("single"), &[stage("one", &single, &alone, &validation)], 1, &[]);
    assert!(matches!(&error, Err(Error::BatchOfOne { norm }) if norm == "bn"), "{error:?}");
    // Two runs in one folder, a folder without one, a checkpoint of another run.
    assert!(matches!(RunFolder::begin(&path, &Value::Null).unwrap_err(), Error::Taken { .. }));
    assert!(matches!(RunFolder::resume(folder.path()).unwrap_err(), Error::NoRun { .. }));
    let held = RunFolder::resume(&path).unwrap();
    assert!(matches!(RunFolder::resume(&path).unwrap_err(), Error::Busy { .. }));
    let mut net = graph().init(1).unwrap();
    let other = json!({"seed": 9});
    let mut trainer = Trainer {
        net: &mut net,
        stages: &stages,
        seed: 9,
        device: &Device::Cpu,
        folder: &held.0,
        card: ("zoo", &Value::Null),
        identity: &other,
        every: Duration::ZERO,
    };
    let error = trainer.run(&mut |_| ControlFlow::Continue(())).unwrap_err().to_string();
    assert!(error.contains("seed is 1") && error.contains("is 9"), "{error}");
}

#[test]
fn precise_norms_have_the_means_over_batches_of_pictures_as_they_are_answered() {
    let source = loader(Part::Train, 64, Some(&Recipe { batch_size: 16, ..Recipe::PLAIN }));
    let graph = Graph::build("norms", Shape::map(1, 28, 28), |net, picture| {
        let x = net.norm(picture, "first")?;
        let x = net.norm(x, "still")?;
        let x = net.global_avg_pool(x)?;
        let logits = net.linear(x, Linear::new(10), "fc")?;
        net.output("logits", logits)
    })
    .unwrap();
    let mut net = graph.init(1).unwrap();
    let number = |net: &Net, name: &str| {
        let (_, tensor) = net.tensors().find(|(param, _)| param.name == name).unwrap();
        f64::from(tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0])
    };
    let weight = number(&net, "fc.weight");
    net.freeze(frozen(&graph, &["still".into()], false).unwrap());
    assert!(precise_norms(&mut net, &source, &Device::Cpu).unwrap());
    // What the pictures say, batch by batch.
    let (mut means, mut variances) = (Vec::new(), Vec::new());
    for batch in source.batches(Place::default(), 1).unwrap() {
        let values = batch.unwrap().values;
        let count = values.len() as f64;
        let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        means.push(mean);
        let squares = values.iter().map(|&value| (f64::from(value) - mean).powi(2));
        variances.push(squares.sum::<f64>() / (count - 1.0));
    }
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    assert_eq!(means.len(), 4);
    assert!((number(&net, "first.running_mean") - mean(&means)).abs() < 1e-5);
    assert!((number(&net, "first.running_var") - mean(&variances)).abs() < 1e-5);
    assert_eq!((number(&net, "still.running_mean"), number(&net, "still.running_var")), (0.0, 1.0));
    assert_eq!(number(&net, "fc.weight"), weight);
    // Whatever they were before: a run that was over may be ended once more.
    let once = number(&net, "first.running_var");
    assert!(precise_norms(&mut net, &source, &Device::Cpu).unwrap());
    assert_eq!(number(&net, "first.running_var"), once);
    // Where all norms are frozen there is nothing to do.
    net.freeze(frozen(&graph, &[], true).unwrap());
    assert!(!precise_norms(&mut net, &source, &Device::Cpu).unwrap());
}

#[test]
fn of_those_that_begin_a_run_in_one_folder_at_once_one_does() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let path = folder.path().join(round.to_string());
        let start = Barrier::new(4);
        let begun: Vec<_> = std::thread::scope(|scope| {
            let begin = |_| {
                scope.spawn(|| {
                    start.wait();
                    RunFolder::begin(&path, &json!({"stages": []}))
                })
            };
            let threads: Vec<_> = (0..4).map(begin).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let busy = begun.iter().filter(|run| matches!(run, Err(Error::Busy { .. }))).count();
        assert_eq!((begun.iter().filter(|run| run.is_ok()).count(), busy), (1, 3), "{begun:?}");
    }
}
