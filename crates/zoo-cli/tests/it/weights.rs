//! Weights on the command line: fetched, converted, reported.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};
use zoo_weights::{Dtype, Tensor, TensorFile};

use crate::{
    failed,
    server::{Served, Server},
    zoo,
};

/// The second source of `mobilenet_v2.tv_in1k`; the first answers 404 here.
const HUB_PATH: &str =
    "/smp-hub/mobilenet_v2.imagenet/resolve/e67aa804e17f7b404b629127eabbd224c4e0690b/model.safetensors";
const PHOTO: &str = "assets/photos/rocket.jpg";

/// A folder of its own, in which nothing is fetched yet.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_string()
    }

    pub(crate) fn zoo(&self, arguments: &[&str]) -> Command {
        let mut command = zoo(arguments);
        for name in ["HF_HOME", "TORCH_HOME", "KERAS_HOME"] {
            command.env(name, self.path(name));
        }
        command
    }

    pub(crate) fn printed(&self, arguments: &[&str]) -> String {
        let output = self.zoo(arguments).output().unwrap();
        assert!(output.status.success(), "zoo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.printed(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    pub(crate) fn refused(&self, arguments: &[&str], code: i32, names: &[&str]) {
        let (found, said) = failed(&self.zoo(arguments).output().unwrap());
        assert_eq!(found, code, "zoo {arguments:?}: {said}");
        for name in names {
            assert!(said.contains(name), "zoo {arguments:?} does not name `{name}`: {said}");
        }
    }

    /// A file of fresh weights without a word about itself.
    pub(crate) fn fresh(&self, name: &str, model: &str, classes: usize) -> PathBuf {
        self.filled(name, model, classes, |_, _| {})
    }

    /// The same with each tensor's numbers changed.
    fn filled(&self, name: &str, model: &str, classes: usize, change: fn(&str, &mut [f32])) -> PathBuf {
        let graph = zoo::model(model).unwrap().graph().unwrap().with_num_classes(classes).unwrap();
        let net = graph.init(7).unwrap();
        let values: Vec<_> = net
            .tensors()
            .map(|(param, tensor)| {
                let mut values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
                change(&param.name, &mut values);
                (&param.name, &param.shape, values)
            })
            .collect();
        let full: Vec<_> =
            values.iter().map(|(name, shape, values)| (*name, Tensor::from_f32(shape, values))).collect();
        let half: Vec<_> =
            full.iter().map(|(name, tensor)| (*name, tensor.cast(Dtype::F16).unwrap())).collect();
        let path = self.folder.path().join(name);
        zoo_weights::save(&path, &half, None).unwrap();
        path
    }
}

#[test]
fn predict_fetches_by_itself_and_fetch_lists_and_verifies() {
    let bench = Bench::new();
    let bytes = Arc::new(fs::read(bench.fresh("served.safetensors", "mobilenet_v2", 1000)).unwrap());
    let hash: String = Sha256::digest(bytes.as_slice()).iter().map(|byte| format!("{byte:02x}")).collect();
    let server = Server::start();
    let short = hash[..8].to_string();
    let served = Served { bytes: Arc::clone(&bytes), etag: None, hub: Some((hash, "c0ffee".into())) };
    server.put(HUB_PATH, served);

    bench.refused(
        &["predict", "mobilenet_v2", PHOTO, "--offline"],
        1,
        &["mobilenet_v2.tv_in1k", "zoo fetch"],
    );
    let first = bench.json(&["predict", "mobilenet_v2", PHOTO, "--mirror", &server.url]);
    assert_eq!(first[0]["top"].as_array().unwrap().len(), 5);
    let requests = server.log().len();
    assert_eq!(bench.json(&["predict", "mobilenet_v2", PHOTO, "--offline"]), first);
    assert_eq!(server.log().len(), requests, "what is here is not asked for");

    let said = bench.printed(&["fetch", "mobilenet_v2", "--mirror", &server.url]);
    assert!(said.starts_with("mobilenet_v2.tv_in1k  was here  "), "{said}");
    let landed = PathBuf::from(said.trim().rsplit("  ").next().unwrap());
    assert_eq!(fs::read(&landed).unwrap(), *bytes);
    let list = bench.printed(&["fetch", "--list", "lenet5.mnist", "--format", "csv"]);
    let [head, line] = list.lines().collect::<Vec<_>>()[..] else { panic!("{list}") };
    assert_eq!(head, "tag,here,megabytes,top1,miou,accuracy_source,licence,sources");
    assert!(line.starts_with("lenet5.mnist,true,,99,,") && line.ends_with(",MIT OR Apache-2.0,"), "{line}");
    let list = bench.json(&["fetch", "--list", "mobilenet_v2.tv"]);
    assert_eq!((&list[0]["tag"], &list[0]["here"]), (&"mobilenet_v2.tv_in1k".into(), &true.into()));
    assert_eq!(list[0]["sources"][1]["checked_by"], "the hub's hash");
    assert_eq!(list[1]["here"], false);
    assert!(
        bench.printed(&["fetch", "--verify"]).contains(&format!("has the hub's hash, SHA-256 {}…", &short))
    );

    // A fetched file is known by its place, and is converted without a word.
    let converted = bench.path("converted.safetensors");
    let said = bench.printed(&["convert", landed.to_str().unwrap(), &converted]);
    assert!(said.starts_with("mobilenet_v2 (mobilenet_v2.tv_in1k), 1000 classes, 262 tensors\n"), "{said}");
    assert_eq!(bench.json(&["predict", &converted, PHOTO])[0]["top"], first[0]["top"]);

    fs::write(fs::canonicalize(&landed).unwrap(), b"spoilt").unwrap();
    bench.refused(
        &["fetch", "--verify", "mobilenet_v2"],
        1,
        &["is spoilt", "fetch `mobilenet_v2.tv_in1k` again"],
    );
}

