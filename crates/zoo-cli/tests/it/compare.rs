//! Networks side by side, and networks of another shape than the published ones.

use serde_json::{Value, json};

use crate::{failed, json, printed, refused, zoo};

#[test]
fn comparisons_look_as_blessed() {
    insta::assert_snapshot!("compare", printed(&["compare", "alexnet", "googlenet", "fcn_resnet50"]));
    insta::assert_snapshot!(
        "compare_markdown",
        printed(&["compare", "lenet5", "vgg16", "--format", "markdown"])
    );
    insta::assert_snapshot!(
        "compare_csv",
        printed(&["compare", "legacy_seresnet50", "seresnet50", "googlenet_paper", "--format", "csv"])
    );
    let narrow = zoo(&["compare", "resnet50", "senet154"]).env("COLUMNS", "60").output().unwrap();
    insta::assert_snapshot!("compare_narrow", String::from_utf8(narrow.stdout).unwrap());
}

#[test]
fn comparisons_hold_what_programs_want() {
    let entries = json(&["compare", "googlenet", "three_convs", "--batch", "50", "--format", "json"]);
    let [googlenet, convs] = entries.as_array().unwrap().as_slice() else { panic!("{entries}") };
    assert_eq!((&googlenet["year"], &googlenet["top1"]), (&json!(2014), &json!(69.778)));
    assert_eq!(
        (&googlenet["params"], &googlenet["params_auxiliary"]),
        (&json!(6_624_904), &json!(6_379_984))
    );
    assert!(googlenet["authors"].as_str().unwrap().starts_with("Szegedy"));
    assert!(googlenet["top1_source"].as_str().unwrap().contains("torchvision"));
    assert!(!googlenet["idea"].as_str().unwrap().is_empty());
    assert_eq!((&convs["top1"], &convs["latency_ms"]), (&Value::Null, &Value::Null));
    assert_eq!(convs["memory"]["training_bytes"], 569_227_200);
}

#[test]
fn latency_is_measured_when_asked_for() {
    let entries =
        json(&["compare", "lenet5", "mnist_convnet", "--time", "--threads", "1", "--format", "json"]);
    for entry in entries.as_array().unwrap() {
        assert!(entry["latency_ms"].as_f64().unwrap() > 0.0, "{entry}");
    }
    assert!(printed(&["compare", "lenet5", "--time"]).lines().last().unwrap().ends_with(" ms"));
}

#[test]
fn the_list_says_who_thought_what_and_where_the_accuracy_is_published() {
    let lines = json(&["list", "--format", "json"]);
    for line in lines.as_array().unwrap() {
        for field in ["authors", "idea", "family"] {
            assert!(!line[field].as_str().unwrap().is_empty(), "{line}");
        }
        assert_eq!(line["top1"].is_null(), line["top1_source"].is_null(), "{line}");
        assert!(line["top1"].is_null() || line["accuracy"]["percent"] == line["top1"], "{line}");
    }
    insta::assert_snapshot!("list_vgg", printed(&["list", "vgg*"]));
    insta::assert_snapshot!("list_narrow", at_width(&["list", "seresnext"], "50"));
    insta::assert_snapshot!("list_fcn_csv", printed(&["list", "fcn", "--format", "csv"]));
}

fn at_width(arguments: &[&str], columns: &str) -> String {
    String::from_utf8(zoo(arguments).env("COLUMNS", columns).output().unwrap().stdout).unwrap()
}

#[test]
fn the_list_is_as_wide_as_the_terminal_and_loses_nothing_by_it() {
    let entries = json(&["list", "--format", "json"]);
    let entries = entries.as_array().unwrap();
    for (columns, text) in [
        (80, printed(&["list"])),
        (50, at_width(&["list"], "50")),
        (80, at_width(&["list"], "80")),
        (132, at_width(&["list"], "132")),
        (200, at_width(&["list"], "200")),
    ] {
        assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
        for entry in entries {
            let name = entry["name"].as_str().unwrap();
            let mut rows = text.lines().skip_while(|line| line.split_whitespace().next() != Some(name));
            let first = rows.next().unwrap_or_else(|| panic!("{name} is not at {columns}")).to_string();
            let rest: Vec<&str> = rows.take_while(|line| line.starts_with("    ")).collect();
            let row = first + " " + &rest.join(" ");
            for weights in entry["weights"].as_array().unwrap() {
                let tag = weights["tag"].as_str().unwrap();
                assert!(row.contains(&tag[name.len() + 1..]), "{tag} is not at {columns}: {row}");
            }
        }
    }
}

/// The figures of a summary, and the size of its last layer's output.
fn shaped(arguments: &[&str]) -> (Value, Value) {
    let summary = json(&[&["summary"], arguments, &["--format", "json"]].concat());
    (
        summary["params"]["total"].clone(),
        summary["layers"].as_array().unwrap().last().unwrap()["output"].clone(),
    )
}

#[test]
fn networks_take_other_shapes() {
    let resnet = |arguments: &[&str]| shaped(&[&["resnet50", "--at", "layer4"], arguments].concat());
    assert_eq!(resnet(&["--output-stride", "8"]), (json!(23_508_032), json!([1, 2048, 28, 28])));
    assert_eq!(resnet(&["--output-stride", "16"]), (json!(23_508_032), json!([1, 2048, 14, 14])));
    let stem = 64 * 3 * (49 - 9);
    assert_eq!(resnet(&["--small-images"]), (json!(23_508_032 - stem), json!([1, 2048, 4, 4])));
    let grey = 64 * 2 * 49;
    assert_eq!(resnet(&["--in-channels", "1"]), (json!(23_508_032 - grey), json!([1, 2048, 7, 7])));
    let sliding = shaped(&["vgg16", "--convolutional", "--input", "3x256x288"]);
    assert_eq!(sliding, (json!(138_357_544), json!([1, 1000, 2, 3])));
    let entries =
        json(&["compare", "seresnet18", "resnet18", "--small-images", "--classes", "10", "--format", "json"]);
    assert_eq!(entries[0]["input"], json!([3, 32, 32]));
}

