//! What answers call their classes, and what a network says that has none.

use std::fs;

use serde_json::Value;
use zoo_weights::TensorFile;

use crate::weights::Bench;

#[test]
fn one_output_is_a_score_and_no_certainty() {
    let bench = Bench::new();
    let one = bench.fresh("one.safetensors", "lenet5", 1);
    let (one, out) = (one.to_str().unwrap(), bench.path("out.safetensors"));
    bench.printed(&["convert", one, &out, "--model", "lenet5"]);
    let digits = ["assets/digits/0.png", "assets/digits/1.png", "assets/digits/7.png"];
    let scores = bench.json(&[&["predict", &out], &digits[..]].concat());
    let scores: Vec<f64> = scores
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            assert_eq!(line["top"], serde_json::json!([]), "{line}");
            line["score"].as_f64().unwrap()
        })
        .collect();
    for format in ["table", "csv", "markdown"] {
        let said = bench.printed(&["predict", &out, digits[0], "--format", format]);
        assert!(said.contains("score") && !said.contains('%') && !said.contains("class"), "{said}");
        assert!(said.contains(&(scores[0] as f32).to_string()), "{said}");
    }

    // Two names say that it decides between two classes: the sigmoid of the score is the second's probability.
    let names = bench.path("names.txt");
    fs::write(&names, "cat\ndog\n").unwrap();
    bench.printed(&["convert", one, &out, "--model", "lenet5", "--classes", &names]);
    let answers = bench.json(&[&["predict", &out], &digits[..]].concat());
    for (line, score) in answers.as_array().unwrap().iter().zip(&scores) {
        let top = line["top"].as_array().unwrap();
        assert_eq!((top.len(), line["score"].as_f64().unwrap()), (2, *score));
        let dog = top.iter().find(|class| class["label"] == "dog").unwrap();
        assert_eq!(dog["index"], 1);
        let expected = 1.0 / (1.0 + (-score).exp());
        assert!((dog["probability"].as_f64().unwrap() - expected).abs() < 1e-6, "{line}");
        let sum: f64 = top.iter().map(|class| class["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-6 && top[0]["probability"].as_f64() >= top[1]["probability"].as_f64());
    }
    // The library says the same.
    let picture = zoo::Picture::open(crate::root().join(digits[2])).unwrap();
    let answer = zoo::model(&out).unwrap().pretrained().unwrap().classify(&picture).unwrap();
    assert_eq!((answer.top.len(), answer.score), (2, Some(scores[2] as f32)));
    fs::write(&names, "cat\ndog\nbird\n").unwrap();
    bench.refused(
        &["convert", one, &out, "--model", "lenet5", "--classes", &names],
        2,
        &["3 names", "1 output"],
    );
}

#[test]
fn one_output_is_judged_between_two_classes_or_not_at_all() {
    let bench = Bench::new();
    let one = bench.fresh("one.safetensors", "lenet5", 1);
    let (one, out, names) = (one.to_str().unwrap(), bench.path("out.safetensors"), bench.path("names.txt"));
    let folder = tempfile::tempdir().unwrap();
    for (class, digits) in [("cat", 0..3), ("dog", 3..7)] {
        fs::create_dir_all(folder.path().join(class)).unwrap();
        for digit in digits {
            let from = crate::root().join(format!("assets/digits/{digit}.png"));
            fs::copy(from, folder.path().join(class).join(format!("{digit}.png"))).unwrap();
        }
    }
    let data = folder.path().to_str().unwrap();
    bench.printed(&["convert", one, &out, "--model", "lenet5"]);
    bench.refused(&["eval", &out, "--data", data], 2, &["one score", "zoo convert --classes"]);
    fs::write(&names, "cat\ndog\n").unwrap();
    bench.printed(&["convert", one, &out, "--model", "lenet5", "--classes", &names]);
    let judged = bench.json(&["eval", &out, "--data", data]);
    let answers = bench
        .json(&[&["predict", &out], &[format!("{data}/cat").as_str(), &format!("{data}/dog")][..]].concat());
    let answers = answers.as_array().unwrap();
    let right =
        |line: &&Value| line["path"].as_str().unwrap().contains(line["top"][0]["label"].as_str().unwrap());
    let share = answers.iter().filter(right).count() as f64 / 7.0;
    assert_eq!((&judged["pictures"], judged["top1"].as_f64()), (&7.into(), Some(share)), "{judged}");
    // What there is to explain is the second's score.
    let explain = ["explain", &out, "assets/digits/7.png", "-o", &bench.path("why.png"), "--class"];
    assert!(bench.printed(&[&explain[..], &["dog"]].concat()).contains(": dog, "));
    bench.refused(&[&explain[..], &["cat"]].concat(), 2, &["one score", "`dog`", "speaks for `cat`"]);
    // Line by line the same is said of each picture as `predict` says.
    let output = bench.zoo(&["eval", &out, "--data", data, "--format", "jsonl"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 7, "{lines}");
    for (line, answer) in lines.lines().zip(answers) {
        let line: Value = serde_json::from_str(line).unwrap();
        let likeliest =
            |said: &Value| (said["top"][0]["label"].clone(), said["top"][0]["probability"].as_f64().unwrap());
        let ((class, said), (other, wanted)) = (likeliest(&line), likeliest(answer));
        assert!(class == other && (said - wanted).abs() < 1e-6, "{line} {answer}");
    }
}

#[test]
fn names_of_classes_come_as_people_keep_them() {
    let bench = Bench::new();
    let three = bench.fresh("three.safetensors", "lenet5", 3);
    let (three, out, names) =
        (three.to_str().unwrap(), bench.path("out.safetensors"), bench.path("names.txt"));
    let convert = ["convert", three, &out, "--model", "lenet5", "--classes", &names];
    for text in [
        "\u{feff}cat\r\ndog\r\nowl\r\n",
        "0: cat\n1: dog\n2: owl",
        "2: owl\n0: cat\n1: dog\n",
        "{0: 'cat',\n 1: 'dog',\n 2: 'owl'}",
    ] {
        fs::write(&names, text).unwrap();
        bench.printed(&convert);
        let card = TensorFile::open(&out).unwrap().metadata()["zoo"].clone();
        assert!(card.contains(r#""classes":["cat","dog","owl"]"#), "{text:?}: {card}");
    }
    fs::write(&names, "cat\ndog\ncat\n").unwrap();
    let output = bench.zoo(&convert).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`cat` is the name of classes 0, 2"), "{said}");
    fs::write(&names, "0: cat\n1: dog\n3: owl\n").unwrap();
    bench.refused(&convert, 1, &["names.txt", "2 is left out"]);
    // A name that would be obeyed by a terminal is shown.
    fs::write(&names, "a\u{1b}[2J\nb|c\nd\n").unwrap();
    bench.printed(&convert);
    for format in ["table", "csv", "markdown", "json"] {
        let said = bench.printed(&["predict", &out, "assets/digits/7.png", "--format", format]);
        assert!(!said.contains('\u{1b}') && said.contains("[2J"), "{said:?}");
    }
}