#[test]
fn bench_measures_the_weights_that_it_is_given() {
    let bench = Bench::new();
    let file = bench.fresh("own.safetensors", "resnet18", 10);
    let file = file.to_str().unwrap();
    let call = ["bench", "resnet18", "--input", "3x32x32", "--seconds", "0"];
    let with = |more: &[&'static str], file: &str| -> Vec<String> {
        let words = call.iter().copied().chain(more.iter().copied()).chain(["--weights", file]);
        words.map(String::from).collect()
    };
    let refused = |words: Vec<String>, code: i32, names: &[&str]| {
        bench.refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), code, names);
    };
    let words = with(&["--classes", "10"], file);
    let entry = bench.json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((&entry[0]["model"], entry.as_array().unwrap().len()), (&"resnet18".into(), 1));
    assert!(entry[0]["median_ms"].as_f64().unwrap() > 0.0);

    let spoilt = bench.filled("spoilt.safetensors", "resnet18", 1000, |name, values| {
        if name == "layer2.0.conv1.weight" {
            values[3] = f32::NAN;
        }
    });
    refused(with(&[], spoilt.to_str().unwrap()), 1, &["layer2.0.conv1"]);
    refused(
        with(&["--batch", "2"], bench.fresh("other", "resnet34", 1000).to_str().unwrap()),
        1,
        &["layer1.2"],
    );
    refused(with(&["--offline"], "resnet18.tv_in1k"), 1, &["resnet18.tv_in1k", "zoo fetch"]);
    refused(with(&[], "resnet34.tv_in1k"), 2, &["resnet34.tv_in1k", "resnet18"]);
    refused(with(&[], "nowhere.safetensors"), 1, &["nowhere.safetensors"]);
    refused(with(&[], "resnet18.pth"), 1, &["resnet18.pth", "No such file"]);
    bench.refused(&["fetch", "resnet18", "--format", "json"], 2, &["--list"]);
    bench.refused(&["bench", "resnet18", "resnet34", "--weights", file], 2, &["--weights", "2 are named"]);
}