#[test]
fn what_was_published_is_of_the_published_network() {
    let accuracy = |arguments: &[&str]| {
        let entries = json(&[&["compare", "resnet18", "--format", "json"], arguments].concat());
        entries[0]["accuracy"]["percent"].as_f64()
    };
    assert_eq!(accuracy(&[]), Some(69.758));
    assert_eq!(accuracy(&["--input", "3x224x224"]), Some(69.758));
    for changed in
        [&["--classes", "3"][..], &["--in-channels", "1"], &["--at", "layer1"], &["--input", "3x64x64"]]
    {
        assert_eq!(accuracy(changed), None, "{changed:?}");
    }
    // A file is called as it was named.
    let folder = tempfile::tempdir().unwrap();
    let mine = folder.path().join("mine.safetensors");
    zoo::model("lenet5").unwrap().fresh().unwrap().save(&mine).unwrap();
    let path = mine.to_str().unwrap();
    let entries = json(&["compare", path, "lenet5", "--format", "json"]);
    assert_eq!((&entries[0]["model"], &entries[0]["name"]), (&json!(path), &json!("lenet5")));
    assert_eq!(entries[1]["model"], "lenet5");
}

/// More networks than a terminal has room for stand in tables one below the other.
#[test]
fn many_networks_fit_a_narrow_terminal() {
    let names =
        ["lenet5", "alexnet", "vgg16", "googlenet", "resnet50", "xception", "legacy_seresnext101_32x4d"];
    let output = zoo(&[&["compare"], &names[..]].concat()).env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('…') && names.iter().all(|name| text.contains(name)), "{text}");
    assert_eq!(text.matches("parameters").count(), 3, "{text}");
}

/// An auxiliary head, which answers nothing, keeps nobody from smaller pictures.
#[test]
fn an_auxiliary_head_asks_for_no_larger_pictures() {
    let summary = json(&["summary", "inception_v3", "--input", "3x128x128", "--format", "json"]);
    assert_eq!(summary["params"]["auxiliary"], 0);
    assert_eq!(
        json(&["summary", "inception_v3", "--format", "json"])["params"]["total"],
        summary["params"]["total"]
    );
    refused(&["summary", "inception_v3", "--input", "3x50x50"], 2, &["3x75x75"]);
}

#[test]
fn what_a_network_can_not_be_is_said_with_what_it_can() {
    let wrong = |arguments: &[&str], names: &[&str]| refused(arguments, 2, names);
    wrong(&["compare"], &["MODEL"]);
    wrong(&["compare", "resnet50", "resnet5"], &["resnet5", "`resnet50`", "zoo list"]);
    wrong(&["compare", "resnet18", "--classes", "0"], &["resnet18", "`fc`", "at least 1 class"]);
    wrong(
        &["compare", "resnet18", "alexnet", "--input", "3x40x40"],
        &["alexnet", "`features.12`", "3x63x63"],
    );
    wrong(&["compare", "lenet5", "--batch", "0"], &["--batch", "0"]);
    wrong(&["compare", "lenet5", "--threads", "0", "--time"], &["--threads"]);
    wrong(&["compare", "resnet50", "--time", "--batch", "1000000"], &["resnet50", "TB", "--batch"]);
    wrong(&["summary", "resnet50", "--output-stride", "12"], &["`layer4`", "12", "8, 16 or 32"]);
    wrong(&["summary", "xception", "--output-stride", "0"], &["`block12`", "0", "8, 16 or 32"]);
    wrong(&["summary", "vgg16", "--output-stride", "8"], &["`vgg16`", "ResNet, SENet and Xception"]);
    wrong(&["summary", "xception", "--small-images"], &["`xception`", "ResNet and SENet"]);
    wrong(&["summary", "resnet18", "--small-images", "--output-stride", "16"], &["16", "2, 4 or 8"]);
    wrong(&["summary", "resnet50", "--in-channels", "0"], &["`input`", "0x224x224"]);
    wrong(&["summary", "resnet50", "--input", "1x224x224"], &["`resnet50`", "3 channels", "--in-channels 1"]);
    wrong(&["summary", "resnet50", "--at", "layer5"], &["layer5", "`layer4`", "its output is `logits`"]);
    wrong(&["summary", "fcn_resnet50", "--at", "out"], &["out", "its outputs are `logits`, `aux`"]);
    wrong(&["summary", "lenet5_paper", "--convolutional"], &["`output`", "RBF"]);
    wrong(&["summary", "vgg19", "--input", "3x31x31"], &["`features.36`", "1x1", "3x32x32"]);
    for most in ["18446744073709551615", "1000000000000"] {
        wrong(&["summary", "resnet50", "--classes", most], &["`fc`", "memory"]);
        wrong(&["summary", "resnet50", "--in-channels", most], &["`input`", "memory"]);
        wrong(&["summary", "fcn8s", "--input", &format!("3x{most}x3")], &["`input`", "memory"]);
    }
    let nothing = zoo(&["compare", "nowhere.safetensors"]).output().unwrap();
    let (code, said) = failed(&nothing);
    assert!(code == 1 && said.contains("nowhere.safetensors"), "{code}: {said}");
}
