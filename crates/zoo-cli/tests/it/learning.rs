//! Training, fine-tuning and judging as their users meet them: any pictures, killed at any moment, gone on with.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{json, printed, refused, zoo};

/// Pictures of two classes, light and dark, as PGM files of 32x32.
pub(crate) fn pictures(folder: &Path, each: usize) -> PathBuf {
    let data = folder.join("data");
    for (class, base) in [("dark", 40), ("light", 170)] {
        fs::create_dir_all(data.join(class)).unwrap();
        for number in 0..each {
            let pixels = (0..32 * 32).map(|i| (base + (i * 7 + number * 13 + i / 32 * number) % 60) as u8);
            let bytes: Vec<u8> = b"P5 32 32 255\n".iter().copied().chain(pixels).collect();
            fs::write(data.join(class).join(format!("{number}.pgm")), bytes).unwrap();
        }
    }
    data
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn report(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("report.json")).unwrap()).unwrap()
}

/// The files of a run that hold no time.
pub(crate) fn files(run: &Path) -> Vec<Vec<u8>> {
    ["best.safetensors", "last.checkpoint", "report.json", "curves.svg", "split.json"]
        .map(|name| fs::read(run.join(name)).unwrap())
        .into()
}

/// Begins a run, kills it again and again, and goes on with it until it ends.
pub(crate) fn killed(call: &[&str], run: &Path, moments: &[u64]) {
    let command = call[0];
    let mut begun = false;
    for moment in moments {
        let arguments: Vec<&str> = match begun {
            true => vec![command, "--resume", text(run), "--checkpoint-every", "0"],
            false => [call, &["-o", text(run), "--checkpoint-every", "0"]].concat(),
        };
        let mut child = zoo(&arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        // The first kill waits for the folder, so that there is something to go on with.
        while !run.join("split.json").exists() && start.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(*moment) {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        begun = true;
    }
    printed(&[command, "--resume", text(run)]);
}

#[test]
fn a_training_that_is_killed_again_and_again_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 30);
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let call =
        ["train", "resnet20_cifar", "--data", text(&data), "--epochs", "3", "--batch", "8", "--seed", "3"];
    let said = printed(&[&call[..], &["-o", text(&whole)]].concat());
    assert!(said.contains("test pictures right"), "{said}");
    killed(&call, &broken, &[0, 40, 90, 150, 210, 300]);
    assert!(files(&whole) == files(&broken), "the run that was killed gave other files");
    // What it made is a model that tells the classes apart by name.
    let best = whole.join("best.safetensors");
    let image = data.join("light/0.pgm");
    let answers = json(&["predict", text(&best), text(&image), "--format", "json"]);
    let labels: Vec<&str> =
        answers[0]["top"].as_array().unwrap().iter().map(|class| class["label"].as_str().unwrap()).collect();
    assert!(labels.contains(&"dark") && labels.contains(&"light"), "{labels:?}");
    // Judged again on its own test part, it is as its report says.
    let split = whole.join("split.json");
    let judged =
        json(&["eval", text(&best), "--data", text(&data), "--split", text(&split), "--format", "json"]);
    let report = report(&whole);
    assert_eq!(
        (&judged["top1"], &judged["confusion"]),
        (&report["test"]["top1"], &report["test"]["confusion"])
    );
    assert_eq!(
        report["split"]["train"].as_u64().unwrap() + report["split"]["validation"].as_u64().unwrap(),
        52
    );
    refused(&["train", "lenet5", "-o", text(&whole)], 1, &["whole", "holds a run"]);
    refused(&["finetune", "--resume", text(&whole)], 2, &["zoo train --resume"]);
    refused(&["train", "--resume", text(&data)], 1, &["data", "holds no run"]);
}

