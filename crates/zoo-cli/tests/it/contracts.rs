//! What programs that read the output may rely on.

use std::fs;

use serde_json::json;

use crate::{failed, json, printed, refused, zoo};

#[test]
fn summary_of_resnet50_has_the_published_figures() {
    let summary = json(&["summary", "resnet50", "--format", "json"]);
    assert_eq!(summary["model"], "resnet50");
    assert_eq!(summary["input"], json!([1, 3, 224, 224]));
    let params = json!({"total": 25_557_032, "trainable": 25_557_032, "buffers": 53_120, "auxiliary": 0});
    assert_eq!(summary["params"], params);
    assert_eq!(summary["macs"], 4_089_184_256_u64);
    assert_eq!(summary["macs_auxiliary"], 0);
    let layers = summary["layers"].as_array().unwrap();
    let first = json!({
        "name": "conv1", "op": "Conv2d", "output": [1, 64, 112, 112], "params": 9408, "macs": 118_013_952
    });
    assert_eq!(layers[0], first);
    assert_eq!(layers.last().unwrap()["output"], json!([1, 1000]));
    // Whatever the depth, every layer is there.
    assert_eq!(
        json(&["summary", "resnet50", "--depth", "1", "--format", "json"])["layers"],
        summary["layers"]
    );
}

/// The arena is what `summary` says an answer takes at once. Where an expansion and its depthwise layer go through in bands,
/// their maps are never whole, and it is less.
#[test]
fn an_arena_is_as_large_as_predicted() {
    // What passes through bands is in no arena.
    let nets = [
        ("lenet5", false),
        ("alexnet", false),
        ("googlenet", false),
        ("resnet18", false),
        ("resnet50", false),
        ("mobilenet_v2", true),
    ];
    for (name, fused) in nets {
        let call = ["bench", name, "--seconds", "0", "--format", "json"];
        let arena = json(&call)[0]["arena_bytes"].as_f64().unwrap();
        let summary = json(&["summary", name, "--format", "json"]);
        let share = arena / summary["memory"]["inference_peak_bytes"].as_f64().unwrap();
        assert!(share < 1.1 && (fused || share > 0.9), "{name}: {share}");
    }
}

#[test]
fn bench_measures_what_it_says() {
    let call = ["bench", "lenet5", "--batch", "1,3", "--seconds", "0", "--threads", "1", "--format", "json"];
    let entries = json(&call);
    let entries = entries.as_array().unwrap();
    assert_eq!(entries.iter().map(|entry| &entry["batch"]).collect::<Vec<_>>(), [&json!(1), &json!(3)]);
    for entry in entries {
        assert_eq!((&entry["model"], &entry["threads"]), (&json!("lenet5"), &json!(1)));
        let number = |key: &str| entry[key].as_f64().unwrap();
        assert!(number("median_ms") > 0.0 && number("median_ms") <= number("p90_ms"));
        assert!(number("p90_ms") <= number("p99_ms") && number("images_per_s") > 0.0);
        assert!(number("gflops") > 0.0 && number("peak_share") > 0.0 && number("arena_bytes") > 0.0);
        assert!(number("padding_bytes") > 0.0 && number("scratch_bytes") >= 0.0);
        assert!(entry["simd"].is_string() && entry.get("layers").is_none());
    }
    let layers = json(&[&call[..], &["--layers"]].concat())[0]["layers"].clone();
    let layers = layers.as_array().unwrap();
    assert_eq!(layers[0]["name"], "conv1");
    assert!(layers.iter().all(|layer| layer["method"].is_string() && layer["ms"].is_number()));
    let shares: f64 = layers.iter().map(|layer| layer["share"].as_f64().unwrap()).sum();
    assert!((0.1..1.5).contains(&shares), "{shares}");
    assert!(layers[0]["gflops"].as_f64().unwrap() > 0.0 && layers[0]["peak_share"].as_f64().unwrap() > 0.0);
    refused(&["bench", "alexnet", "--input", "3x8x8"], 2, &["features.2", "3x63x63"]);
    refused(&["bench", "lenet5", "--batch", "0"], 2, &["--batch"]);
    refused(&["bench", "lenet5", "--seconds", "-1"], 2, &["give seconds from 0 to 3600"]);
    let huge = ["bench", "resnet18", "--batch", "65536", "--input", "3x2048x2048"];
    refused(&huge, 2, &["conv1", "TB"]);
}

