//! Where runs keep what they make, and what happens if they can't.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::learning::{files, pictures, text};
use crate::{failed, json, printed, refused, zoo};

const QUICK: [&str; 6] = ["--epochs", "2", "--batch", "8", "--seed", "3"];

/// Runs the program where no file may become larger than 32 KiB, as if the disk were full then.
#[cfg(unix)]
fn on_a_full_disk(arguments: &[&str]) -> Output {
    let program = zoo(arguments);
    let mut shell = Command::new("sh");
    // A file that would become larger gives an error instead of a signal; dash and bash count blocks of their own.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$@\"", "sh"]);
    shell.arg(program.get_program()).args(program.get_args()).current_dir(crate::root());
    shell.output().unwrap()
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_checkpoint_before_and_the_run_can_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 20);
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let call = [&["train", "resnet20_cifar", "--data", text(&data)], &QUICK[..]].concat();
    printed(&[&call[..], &["-o", text(&whole)]].concat());
    // Killed behind its first checkpoint, resumed on a full disk, and resumed again.
    let mut child = zoo(&[&call[..], &["-o", text(&broken), "--checkpoint-every", "0"]].concat())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let checkpoint = broken.join("last.checkpoint");
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = fs::read(&checkpoint).unwrap();
    let (code, said) = failed(&on_a_full_disk(&["train", "--resume", text(&broken)]));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(text(&broken)), "no file is named: {said}");
    assert!(fs::read(&checkpoint).unwrap() == before, "the checkpoint before was lost");
    printed(&["train", "--resume", text(&broken)]);
    assert!(files(&whole) == files(&broken), "the run that met a full disk gave other files");
    let left: Vec<_> = fs::read_dir(&broken).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".part")), "{left:?}");
}

/// A folder in which nobody may write: not even root, if there is such a one.
fn read_only(folder: &Path) -> Option<std::path::PathBuf> {
    let mine = folder.join("read-only");
    fs::create_dir(&mine).unwrap();
    let mut permissions = fs::metadata(&mine).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&mine, permissions).unwrap();
    let system = Path::new("/sys");
    [mine.as_path(), system].into_iter().find(|place| tempfile::tempfile_in(place).is_err()).map(Into::into)
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_before_anything_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 8);
    let place = read_only(folder.path()).expect("a place where nobody may write");
    let (run, file) = (place.join("run"), place.join("net.safetensors"));
    let call = [&["train", "resnet20_cifar", "--data", text(&data)], &QUICK[..]].concat();
    refused(&[&call[..], &["-o", text(&run)]].concat(), 1, &[text(&run)]);
    refused(&[&call[..], &["-o", text(&file)]].concat(), 1, &[text(&place)]);
    assert!(!run.exists());
}

#[test]
fn a_file_and_the_finished_run_beside_it_are_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 8);
    let file = folder.path().join("net.safetensors");
    let run = folder.path().join("net.run");
    let call = ["train", "resnet20_cifar", "--data", text(&data), "--epochs", "1", "--batch", "4", "-o"];
    let call = [&call[..], &[text(&file)]].concat();
    printed(&[&call[..], &["--seed", "1"]].concat());
    let first = fs::read(&file).unwrap();
    printed(&[&call[..], &["--seed", "2"]].concat());
    assert!(fs::read(&file).unwrap() != first, "the file was not replaced");
    printed(&[&call[..], &["--seed", "1"]].concat());
    assert!(fs::read(&file).unwrap() == first, "something was left of the run before");
    // What a run begins with is neither written over nor thrown away with the run that it lies in.
    let best = run.join("best.safetensors");
    for begins_with in [&file, &best] {
        let call = ["finetune", text(begins_with), "--data", text(&data), "-o", text(&file)];
        refused(&call, 2, &[text(begins_with), "is read", "name another file"]);
        let call = [
            "train",
            "resnet20_cifar",
            "--data",
            text(&data),
            "--init-from",
            text(begins_with),
            "-o",
            text(&file),
        ];
        refused(&call, 2, &[text(begins_with), "is read"]);
    }
    assert!(fs::read(&file).unwrap() == first && best.exists());
    refused(&[&call[..call.len() - 1], &["-"]].concat(), 2, &["/dev/stdout"]);
    // As long as a run isn't finished, it is not thrown away.
    fs::remove_file(run.join("report.json")).unwrap();
    refused(&call, 1, &["isn't finished", "zoo train --resume", text(&run), "delete"]);
    printed(&["train", "--resume", text(&run)]);
    assert!(fs::read(&file).unwrap() == first);
    // A folder that was named is never replaced.
    let call = [&call[..call.len() - 1], &[text(&run)]].concat();
    refused(&call, 1, &["holds a run", "zoo train --resume", "-o"]);
}

