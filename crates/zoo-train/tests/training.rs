//! Short runs: they learn, they repeat bit for bit, and they refuse what can't work.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::Command;

use candle_core::Device;
use zoo_data::augment::Distortion;
use zoo_data::{Digits, digits};
use zoo_layers::{Activation, AvgPool2d, Conv2d, Graph, Linear, Shape};
use zoo_train::{Error, Recipe, Record, Run, Trained, evaluate};
use zoo_weights::TensorFile;

/// Convolution, pool, dropout and a dense layer: everything that a LeNet has, small.
fn graph(outputs: usize) -> Graph {
    let graph = Graph::build("small", Shape::map(1, 32, 32), |net, picture| {
        let x = net.conv(picture, Conv2d::k5(4).stride(2), "conv")?;
        let x = net.activation(x, Activation::Tanh)?;
        let x = net.avg_pool(x, AvgPool2d::new(2, 2), "pool")?;
        let x = net.flatten(x)?;
        let x = net.dropout(x, 0.1)?;
        let logits = net.linear(x, Linear::new(outputs), "fc")?;
        net.output("logits", logits)
    });
    graph.unwrap()
}

const RECIPE: Recipe = Recipe {
    epochs: 1,
    batch_size: 16,
    warmup_epochs: 0,
    label_smoothing: 0.05,
    distortion: Distortion::MNIST,
    ..Recipe::PLAIN
};

fn some(count: usize) -> (Digits, Digits) {
    let (train, test) = digits::bundled().unwrap();
    let indices: Vec<usize> = (0..count).collect();
    (train.select(&indices), test.select(&indices))
}

fn train(recipe: &Recipe, seed: u64, count: usize) -> Trained {
    let (digits, test) = some(count);
    let graph = graph(10);
    let run = Run { graph: &graph, digits: &digits, test: &test, recipe, seed, device: &Device::Cpu };
    run.train(|_| ()).unwrap()
}

fn saved(trained: &Trained) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.safetensors");
    trained.save(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_seed_another() {
    let file = |seed| saved(&train(&RECIPE, seed, 64));
    assert_eq!(file(1), file(1));
    assert_ne!(file(1), file(2));
}

/// In processes of their own, since a process's threads are counted once.
#[test]
fn the_number_of_threads_changes_no_bit() {
    const WRITE_TO: &str = "ZOO_TRAIN_TEST_FILE";
    if let Some(path) = std::env::var_os(WRITE_TO) {
        train(&RECIPE, 3, 64).save(Path::new(&path)).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |threads: &str| {
        let path = folder.path().join(threads);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_number_of_threads_changes_no_bit"])
            .env(WRITE_TO, &path)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
        std::fs::read(path).unwrap()
    };
    let one = file("1");
    assert_eq!(one, file("2"));
    assert_eq!(one, file("4"));
}

#[test]
fn it_learns_and_tells_how_it_goes() {
    let recipe = Recipe { epochs: 6, warmup_epochs: 1, distortion: Distortion::NONE, ..RECIPE };
    let (digits, test) = some(330);
    let graph = graph(10);
    let run =
        Run { graph: &graph, digits: &digits, test: &test, recipe: &recipe, seed: 5, device: &Device::Cpu };
    let mut seen = Vec::new();
    let trained = run.train(|progress| seen.push(*progress)).unwrap();

    // 330 digits are 20 whole batches of 16; 10 are left out of each epoch.
    assert_eq!(seen.len(), 6 * 20);
    assert!(seen.iter().all(|progress| (progress.epochs, progress.steps) == (6, 20)));
    assert_eq!(seen.iter().filter(|progress| progress.test.is_some()).count(), 6);
    assert_eq!((seen[119].epoch, seen[119].step), (6, 20));
    assert!((seen[0].rate - 1e-4).abs() < 1e-12 && (seen[19].rate - 2e-3).abs() < 1e-12);
    assert_eq!(trained.history.len(), 6);
    assert_eq!(Some(trained.score()), seen[119].test);
    assert!(trained.history[5].loss < 0.8 * trained.history[0].loss, "{:?}", trained.history);
    assert!(trained.score().accuracy() > 0.5, "{:?}", trained.history);
}

#[test]
fn a_file_says_what_it_is_and_gives_the_same_answers() {
    let trained = train(&RECIPE, 4, 64);
    let bytes = saved(&trained);
    let file = TensorFile::from_bytes("small.safetensors", bytes).unwrap();
    assert_eq!(file.metadata().len(), 1);
    let record = Record::read(file.metadata()).unwrap().unwrap();
    assert_eq!(record, trained.record);
    assert_eq!((record.architecture.as_str(), record.classes[7].as_str()), ("small", "7"));
    assert_eq!((record.preprocessing.input, record.preprocessing.padding), ([1, 32, 32], 2));
    assert_eq!((record.training.seed, record.training.digits, record.training.test.digits), (4, 64, 64));

    let tensors = file.tensors().map(|(name, tensor)| {
        let values = tensor.to_f32().unwrap();
        let tensor = candle_core::Tensor::from_vec(values, tensor.shape.as_ref(), &Device::Cpu).unwrap();
        (name.to_string(), tensor)
    });
    let net = graph(10).load_tensors(&tensors.collect(), &Device::Cpu).unwrap();
    let score = evaluate(&net, &some(64).1, &record.preprocessing).unwrap();
    assert_eq!(score, record.training.test);

    let strange = [("zoo".to_string(), "{}".to_string())].into();
    let error = Record::read(&strange).unwrap_err().to_string();
    assert!(error.contains("`zoo` metadata can't be read"), "{error}");
    assert!(Record::read(&[].into()).unwrap().is_none());
}

#[test]
fn what_cannot_work_is_said() {
    let (digits, test) = some(32);
    let none = digits.select(&[]);
    let refusal = |graph: &Graph, digits: &Digits, test: &Digits, recipe: &Recipe| {
        let run = Run { graph, digits, test, recipe, seed: 1, device: &Device::Cpu };
        run.train(|_| ()).unwrap_err()
    };
    let graph = graph(10);
    assert!(matches!(refusal(&graph, &none, &test, &RECIPE), Error::NoDigits { .. }));
    assert!(matches!(refusal(&graph, &digits, &none, &RECIPE), Error::NoDigits { .. }));
    assert!(matches!(refusal(&self::graph(7), &digits, &test, &RECIPE), Error::Classes { .. }));
    let flat = Digits { height: 16, width: 49, ..digits.clone() };
    assert!(matches!(refusal(&graph, &digits, &flat, &RECIPE), Error::Size { .. }));
    let recipe = Recipe { batch_size: 0, ..RECIPE };
    assert!(matches!(refusal(&graph, &digits, &test, &recipe), Error::Recipe { .. }));

    let recipe = Recipe { learning_rate: 1e38, ..RECIPE };
    let error = refusal(&graph, &digits, &test, &recipe);
    assert!(matches!(error, Error::Diverged { epoch: 1, step: 2, .. }), "{error}");
    assert!(error.to_string().contains("lower the learning rate"), "{error}");
}