#[test]
fn the_memory_of_three_convolutions_is_as_worked_out_by_hand() {
    let memory = json(&["summary", "three_convs", "--format", "json"])["memory"].clone();
    assert_eq!(memory["weights_bytes"], 3_613_600);
    assert_eq!(memory["input_bytes"], 720_000);
    assert_eq!(memory["activations_bytes"], 10_520_000);
    assert_eq!(memory["inference_peak_bytes"], 9_000_000);
    let memory =
        json(&["summary", "three_convs", "--batch", "50", "--train", "--format", "json"])["memory"].clone();
    assert_eq!(memory["training_bytes"], 569_227_200);
    let adamw = ["summary", "three_convs", "--batch", "50", "--optimizer", "adamw", "--format", "json"];
    assert_eq!(json(&adamw)["memory"]["training_bytes"], 569_227_200 + 2 * 3_613_600);
}

#[test]
fn summaries_look_as_blessed() {
    insta::assert_snapshot!("summary_resnet50", printed(&["summary", "resnet50"]));
    insta::assert_snapshot!(
        "summary_three_convs",
        printed(&["summary", "three_convs", "--batch", "50", "--train", "--format", "markdown"])
    );
    insta::assert_snapshot!("summary_lenet5_csv", printed(&["summary", "lenet5", "--format", "csv"]));
    let csv = printed(&["summary", "resnet18", "--format", "csv"]);
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.rsplitn(4, ',').collect()).collect();
    let params: usize = rows.iter().filter_map(|row| row[1].parse::<usize>().ok()).sum();
    assert_eq!(params, 11_689_512, "{csv}");
    assert!(csv.contains("\nlayer1.0.conv1,Conv2d 3x3,64x56x56,36864,115605504\n"), "{csv}");
}

#[test]
fn a_summary_fits_a_narrow_terminal() {
    let output = zoo(&["summary", "resnet50", "--depth", "3"]).env("COLUMNS", "60").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
}

#[test]
fn other_classes_and_sizes_change_what_they_must() {
    let summary = json(&["summary", "resnet18", "--classes", "7", "--input", "3x64x96", "--format", "json"]);
    assert_eq!(summary["params"]["total"], 11_689_512 - 512 * 1000 - 1000 + 512 * 7 + 7);
    assert_eq!(summary["input"], json!([1, 3, 64, 96]));
}

#[test]
fn list_gives_every_architecture_and_null_where_nothing_is_known() {
    let lines = json(&["list", "--format", "json"]);
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), zoo::ARCHITECTURES.len());
    let line = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap().clone();
    let lenet = line("lenet5");
    assert_eq!(lenet["input"], json!([1, 28, 28]));
    assert_eq!((&lenet["params"], &lenet["macs"]), (&json!(61_706), &json!(416_520)));
    assert_eq!(line("three_convs")["top1"], serde_json::Value::Null);
    let resnet = line("resnet50");
    assert_eq!((&resnet["year"], &resnet["top1"]), (&json!(2015), &json!(76.13)));
    assert_eq!(resnet["weights"][0], json!({"tag": "resnet50.tv_in1k", "here": false}));
    assert_eq!(printed(&["list", "resnet*_cifar", "--format", "csv"]).lines().count(), 1 + 5);
}

#[test]
fn digits_are_recognised_from_weights_inside_the_program() {
    let answers = json(&["predict", "lenet5", "assets/digits", "--top", "2", "--format", "json"]);
    let answers = answers.as_array().unwrap();
    let paths: Vec<&str> = answers.iter().map(|answer| answer["path"].as_str().unwrap()).collect();
    assert!(paths.is_sorted(), "{paths:?}");
    for digit in 0..10 {
        let path = format!("assets/digits/{digit}.png");
        let answer = answers.iter().find(|answer| answer["path"] == path.as_str()).unwrap();
        assert_eq!(answer["model"], "lenet5");
        let top = answer["top"].as_array().unwrap();
        assert_eq!(top.len(), 2);
        assert_eq!(
            (&top[0]["index"], &top[0]["label"]),
            (&json!(digit), &json!(digit.to_string())),
            "{path}"
        );
        assert!(top[0]["probability"].as_f64().unwrap() > top[1]["probability"].as_f64().unwrap());
    }
}

