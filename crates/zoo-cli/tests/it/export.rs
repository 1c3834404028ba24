//! `zoo export`: what it prints, what lies there afterwards, and what it refuses.

use std::{fs, path::Path};

use crate::{failed, printed, refused, zoo};

/// What `zoo export` prints, with the folder's name taken out.
fn exported(folder: &Path, arguments: &[&str]) -> String {
    let out = folder.join("net.onnx");
    let mut all = vec!["export", arguments[0], out.to_str().unwrap()];
    all.extend(&arguments[1..]);
    printed(&all).replace(folder.to_str().unwrap(), "FOLDER")
}

/// The names of what lies in a folder.
fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_was_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = [
        exported(folder.path(), &["lenet5"]),
        exported(folder.path(), &["lenet5", "--batch", "8", "--input", "1x28x28"]),
        exported(folder.path(), &["lenet5", "--at", "conv2", "--at", "logits", "--batch", "free"]),
        exported(folder.path(), &["lenet5", "--external-data"]),
    ];
    insta::assert_snapshot!("export_lenet5", told.join("\n"));
    assert_eq!(left(folder.path()), ["net.onnx", "net.onnx.data"]);
    // 61,706 parameters, each at a page of its own.
    let second = fs::metadata(folder.path().join("net.onnx.data")).unwrap().len();
    assert!((4 * 61_706..4 * 61_706 + 10 * 4096).contains(&second), "{second}");
}

#[test]
fn layers_change_as_for_the_other_commands() {
    let folder = tempfile::tempdir().unwrap();
    let told = exported(folder.path(), &["lenet5", "--convolutional", "--input", "free"]);
    for line in ["in  input (batch, 1, height, width)", "out logits (batch, 10, logits.height, logits.width)"]
    {
        assert!(told.lines().any(|told| told == line), "no `{line}` in\n{told}");
    }
    let told = exported(folder.path(), &["lenet5", "--in-channels", "3", "--classes", "7", "--batch", "2"]);
    for line in ["in  input (2, 3, 28, 28)", "out logits (2, 7)"] {
        assert!(told.lines().any(|told| told == line), "no `{line}` in\n{told}");
    }
    refused(
        &["export", "lenet5", "x.onnx", "--output-stride", "8"],
        2,
        &["lenet5", "output stride", "Xception"],
    );
}

#[test]
fn the_file_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path(), &["lenet5"]);
    let bytes = fs::read(folder.path().join("net.onnx")).unwrap();
    for text in [
        "architecture",
        "lenet5",
        r#"["0","1","2","3","4","5","6","7","8","9"]"#,
        "preprocessing",
        r#""mean":0.1307"#,
        "conv1.weight",
        "logits",
        "batch",
    ] {
        assert!(holds(&bytes, text), "there is no {text}");
    }
    // Through a pipe come the same bytes, and nothing else.
    let piped = zoo(&["export", "lenet5", "/dev/stdout"]).output().unwrap();
    assert!(piped.status.success() && piped.stdout == bytes);
    let help = printed(&["export", "--help"]);
    assert!(help.contains("zoo export resnet50 resnet50.onnx --batch 8 --fold-norms"), "{help}");
}

#[test]
fn a_folder_of_models_is_laid_out_as_triton_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("models");
    let told = printed(&["export", "lenet5", "--triton", models.to_str().unwrap()]);
    assert!(told.ends_with("models/lenet5/1/model.onnx\n"), "{told}");
    assert_eq!(left(&models.join("lenet5")), ["1", "config.pbtxt", "labels.txt"]);
    assert_eq!(left(&models.join("lenet5/1")), ["model.onnx"]);
    let config = || fs::read_to_string(models.join("lenet5/config.pbtxt")).unwrap();
    let gathered = config();
    let fixed = ["export", "lenet5", "--triton", models.to_str().unwrap(), "--batch", "4", "--at", "conv2"];
    printed(&fixed);
    insta::assert_snapshot!("export_triton", format!("{gathered}\n{}", config()));
    assert_eq!(fs::read_to_string(models.join("lenet5/labels.txt")).unwrap().lines().count(), 10);
    refused(&["export", "lenet5", "x.onnx", "--triton", "models"], 2, &["--triton"]);
    refused(&["export", "lenet5"], 2, &["OUT.onnx"]);
}