#[test]
fn a_fine_tuning_that_is_killed_ends_in_the_same_bytes_and_learns() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 30);
    let weights = folder.path().join("learned.safetensors");
    zoo::model("resnet20_cifar").unwrap().fresh().unwrap().save(&weights).unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let (data, weights) = (text(&data), text(&weights));
    let call =
        ["finetune", "resnet20_cifar", "--weights", weights, "--data", data, "--epochs", "2", "--batch", "8"];
    printed(&[&call[..], &["-o", text(&whole)]].concat());
    killed(&call, &broken, &[10, 120, 260, 400]);
    assert!(files(&whole) == files(&broken), "the run that was killed gave other files");
    let report = report(&whole);
    let stages: Vec<&str> =
        report["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!(stages, ["head", "top", "all"]);
    assert!(report["test"]["top1"].as_f64().unwrap() >= 0.75, "{}", report["test"]);
    // A file, of the head alone.
    let file = folder.path().join("probe.safetensors");
    printed(&[&call[..6], &["--linear-probe", "-o", text(&file)]].concat());
    assert_eq!(zoo::model(text(&file)).unwrap().options().num_classes, Some(2));
    assert!(folder.path().join("probe.run/report.json").exists());
    // Batches of one picture have statistics only if norms keep those that they came with.
    let single = folder.path().join("single");
    let call = [&call[..6], &["--batch", "1", "--epochs", "1", "-o", text(&single)]].concat();
    refused(&call, 2, &["a batch of one picture", "`--frozen-norms`"]);
    printed(&[&call[..], &["--frozen-norms"]].concat());
    assert!(single.join("best.safetensors").exists());
}

#[test]
fn what_can_not_be_learned_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 4);
    let data = text(&data);
    let run = folder.path().join("run");
    let run = text(&run);
    refused(&["train", "resnet18", "-o", run], 2, &["resnet18", "--data", "lenet5"]);
    refused(&["train", "resnet5", "--data", data, "-o", run], 2, &["`resnet50`"]);
    refused(&["train", "three_convs", "--data", data, "-o", run], 2, &["three_convs"]);
    refused(&["train", "resnet20_cifar", "--data", "nowhere", "-o", run], 1, &["nowhere"]);
    refused(
        &["train", "resnet20_cifar", "--data", data, "--rate", "0", "-o", run],
        2,
        &["learning rate is 0"],
    );
    refused(&["train", "resnet20_cifar", "--data", data, "--validation", "1", "-o", run], 2, &["1"]);
    let single = ["train", "resnet20_cifar", "--data", data, "--batch", "1", "-o", run];
    refused(&single, 2, &["a batch of one picture", "`bn1`", "frozen_norms"]);
    refused(&["finetune", "resnet20_cifar", "-o", run], 2, &["--data"]);
    refused(&["train", "lenet5", "-o", "net.pth"], 2, &["net.pth", "a run's folder", "net.safetensors"]);
    let thaw =
        ["finetune", "resnet20_cifar", "--data", data, "--unfreeze", "layer9", "--weights", data, "-o", run];
    refused(&thaw, 2, &["`layer9`", "layer1"]);
    let recipe = folder.path().join("mine.toml");
    fs::write(&recipe, "epoch = 3\n").unwrap();
    refused(
        &["train", "resnet20_cifar", "--data", data, "--recipe", text(&recipe), "-o", run],
        2,
        &["mine.toml", "`epoch`"],
    );
    assert!(!Path::new(run).exists(), "something was written");
    // Of pictures that can't be read there is word, and the rest is learned from.
    fs::write(Path::new(data).join("dark/broken.png"), "no picture").unwrap();
    let output = zoo(&["eval", "lenet5", "--data", data]).output().unwrap();
    assert!(!output.status.success(), "`dark` is no digit");
    assert!(String::from_utf8_lossy(&output.stderr).contains("dark"));
}

#[test]
fn the_digits_inside_the_program_are_judged() {
    let judged = json(&["eval", "lenet5", "--format", "json"]);
    assert_eq!((&judged["pictures"], &judged["errors"]), (&1000.into(), &Value::Array(Vec::new())));
    assert!(judged["top1"].as_f64().unwrap() > 0.985 && judged["ece"].as_f64().unwrap() < 0.1);
    assert_eq!(judged["classes"][7]["name"], "7");
    let judged = json(&["eval", "digitnet", "--format", "json"]);
    assert!(judged["top1"].as_f64().unwrap() >= 0.99, "{}", judged["top1"]);
}

