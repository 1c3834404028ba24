//! What `zoo eval` says of each picture, and of networks with one output.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{failed, json, root, weights::Bench, zoo};

/// Digits in a folder for each class, called as `names` has it.
fn digits(folder: &Path, names: &[(&str, &[u8])]) {
    for (name, digits) in names {
        fs::create_dir_all(folder.join(name)).unwrap();
        for digit in *digits {
            let from = root().join(format!("assets/digits/{digit}.png"));
            fs::copy(from, folder.join(name).join(format!("{digit}.png"))).unwrap();
        }
    }
}

#[test]
fn every_picture_has_a_line_in_order_and_the_totals_stand_beside() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("digits");
    let of: [(&str, &[u8]); 5] = [("0", &[0]), ("1", &[1]), ("2", &[2, 5]), ("3", &[3]), ("7", &[7])];
    digits(&data, &of);
    fs::write(data.join("2/3.png"), "no picture").unwrap();
    fs::write(data.join("7/z.png"), "").unwrap();
    let data = data.to_str().unwrap();
    let call = ["eval", "lenet5", "--data", data, "--batch", "3", "--format"];
    let output = zoo(&[&call[..], &["jsonl"]].concat()).output().unwrap();
    let (code, said) = failed(&output);
    assert_eq!(code, 0, "{said}");
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&str, Option<bool>, bool)> = lines
        .iter()
        .map(|line| (line["path"].as_str().unwrap(), line["right"].as_bool(), line["error"].is_string()))
        .collect();
    let right = |path| (path, Some(true), false);
    let wanted = [
        right("0/0.png"),
        right("1/1.png"),
        right("2/2.png"),
        ("2/3.png", None, true),
        ("2/5.png", Some(false), false),
        right("3/3.png"),
        right("7/7.png"),
        ("7/z.png", None, true),
    ];
    assert_eq!(told, wanted);
    assert_eq!((&lines[4]["class"], &lines[4]["top"][0]["label"]), (&"2".into(), &"5".into()));
    let answers = json(&["predict", "lenet5", "assets/digits/5.png", "--format", "json"]);
    assert_eq!(lines[4]["top"], answers[0]["top"], "what `zoo predict` says of it");
    assert!(said.contains("top-1              83.33 %") && said.contains("not read           2"), "{said}");
    let whole = json(&[&call[..], &["json"]].concat());
    assert_eq!((&whole["pictures"], whole["errors"].as_array().unwrap().len()), (&6.into(), 2));
}

#[test]
fn one_output_is_judged_between_two_classes_or_not_at_all() {
    let bench = Bench::new();
    let one = bench.fresh("one.safetensors", "lenet5", 1);
    let (one, out, names) = (one.to_str().unwrap(), bench.path("out.safetensors"), bench.path("names.txt"));
    let folder = tempfile::tempdir().unwrap();
    digits(folder.path(), &[("cat", &[0, 1, 2]), ("dog", &[3, 4, 5, 6])]);
    let data = folder.path().to_str().unwrap();
    bench.printed(&["convert", one, &out, "--model", "lenet5"]);
    bench.refused(&["eval", &out, "--data", data], 2, &["one score", "zoo convert --classes"]);
    fs::write(&names, "cat\ndog\n").unwrap();
    bench.printed(&["convert", one, &out, "--model", "lenet5", "--classes", &names]);
    let judged = bench.json(&["eval", &out, "--data", data]);
    let answers = bench
        .json(&[&["predict", &out], &[format!("{data}/cat").as_str(), &format!("{data}/dog")][..]].concat());
    let right =
        |line: &&Value| line["path"].as_str().unwrap().contains(line["top"][0]["label"].as_str().unwrap());
    let share = answers.as_array().unwrap().iter().filter(right).count() as f64 / 7.0;
    assert_eq!((&judged["pictures"], judged["top1"].as_f64()), (&7.into(), Some(share)), "{judged}");
}