#[test]
fn what_can_not_be_fetched_is_said_in_a_sentence() {
    let bench = Bench::new();
    let server = Server::start();
    bench.refused(
        &["fetch", "resnet18", "--mirror", &server.url],
        1,
        &["no source gave", "resnet18.tv_in1k", "404"],
    );
    bench.refused(&["predict", "resnet18", PHOTO, "--mirror", &server.url], 1, &["no source gave", "404"]);
    let other = ["predict", "resnet18", PHOTO, "--mirror", &server.url, "--weights", "resnet50.tv_in1k"];
    bench.refused(&other, 2, &["`resnet50.tv_in1k`", "not of `resnet18`"]);
    bench.refused(&["predict", "resnet18", PHOTO, "--weights", "resnet18.tv9"], 2, &["zoo fetch --list"]);
    bench.refused(&["fetch", "resnet5O"], 2, &["did you mean resnet50", "zoo fetch --list"]);
    bench.refused(&["fetch"], 2, &["--all", "--list"]);
    bench.refused(&["fetch", "--list", "nothing-like-it"], 2, &["nothing-like-it", "without a name"]);
    bench.refused(&["fetch", "resnet18", "--mirror", "nowhere"], 2, &["http://"]);
    let output = bench.zoo(&["predict", "resnet18", PHOTO, "--offline"]).output().unwrap();
    let (code, said) = failed(&output);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(output.stdout.is_empty());
    assert!(bench.printed(&["fetch", "lenet5"]).contains("inside the program"));
}