#[test]
fn pictures_that_cannot_be_read_are_named_and_counted_or_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 12);
    for name in ["dark/broken.png", "light/broken.png"] {
        fs::write(data.join(name), "no picture").unwrap();
    }
    let call = [&["train", "resnet20_cifar", "--data", text(&data)], &QUICK[..]].concat();
    let run = folder.path().join("a");
    let output = zoo(&[&call[..], &["-o", text(&run)]].concat()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for name in ["dark/broken.png", "light/broken.png"] {
        assert_eq!(said.matches(&format!("{name}: is no picture")).count(), 1, "{said}");
    }
    assert!(said.contains("2 pictures could not be read"), "{said}");
    let other = folder.path().join("b");
    let strict = [&call[..], &["--strict", "-o", text(&other)]].concat();
    refused(&strict, 1, &["broken.png", "is no picture"]);
    // Of each picture a line, in order, also of what can't be read.
    let best = run.join("best.safetensors");
    let judge = ["eval", text(&best), "--data", text(&data), "--batch", "1"];
    let lines = printed(&[&judge[..], &["--format", "jsonl"]].concat());
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 26);
    let path = |line: &serde_json::Value| line["path"].as_str().unwrap().to_string();
    assert!(lines.iter().map(path).is_sorted(), "{lines:?}");
    let (told, failed): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["error"].is_null());
    assert_eq!((told.len(), failed.len()), (24, 2));
    let right = told.iter().filter(|line| line["rank"] == 1).count();
    assert!(told.iter().all(|line| (line["rank"] == 1) == (line["top"][0]["label"] == line["label"])));
    let whole = json(&[&judge[..], &["--format", "json"]].concat());
    assert_eq!(whole["top1"].as_f64().unwrap(), right as f64 / 24.0);
    assert_eq!(whole["errors"].as_array().unwrap().len(), 2);
    refused(&[&judge[..], &["--strict"]].concat(), 1, &["broken.png"]);
    // The crops of a picture that is no larger than the input are all the same; mirrored, they are what --flip sees.
    let sight =
        |more: &[&str]| json(&[&judge[..], more, &["--format", "json"]].concat())["ece"].as_f64().unwrap();
    assert!((sight(&["--crops", "10"]) - sight(&["--flip"])).abs() < 1e-6);
    assert!((sight(&["--crops", "5"]) - sight(&[])).abs() < 1e-6);
    refused(&[&judge[..], &["--crops", "7"]].concat(), 2, &["1, 5 or 10"]);
}

/// An exported network of two files is the old one as a whole, whichever of the new ones there was no room for.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_both_files_of_an_exported_network() {
    let folder = tempfile::tempdir().unwrap();
    let (out, second) = (folder.path().join("net.onnx"), folder.path().join("net.onnx.data"));
    // The weights are in the first file, which is too large, or in the second.
    for arguments in [&[][..], &["--external-data"]] {
        fs::write(&out, "old").unwrap();
        fs::write(&second, "old weights").unwrap();
        let call = [&["export", "lenet5", text(&out)], arguments].concat();
        let (code, said) = failed(&on_a_full_disk(&call));
        let names_it = said.contains(text(if arguments.is_empty() { &out } else { &second }));
        assert!(code == 1 && names_it, "{said}");
        assert_eq!(fs::read_to_string(&out).unwrap(), "old");
        assert_eq!(fs::read_to_string(&second).unwrap(), "old weights");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "something was left beside them");
    }
}