#[test]
fn a_fine_tuning_that_begins_with_another_file_is_gone_on_with_from_what_it_carried() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 30);
    let start = folder.path().join("start.safetensors");
    zoo::model("resnet20_cifar").unwrap().seed(9).fresh().unwrap().save(&start).unwrap();
    // Its pixels aren't the usual ones: what goes on must not go back to those.
    let bytes = fs::read(&start).unwrap();
    let at = bytes.windows(13).position(|part| part == br#"\"scale\":1.0"#).unwrap();
    fs::write(&start, [&bytes[..at], br#"\"scale\":2.0"#, &bytes[at + 13..]].concat()).unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let call = ["finetune", "resnet20_cifar", "--init-from", text(&start), "--data", text(&data)];
    let flags = ["--linear-probe", "--epochs", "6", "--batch", "8", "--balanced"];
    let call = [&call[..], &flags].concat();
    printed(&[&call[..], &["-o", text(&whole)]].concat());
    killed(&call, &broken, &[0, 30, 60, 90]);
    assert!(files(&whole) == files(&broken), "the run that was killed gave other files");
    let learned = fs::read(whole.join("best.safetensors")).unwrap();
    assert!(learned.windows(13).any(|part| part == br#"\"scale\":2.0"#), "other pixels than it began with");
    // The head learned as the flags say.
    let run: Value = serde_json::from_str(&fs::read_to_string(whole.join("run.json")).unwrap()).unwrap();
    let recipe = &run["stages"][0]["recipe"];
    assert_eq!((&recipe["epochs"], &recipe["batch_size"]), (&6.into(), &8.into()), "{recipe}");
    // Killed between its two first files, a run writes the other one when it is taken up again.
    fs::remove_file(broken.join("split.json")).unwrap();
    printed(&["finetune", "--resume", text(&broken)]);
    assert!(files(&whole) == files(&broken), "the split wasn't written again");
    let both = folder.path().join("both");
    let both = [&call[..], &["--weights", text(&start), "-o", text(&both)]].concat();
    refused(&both, 2, &["`--weights`", "`--init-from"]);
    let nothing = folder.path().join("nothing");
    let thaw = [&call[..6], &["--unfreeze", "avgpool", "-o", text(&nothing)]].concat();
    refused(&thaw, 2, &["`avgpool`", "no parameters"]);
    assert!(!nothing.exists());
}

#[test]
fn what_comes_to_nothing_leaves_no_run_behind_and_what_is_left_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 12);
    let (data, run) = (text(&data), folder.path().join("run"));
    let call = ["train", "resnet20_cifar", "--data", data, "--epochs", "1", "--batch", "4", "-o", text(&run)];
    refused(&[&call[..], &["--in-channels", "4"]].concat(), 2, &["4x32x32"]);
    refused(&[&call[..], &["--classes", "5"]].concat(), 2, &["`--classes` is 5", "has 2"]);
    assert!(!run.exists(), "something was written");
    // A folder that learned nothing is no run to lose.
    fs::create_dir(&run).unwrap();
    fs::write(run.join("run.json"), "{}").unwrap();
    refused(&call, 1, &["holds a run"]);
    assert_eq!(fs::read(run.join("run.json")).unwrap(), b"{}", "somebody else's file");
    fs::write(run.join("run.json"), "{\"stages\": []}").unwrap();
    printed(&call);
    refused(&call, 1, &["holds a run"]);
    // Pictures that no machine holds are told before they are asked for.
    let large = folder.path().join("large");
    if cfg!(target_os = "linux") {
        let huge = ["--input", "3x20000x20000"];
        let train = ["train", "resnet20_cifar", "--data", data, "--epochs", "1", "-o", text(&large)];
        refused(&[&train[..], &huge].concat(), 2, &["resnet20_cifar", "--input"]);
        let best = run.join("best.safetensors");
        refused(&[&["eval", text(&best), "--data", data][..], &huge].concat(), 2, &["--input"]);
        assert!(!large.exists());
    }
    // A batch of which no picture can be read is passed over; data of which none can is an error.
    let broken = folder.path().join("data/dark/broken.png");
    fs::write(&broken, "no picture").unwrap();
    let single = folder.path().join("single");
    let weights = run.join("best.safetensors");
    let call =
        ["finetune", text(&weights), "--data", data, "--batch", "1", "--epochs", "1", "--frozen-norms"];
    printed(&[&call[..], &["--unfreeze", "all", "-o", text(&single)]].concat());
    fs::remove_file(&broken).unwrap();
    // What is called like a picture and is none.
    let gone = folder.path().join("data/light/gone.pgm");
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", &gone).unwrap();
    #[cfg(not(unix))]
    return;
    let judged = json(&["eval", text(&weights), "--data", data, "--format", "json"]);
    assert!(judged["errors"][0]["path"].as_str().unwrap().ends_with("gone.pgm"), "{}", judged["errors"]);
    let called =
        |format: &str| zoo(&["eval", text(&weights), "--data", data, "--format", format]).output().unwrap();
    let table = String::from_utf8(called("table").stdout).unwrap();
    assert!(table.lines().any(|line| line.split_whitespace().eq(["not", "read", "1"])), "{table}");
    let lines = called("jsonl");
    let last: Value =
        serde_json::from_slice(lines.stdout.trim_ascii().rsplit(|b| *b == b'\n').next().unwrap()).unwrap();
    assert!(last["path"].as_str().unwrap().ends_with("gone.pgm") && last["error"].is_string(), "{last}");
    assert!(String::from_utf8_lossy(&lines.stderr).contains("1 not read"));
    refused(&["eval", text(&weights), "--data", data, "--strict"], 1, &["gone.pgm"]);
    // Pictures of one class are enough to be judged by, and not to learn from.
    let one = folder.path().join("one");
    fs::create_dir_all(one.join("dark")).unwrap();
    fs::copy(folder.path().join("data/dark/0.pgm"), one.join("dark/0.pgm")).unwrap();
    let judged = json(&["eval", text(&weights), "--data", text(&one), "--format", "json"]);
    assert_eq!(judged["pictures"], 1);
    refused(&["train", "resnet20_cifar", "--data", text(&one)], 1, &["1 class", "at least 2"]);
    let strict = folder.path().join("strict");
    let call = ["train", "resnet20_cifar", "--data", data, "--strict", "-o", text(&strict)];
    refused(&call, 1, &["gone.pgm"]);
    assert!(!strict.exists(), "what would end it is seen before it begins");
}

/// Ctrl-C ends a step and writes it down; meanwhile nobody else writes there, and afterwards only the same data will do.
#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_says_how_to_go_on_and_goes_on_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 30);
    let run = folder.path().join("run");
    let learned = folder.path().join("learned.safetensors");
    zoo::model("resnet20_cifar").unwrap().fresh().unwrap().save(&learned).unwrap();
    // Named from where the call is made, and gone on with from elsewhere.
    let call = ["finetune", "learned.safetensors", "--data", "data", "--unfreeze", "all", "--epochs", "400"];
    let child = zoo(&[&call[..], &["--batch", "8", "-o", "run"]].concat())
        .current_dir(folder.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !run.join("last.checkpoint").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing was written down");
        std::thread::yield_now();
    }
    refused(&["finetune", "--resume", text(&run)], 1, &["still at work", "another folder"]);
    let asked = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped, and written down; go on with `zoo finetune --resume run`"), "{said}");
    let picture = data.join("dark/0.pgm");
    let before = fs::read(&picture).unwrap();
    fs::write(&picture, &before[..before.len() - 1]).unwrap();
    refused(&["finetune", "--resume", text(&run)], 1, &["the data has changed", "bring it back"]);
    fs::write(&picture, before).unwrap();
    let checkpoint = || fs::read(run.join("last.checkpoint")).unwrap();
    let stopped = checkpoint();
    let mut child = zoo(&["finetune", "--resume", text(&run), "--checkpoint-every", "0"]).spawn().unwrap();
    while checkpoint() == stopped {
        assert!(child.try_wait().unwrap().is_none(), "it ended and wrote nothing");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