#[test]
fn a_converted_file_is_a_model_of_its_own() {
    let bench = Bench::new();
    let plain = bench.fresh("plain.safetensors", "mobilenet_v2", 1000);
    let plain = plain.to_str().unwrap();
    bench.refused(&["predict", plain, PHOTO], 1, &["metadata", "zoo convert"]);
    bench.refused(&["convert", plain, &bench.path("out.safetensors")], 2, &["--model"]);

    let out = bench.path("out.safetensors");
    let said = bench.printed(&["convert", plain, &out, "--model", "mobilenet_v2"]);
    let assumed = "assumed: padding as PyTorch's (mobilenet_v2_keras pads as TensorFlow)";
    assert_eq!(said, format!("mobilenet_v2, 1000 classes, 262 tensors\n{assumed}\n{out}\n"));
    let file = TensorFile::open(&out).unwrap();
    assert_eq!(file.metadata().len(), 1, "one key, since the order of several is not fixed");
    let card = &file.metadata()["zoo"];
    let begin = r#"{"architecture":"mobilenet_v2","classes":["tench","goldfish","#;
    let end = r#"],"options":{"num_classes":1000},"preprocessing":{"channels":"rgb","crop":224,"input":[3,224,224],"interpolation":"bilinear","mean":[0.485,0.456,0.406],"resize":256,"scale":1.0,"std":[0.229,0.224,0.225]}}"#;
    assert!(card.starts_with(begin) && card.ends_with(end), "{card}");
    assert!(file.tensors().all(|(_, tensor)| tensor.dtype == Dtype::F16), "the type is kept");

    let theirs = bench.json(&["predict", "mobilenet_v2", PHOTO, "--weights", plain]);
    let ours = bench.json(&["predict", &out, PHOTO]);
    assert_eq!((&ours[0]["top"], &ours[0]["model"]), (&theirs[0]["top"], &out.as_str().into()));
    assert_eq!(bench.json(&["summary", &out]), bench.json(&["summary", "mobilenet_v2"]));
    let again = bench.path("again.safetensors");
    bench.printed(&["convert", &out, &again]);
    assert!(fs::read(&out).unwrap() == fs::read(&again).unwrap(), "the same input gives the same bytes");
    bench.printed(&["convert", &out, &again, "--dtype", "bf16", "--verbose"]);
    assert!(TensorFile::open(&again).unwrap().tensors().all(|(_, tensor)| tensor.dtype == Dtype::Bf16));
    // Of a tag, the preprocessing is that tag's.
    bench.printed(&["convert", plain, &again, "--model", "mobilenet_v2.tv2_in1k"]);
    let card = TensorFile::open(&again).unwrap().metadata()["zoo"].clone();
    assert!(card.contains(r#""resize":232"#) && card.ends_with(r#""weights":"mobilenet_v2.tv2_in1k"}"#));
}

#[test]
fn other_classes_are_told_from_the_file_and_named_by_the_caller() {
    let bench = Bench::new();
    let three = bench.fresh("three.safetensors", "mobilenet_v2", 3);
    let three = three.to_str().unwrap();
    let (names, out) = (bench.path("names.txt"), bench.path("out.safetensors"));
    fs::write(&names, "cat\ndog\n").unwrap();
    let convert = ["convert", three, &out, "--model", "mobilenet_v2"];
    bench.refused(&[&convert[..], &["--classes", &names]].concat(), 2, &["2 names", "3 classes"]);
    assert!(!Path::new(&out).exists());
    fs::write(&names, "cat\r\ndog\r\nbird of paradise\r\n").unwrap();
    bench.printed(&[&convert[..], &["--classes", &names]].concat());
    let answer = bench.json(&["predict", &out, PHOTO]);
    let mut labels: Vec<&str> =
        answer[0]["top"].as_array().unwrap().iter().map(|class| class["label"].as_str().unwrap()).collect();
    labels.sort_unstable();
    assert_eq!(labels, ["bird of paradise", "cat", "dog"]);
    let summary = bench.json(&["summary", &out]);
    assert_eq!(summary["layers"].as_array().unwrap().last().unwrap()["output"], serde_json::json!([1, 3]));

    // A new head for two classes on the network that had three.
    fs::write(&names, "cat\ndog\n").unwrap();
    let new = bench.path("new.safetensors");
    let head = ["--new", "classifier.1", "--classes", &names, "--model", "mobilenet_v2"];
    let said = bench.printed(&[&["convert", three, &new][..], &head].concat());
    assert!(said.contains("2 newly initialised: classifier.1.weight, classifier.1.bias"), "{said}");
    assert_eq!(bench.json(&["predict", &new, PHOTO])[0]["top"].as_array().unwrap().len(), 2);
    bench.refused(&["convert", &out, &new, "--new", "fc"], 2, &["fc", "classifier.1"]);
}

#[test]
fn pytorch_files_of_both_formats_are_converted() {
    let bench = Bench::new();
    for name in ["lenet5.pth", "lenet5-older.pth"] {
        let fixture = format!("crates/zoo-cli/tests/fixtures/{name}");
        let out = bench.path("lenet5.safetensors");
        bench.printed(&["convert", &fixture, &out, "--model", "lenet5", "--dtype", "f32"]);
        let answer = bench.json(&["predict", &out, "assets/digits/7.png", "--top", "1"]);
        assert_eq!(answer[0]["top"][0]["label"], "7", "{name}");
    }
    for name in ["evil.pth", "evil_legacy.pth"] {
        let evil = format!("crates/zoo-weights/tests/fixtures/pth/{name}");
        let out = bench.path("evil.safetensors");
        bench.refused(&["convert", &evil, &out, "--model", "lenet5"], 1, &["is refused", "posix.system"]);
        assert!(!Path::new(&out).exists());
    }
    // A trained file keeps what it says of its training.
    let half = bench.path("half.safetensors");
    bench.printed(&["convert", "crates/zoo/assets/lenet5.safetensors", &half, "--dtype", "f16"]);
    let card = TensorFile::open(&half).unwrap().metadata()["zoo"].clone();
    assert!(card.contains(r#""test":1000,"train":8000"#), "{card}");
}

#[test]
fn a_file_that_does_not_fit_is_refused_by_name_and_nothing_is_written() {
    let bench = Bench::new();
    let out = bench.path("out.safetensors");
    fs::write(&out, b"what was there").unwrap();
    let plain = bench.fresh("plain.safetensors", "mobilenet_v2", 1000);
    let plain = plain.to_str().unwrap();
    let refused = |arguments: &[&str], code, names: &[&str]| {
        bench.refused(&[&["convert"], arguments].concat(), code, names);
        assert_eq!(fs::read(&out).unwrap(), b"what was there");
    };
    refused(
        &[plain, &out, "--model", "mobilenet_v2_140"],
        1,
        &[
            "plain.safetensors",
            "misshapen: features.0.0.weight is [32, 3, 3, 3] where the network has [48, 3, 3, 3]",
        ],
    );
    refused(
        &[plain, &out, "--model", "resnet18"],
        1,
        &["missing: conv1.weight", "unexpected: ", "and 242 more"],
    );
    refused(&[plain, &out, "--model", "resnet1"], 2, &["resnet1", "`resnet18`"]);
    refused(&[plain, &out, "--model", "resnet18.tv"], 2, &["resnet18.tv", "zoo fetch --list"]);
    refused(&[plain, plain, "--model", "mobilenet_v2"], 2, &["its own conversion"]);
    refused(&[plain, &bench.path("out.bin"), "--model", "mobilenet_v2"], 2, &[".safetensors"]);
    refused(
        &[plain, &bench.path("none/out.safetensors"), "--model", "mobilenet_v2"],
        1,
        &["none", "make it"],
    );
    refused(&[&bench.path(""), &out, "--model", "mobilenet_v2"], 1, &["directory"]);
    refused(&["nowhere.pth", &out, "--model", "mobilenet_v2"], 1, &["nowhere.pth"]);
    refused(
        &["crates/zoo/assets/lenet5.safetensors", &out, "--model", "resnet18"],
        1,
        &["lenet5", "resnet18"],
    );
    // An encoder without its classifier is no whole network, unless the caller wants a new one.
    let file = TensorFile::open(plain).unwrap();
    let body: Vec<_> = file.tensors().filter(|(name, _)| !name.starts_with("classifier.")).collect();
    let encoder = bench.path("encoder.safetensors");
    zoo_weights::save(&encoder, &body, None).unwrap();
    let call = ["predict", "mobilenet_v2", PHOTO, "--weights", &encoder];
    bench.refused(&call, 1, &["2 missing: classifier.1.weight, classifier.1.bias"]);
    // It is converted to one that gives features, with a word.
    let features = bench.path("features.safetensors");
    let said = bench.printed(&["convert", &encoder, &features, "--model", "mobilenet_v2"]);
    assert!(said.starts_with("mobilenet_v2, no classifier, 260 tensors\nhas no classifier"), "{said}");
    bench.refused(&["predict", &features, PHOTO], 2, &["no classifier", "--new"]);
    fs::remove_file(&features).unwrap();
    fs::remove_file(&encoder).unwrap();
    let left: Vec<_> = fs::read_dir(bench.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "nothing but the two files: {left:?}");
}

#[test]
fn files_that_lie_are_refused_in_a_sentence() {
    let bench = Bench::new();
    let lenet = fs::read("crates/zoo/assets/lenet5.safetensors")
        .or_else(|_| fs::read("../zoo/assets/lenet5.safetensors"))
        .unwrap();
    let with_card = |card: &str| {
        let bias = [0.0; 6];
        let path = bench.folder.path().join("card.safetensors");
        let value = serde_json::from_str(card).unwrap();
        zoo_weights::save(&path, &[("conv1.bias", Tensor::from_f32(&[6], &bias))], Some(("zoo", &value)))
            .unwrap();
        fs::read(&path).unwrap()
    };
    let card = |preprocessing: &str, options: &str, architecture: &str| {
        with_card(&format!(
            r#"{{"architecture":"{architecture}","classes":[],"options":{options},"preprocessing":{preprocessing}}}"#
        ))
    };
    let digit = r#"{"input":[1,28,28],"mean":0.1307,"std":0.3081}"#;
    let mut long = lenet.clone();
    long[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    for (name, bytes, says) in [
        ("cut.safetensors", lenet[..300].to_vec(), "not a valid safetensors"),
        ("short.safetensors", lenet[..lenet.len() - 1].to_vec(), "not a valid safetensors"),
        ("long.safetensors", long, "not a valid safetensors"),
        ("empty.safetensors", Vec::new(), "no file of weights"),
        ("zip.pth", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "zip.pth"),
        ("page.pth", b"<!DOCTYPE html><html>".to_vec(), "a web page (HTML)"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "git lfs pull"),
        ("fake.keras", b"this is no archive".to_vec(), "no file of weights"),
        ("h5.h5", b"\x89HDF\r\n\x1a\n".to_vec(), "not a valid Keras HDF5"),
        ("card.safetensors", with_card(r#"{"architecture":7}"#), "can't be read"),
        ("card.safetensors", card(digit, "{}", "lenet6"), "lenet6"),
        ("card.safetensors", card(digit, r#"{"depth":3}"#, "lenet5"), "depth"),
        ("card.safetensors", card(digit, r#"{"num_classes":99999999999}"#, "lenet5"), "99999999999 classes"),
        (
            "card.safetensors",
            card(r#"{"input":[1,4000000000,4000000000],"mean":0.1,"std":0.3}"#, "{}", "lenet5"),
            "1x4000000000x4000000000",
        ),
        ("card.safetensors", card(r#"{"input":[1,28,28],"mean":0.1,"std":0.0}"#, "{}", "lenet5"), "digit"),
        (
            "card.safetensors",
            card(
                r#"{"input":[3,224,224],"resize":4000000000,"crop":224,"interpolation":"bilinear","mean":[0.5,0.5,0.5],"std":[1,1,1]}"#,
                "{}",
                "resnet18",
            ),
            "4000000000",
        ),
    ] {
        let path = bench.path(name);
        fs::write(&path, bytes).unwrap();
        bench.refused(&["convert", &path, &bench.path("out.safetensors"), "--model", "lenet5"], 1, &[name]);
        if name.ends_with(".safetensors") {
            bench.refused(&["predict", &path, "assets/digits/7.png"], 1, &[name, says]);
        } else {
            bench.refused(
                &["predict", "lenet5", "assets/digits/7.png", "--weights", &path],
                1,
                &[name, says],
            );
        }
    }
    bench.refused(
        &["predict", "README.md", "assets/digits/7.png"],
        2,
        &["README.md is a file", "zoo convert"],
    );
    let said = failed(&bench.zoo(&["predict", "nowhere.safetensors", "x.png"]).output().unwrap()).1;
    assert_eq!(said.matches("No such file").count(), 1, "a cause is told once: {said}");
}

#[test]
fn many_pictures_give_the_same_whatever_the_threads() {
    let bench = Bench::new();
    let folder = bench.folder.path().join("many");
    fs::create_dir(&folder).unwrap();
    for copy in 0..40 {
        let from = crate::root().join(format!("assets/digits/{}.png", copy % 10));
        fs::copy(from, folder.join(format!("{copy:02}.png"))).unwrap();
    }
    fs::write(folder.join("07.png"), b"no picture").unwrap();
    fs::write(folder.join("33.png"), b"").unwrap();
    let folder = folder.to_str().unwrap();
    let predict = |threads: &str| {
        let call = ["predict", "lenet5", folder, "--threads", threads, "--format", "json"];
        let output = bench.zoo(&call).output().unwrap();
        let (code, said) = failed(&output);
        assert_eq!(code, 1);
        assert!(
            said.contains("2 of 40 pictures") && said.contains("07.png") && said.contains("33.png"),
            "{said}"
        );
        output.stdout
    };
    let one = predict("1");
    assert!(one == predict("3"), "one and three threads gave different answers");
    let lines: serde_json::Value = serde_json::from_slice(&one).unwrap();
    for (copy, line) in lines.as_array().unwrap().iter().enumerate() {
        assert!(line["path"].as_str().unwrap().ends_with(&format!("{copy:02}.png")));
        match copy {
            7 | 33 => assert!(line["error"].is_string()),
            _ => assert_eq!(line["top"][0]["label"], (copy % 10).to_string()),
        }
    }
    let features = |threads: &str| {
        let out = bench.path("f.safetensors");
        let output =
            bench.zoo(&["features", "lenet5", folder, "--threads", threads, "-o", &out]).output().unwrap();
        assert!(failed(&output).1.contains("2 of 40 inputs"));
        fs::read(out).unwrap()
    };
    assert!(features("1") == features("3"), "one and three threads gave different features");
    let file = TensorFile::open(bench.path("f.safetensors")).unwrap();
    assert_eq!(file.shapes().next().unwrap().1, [38, 84], "the rest is done");
    let inputs: Vec<String> = serde_json::from_str(&file.metadata()["inputs"]).unwrap();
    assert!(inputs.len() == 38 && inputs.is_sorted() && !inputs[7].ends_with("07.png"), "{inputs:?}");
}

#[test]
fn a_picture_may_come_through_standard_input() {
    let bench = Bench::new();
    let picture = fs::read(crate::root().join("assets/digits/7.png")).unwrap();
    let through = |arguments: &[&str]| {
        let mut command = bench.zoo(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&picture).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = through(&["predict", "lenet5", "-", "--format", "json"]);
    let lines: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&lines[0]["path"], &lines[0]["top"][0]["label"]), (&"-".into(), &"7".into()));
    let out = bench.path("f.safetensors");
    assert!(through(&["features", "lenet5", "-", "-o", &out]).status.success());
    assert_eq!(TensorFile::open(&out).unwrap().metadata()["inputs"], r#"["-"]"#);
}

#[test]
fn the_load_report_is_shown_where_it_is_asked_for() {
    let bench = Bench::new();
    let call = ["predict", "lenet5", "assets/digits/7.png", "--verbose", "--format", "json"];
    let output = bench.zoo(&call).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("lenet5\n10 loaded: conv1.weight, conv1.bias, "), "{said}");
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok());
}