#[test]
fn features_hold_one_row_for_each_input_under_the_names_as_typed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.safetensors");
    let file = path.to_str().unwrap();
    let inputs = ["assets/digits/3.png", "assets/digits/8.png"];
    printed(&["features", "lenet5", inputs[0], inputs[1], "--at", "conv2", "--at", "logits", "-o", file]);
    let features = zoo_weights::TensorFile::open(&path).unwrap();
    let shapes: Vec<(&str, &[usize])> = features.shapes().collect();
    assert_eq!(shapes, [("conv2", &[2, 16, 10, 10][..]), ("logits", &[2, 10])]);
    let named: Vec<String> = serde_json::from_str(&features.metadata()["inputs"]).unwrap();
    assert_eq!(named, inputs);
    // The same, from the tensor that another run wrote.
    let prepared = folder.path().join("input.safetensors");
    printed(&["features", "lenet5", inputs[0], "--at", "input", "-o", prepared.to_str().unwrap()]);
    let again = folder.path().join("again.safetensors");
    printed(&[
        "features",
        "lenet5",
        prepared.to_str().unwrap(),
        "--at",
        "logits",
        "-o",
        again.to_str().unwrap(),
    ]);
    let first = features.get("logits").unwrap().to_f32().unwrap();
    let second = zoo_weights::TensorFile::open(&again).unwrap().get("logits").unwrap().to_f32().unwrap();
    assert_eq!(first[..10], second[..]);
    // Without a place it is the classifier's input.
    printed(&["features", "lenet5", inputs[0], "-o", again.to_str().unwrap()]);
    let default = zoo_weights::TensorFile::open(&again).unwrap();
    assert_eq!(default.shapes().next().unwrap().1, [1, 84]);
}

/// A prepared picture of so many pixels, and where features of it go.
fn prepared(folder: &std::path::Path, height: usize, width: usize) -> String {
    let values: Vec<f32> = (0..3 * height * width).map(|i| (i % 17) as f32 / 17.0 - 0.5).collect();
    let path = folder.join("x.safetensors");
    let shape = [1, 3, height, width];
    let tensors = [("input", zoo_weights::Tensor::from_f32(&shape, &values))];
    zoo_weights::save(&path, &tensors, None).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn every_network_calls_its_answer_logits() {
    for architecture in zoo::ARCHITECTURES {
        let graph = architecture.graph().unwrap();
        assert!(graph.find("logits").is_ok() || architecture.name == "three_convs", "{}", architecture.name);
    }
    let folder = tempfile::tempdir().unwrap();
    let input = prepared(folder.path(), 40, 32);
    let (weights, out) = (folder.path().join("w.safetensors"), folder.path().join("f.safetensors"));
    let net = zoo::model("fcn_resnet50").unwrap().graph().unwrap().init(3).unwrap();
    let values: Vec<_> = net
        .tensors()
        .map(|(param, tensor)| {
            (&param.name, &param.shape, tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        })
        .collect();
    let tensors: Vec<_> = values
        .iter()
        .map(|(name, shape, values)| (*name, zoo_weights::Tensor::from_f32(shape, values)))
        .collect();
    zoo_weights::save(&weights, &tensors, None).unwrap();
    let (weights, out) = (weights.to_str().unwrap(), out.to_str().unwrap());
    let call = ["features", "fcn_resnet50", &input, "--weights", weights, "--at", "logits", "-o", out];
    assert!(printed(&call).starts_with("logits [1, 21, 40, 32]\n"));
}

#[test]
fn training_gives_the_same_file_for_the_same_seed_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let train = |name: &str, seed: &str, threads: &str| {
        let path = folder.path().join(name);
        let output = path.to_str().unwrap();
        let said = printed(&[
            "train",
            "lenet5",
            "--epochs",
            "1",
            "--seed",
            seed,
            "--threads",
            threads,
            "-o",
            output,
        ]);
        assert!(said.contains("test pictures right"), "{said}");
        (fs::read(&path).unwrap(), path)
    };
    let (one, path) = train("a.safetensors", "7", "1");
    let (two, _) = train("b.safetensors", "7", "2");
    let (other, _) = train("c.safetensors", "8", "2");
    assert!(one == two, "one and two threads gave different files");
    assert!(one != other, "two seeds gave the same file");
    // Such a file is a model of its own.
    let answers = json(&["predict", path.to_str().unwrap(), "assets/digits/1.png", "--format", "json"]);
    assert_eq!(answers[0]["top"].as_array().unwrap().len(), 5);
}

#[test]
fn pictures_that_cannot_be_read_are_named_and_the_rest_is_done() {
    let output = zoo(&["predict", "lenet5", "assets/digits/4.png", "nowhere.png", "--format", "json"])
        .output()
        .unwrap();
    let lines: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(lines[0]["top"][0]["label"], "4");
    assert_eq!(lines[1]["path"], "nowhere.png");
    assert!(lines[1]["error"].as_str().unwrap().contains("nowhere.png"));
    let (code, said) = failed(&output);
    assert_eq!(code, 1);
    assert!(said.contains("nowhere.png"), "{said}");
}