#[test]
fn a_wrong_call_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("net.onnx");
    let out = out.to_str().unwrap();
    let none: &[&str] = &[];
    for (arguments, names) in [
        (&["lenet6"][..], &["lenet5"][..]),
        (&["lenet5", "--batch", "0"], &["1 to 1000000", "free"]),
        (&["lenet5", "--batch", "many"], &["`free`"]),
        (&["lenet5", "--input", "28x28"], &["channels x height x width", "`free`"]),
        (&["lenet5", "--input", "1x32x32"], &["`fc1`", "1x28x28"]),
        (&["lenet5", "--input", "3x28x28"], &["`conv1`", "1x28x28"]),
        (&["lenet5", "--input", "free"], &["any size", "`fc1`"]),
        (&["lenet5", "--at", "conv9"], &["`conv2`"]),
        (&["lenet5", "--at", "conv2", "--at", "conv2"], &["twice"]),
        (&["lenet5", "--opset", "12"], none),
    ] {
        let mut all = vec!["export", arguments[0], out];
        all.extend(&arguments[1..]);
        refused(&all, 2, names);
    }
    refused(&["export", "lenet5", "/dev/stdout", "--external-data"], 2, &["second"]);
    refused(&["export", "lenet5", folder.path().to_str().unwrap()], 1, &["is a folder"]);
    refused(&["export", "resnet18", out, "--offline"], 1, &["resnet18"]);
    assert!(left(folder.path()).is_empty(), "{:?}", left(folder.path()));
}

#[test]
fn an_old_file_stays_where_the_new_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (out, weights) = (folder.path().join("net.onnx"), folder.path().join("w.safetensors"));
    fs::write(&out, "old").unwrap();
    fs::write(&weights, "no weights").unwrap();
    let arguments = ["export", "lenet5", out.to_str().unwrap(), "--weights", weights.to_str().unwrap()];
    let (code, said) = failed(&zoo(&arguments).output().unwrap());
    assert!(code == 1 && said.contains("w.safetensors"), "{said}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "old");
    assert_eq!(left(folder.path()), ["net.onnx", "w.safetensors"]);
}

#[test]
fn what_is_read_is_not_written_over_and_what_fails_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.safetensors");
    zoo::model("lenet5").unwrap().fresh().unwrap().save(&mine).unwrap();
    let before = fs::read(&mine).unwrap();
    let path = mine.to_str().unwrap();
    refused(&["export", path, path], 2, &["mine.safetensors", "another file"]);
    refused(&["explain", "lenet5", path, "-o", path], 2, &["mine.safetensors", "another file"]);
    refused(&["features", "lenet5", path, "-o", path], 2, &["mine.safetensors", "another file"]);
    refused(&["predict", path, "assets/digits/7.png", "--classes", "5"], 2, &["drawn anew", "zoo finetune"]);
    refused(&["export", "lenet5", path, "--weights", path], 2, &["mine.safetensors", "another file"]);
    assert!(fs::read(&mine).unwrap() == before, "the weights were written over");
    let models = folder.path().join("models");
    let there = models.to_str().unwrap();
    refused(&["export", "resnet18", "--triton", there, "--offline"], 1, &["resnet18"]);
    assert!(!models.exists(), "a version without a model was left");
    // Networks of one architecture lie beside each other under their files' names.
    printed(&["export", path, "--triton", there]);
    printed(&["export", "lenet5", "--triton", there]);
    assert_eq!(left(&models), ["lenet5", "mine"]);
}

#[test]
fn classes_are_the_classifiers_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    for places in [["conv2", "logits"], ["logits", "conv2"]] {
        exported(folder.path(), &["lenet5", "--at", places[0], "--at", places[1]]);
        let bytes = fs::read(folder.path().join("net.onnx")).unwrap();
        assert!(holds(&bytes, r#"["0","1","2","3","4","5","6","7","8","9"]"#), "{places:?}");
    }
}

/// What ends like a file of another kind is not written.
#[test]
fn a_files_ending_is_its_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    let digit = "assets/digits/7.png";
    for (call, name) in [
        (&["export", "lenet5"][..], "net.pt"),
        (&["diagram", "lenet5", "-o"], "net.png"),
        (&["diagram", "lenet5", "--format", "dot", "-o"], "net.svg"),
        (&["compare", "--plot"], "net.PDF"),
        (&["features", "lenet5", digit, "-o"], "net.npy"),
        (&["explain", "lenet5", digit, "-o"], "net.jpg"),
    ] {
        let to = path(name);
        let ending = name.split('.').next_back().unwrap();
        refused(&[call, &[&to]].concat(), 2, &[ending, "call it", "net."]);
    }
    refused(&["features", "lenet5", digit, "-o", "-"], 2, &["/dev/stdout"]);
    assert!(left(folder.path()).is_empty(), "{:?}", left(folder.path()));
    printed(&["diagram", "lenet5", "-o", &path("net.drawing")]);
}
