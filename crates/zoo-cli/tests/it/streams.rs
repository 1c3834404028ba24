//! What is no regular file: pipes, devices and links, to read from and to write to. Whatever could hang has a bound.
#![cfg(unix)]

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use zoo_weights::TensorFile;

use crate::{failed, root, zoo};

/// No call here needs a tenth of it, and one that hangs would never end.
const BOUND: Duration = Duration::from_secs(300);

/// What comes of work that must end.
fn in_time<T: Send + 'static>(pid: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = channel();
    thread::spawn(move || send.send(work()));
    receive.recv_timeout(BOUND).unwrap_or_else(|_| {
        kill(pid);
        panic!("process {pid} hangs")
    })
}

fn kill(pid: u32) {
    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
}

fn spawned(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(command: &mut Command) -> Output {
    let child = spawned(command);
    in_time(child.id(), || child.wait_with_output().unwrap())
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn digit(digit: u8, to: &Path) {
    fs::copy(root().join(format!("assets/digits/{digit}.png")), to).unwrap();
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_folder_is_done_whatever_lies_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("photos");
    fs::create_dir_all(inside.join("lost+found")).unwrap();
    digit(3, &inside.join("a.png"));
    pipe(&inside.join("b.png"));
    symlink("nowhere", inside.join("c.png")).unwrap();
    digit(8, &inside.join("lost+found/d.png"));
    digit(9, &inside.join("z.png"));
    fs::set_permissions(inside.join("lost+found"), PermissionsExt::from_mode(0o000)).unwrap();
    let mut command = zoo(&["predict", "lenet5", "photos", "--top", "1", "--format", "json"]);
    if fs::read_dir(inside.join("lost+found")).is_ok() {
        // Whoever may read everything is somebody else for a moment, who needs a program that he may start.
        let program = folder.path().join("zoo");
        fs::copy(env!("CARGO_BIN_EXE_zoo"), &program).unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        command = Command::new(program);
        command.args(arguments).uid(65534).gid(65534);
    }
    let output = ended(command.current_dir(folder.path()));
    fs::set_permissions(inside.join("lost+found"), PermissionsExt::from_mode(0o755)).unwrap();
    let lines: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found: Vec<(&str, &str)> = lines
        .as_array()
        .unwrap()
        .iter()
        .map(|line| {
            let said = line["top"][0]["label"].as_str().or(line["error"].as_str());
            (line["path"].as_str().unwrap(), said.unwrap())
        })
        .collect();
    let [a, c, d, z] = found[..] else { panic!("{found:?}") };
    assert_eq!((a, z), (("photos/a.png", "3"), ("photos/z.png", "9")));
    assert!(c.0 == "photos/c.png" && c.1.contains("No such file"), "{c:?}");
    assert!(d.0 == "photos/lost+found" && d.1.contains("ermission"), "{d:?}");
    let (code, said) = failed(&output);
    assert_eq!(code, 1);
    assert!(said.contains("photos/b.png: is no regular file, and is left out"), "{said}");
    assert!(said.contains("2 of 4 pictures could not be read"), "{said}");
}

#[test]
fn a_list_of_pictures_is_answered_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    pipe(&folder.path().join("p.png"));
    let pipe = folder.path().join("p.png");
    let mut child = zoo(&["predict", "lenet5", "--files-from", "-", "--format", "jsonl", "--top", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut paths = child.stdin.take().unwrap();
    let mut lines = child.stdout.take().map(BufReader::new);
    let mut answer = |path: &str| -> serde_json::Value {
        writeln!(paths, "{path}").unwrap();
        // Each is there before the next path is.
        let mut output = lines.take().unwrap();
        let (back, line) = in_time(pid, move || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            (output, line)
        });
        lines = Some(back);
        serde_json::from_str(&line).unwrap()
    };
    for digit in [7, 0, 4] {
        let path = format!("assets/digits/{digit}.png");
        let line = answer(&path);
        assert_eq!((&line["path"], &line["model"]), (&path.into(), &"lenet5".into()));
        assert_eq!(line["top"][0]["label"], digit.to_string());
    }
    let line = answer("nowhere.png");
    assert!(line["error"].as_str().unwrap().contains("nowhere.png"), "{line}");
    let line = answer(pipe.to_str().unwrap());
    assert!(line["error"].as_str().unwrap().contains("no regular file"), "{line}");
    assert_eq!(answer("assets/digits/2.png")["top"][0]["label"], "2");
    drop(paths);
    let output = in_time(pid, || child.wait_with_output().unwrap());
    let (code, said) = failed(&output);
    assert_eq!((code, said.contains("2 of 6 pictures")), (1, true), "{said}");

    // From a file, in the other formats too, and with folders in it.
    let list = folder.path().join("list");
    fs::write(&list, "assets/digits/5.png\n\nassets/digits\n").unwrap();
    let call = ["predict", "lenet5", "--files-from", list.to_str().unwrap(), "--format", "json"];
    let lines: serde_json::Value = serde_json::from_slice(&ended(&mut zoo(&call)).stdout).unwrap();
    let all = fs::read_dir(root().join("assets/digits")).unwrap();
    let pictures = all.filter(|entry| zoo_data::folder::is_picture(&entry.as_ref().unwrap().path())).count();
    assert_eq!(lines.as_array().unwrap().len(), 1 + pictures);
}

#[test]
fn a_reader_that_has_seen_enough_ends_an_endless_list() {
    let mut child = zoo(&["predict", "lenet5", "--files-from", "-", "--format", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut paths = child.stdin.take().unwrap();
    drop(child.stdout.take());
    writeln!(paths, "assets/digits/1.png").unwrap();
    // The list stays open.
    let output = in_time(child.id(), || child.wait_with_output().unwrap());
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    drop(paths);
}

#[test]
fn threads_are_set_in_one_process() {
    let mut child = zoo(&["predict", "lenet5", "--files-from", "-", "--format", "jsonl", "--threads", "3"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let mut paths = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    writeln!(paths, "assets/digits/1.png").unwrap();
    let mut lines = in_time(pid, move || {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.contains("\"label\":\"1\""), "{line}");
        lines
    });
    if cfg!(target_os = "linux") {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
        let names: Vec<String> = names.collect();
        let computing = names.iter().filter(|name| name.starts_with("zoo-")).count();
        assert_eq!(computing, 3, "{names:?}");
        assert!(!names.iter().any(|name| name.starts_with("candle")), "{names:?}");
    }
    // Nobody is left who could write on when it is ended.
    kill(pid);
    in_time(pid, move || assert_eq!(lines.read_line(&mut String::new()).unwrap(), 0));
    child.wait().unwrap();
}

/// Few digits to train on, as IDX files.
fn few_digits(folder: &Path) {
    let (digits, _) = zoo_data::digits::bundled().unwrap();
    let count = 128;
    let header = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    fs::create_dir(folder).unwrap();
    for part in ["train", "t10k"] {
        let images = [header(&[2051, count as u32, 28, 28]), digits.images[..count * 784].to_vec()].concat();
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        let labels = [header(&[2049, count as u32]), digits.labels[..count].to_vec()].concat();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn links_are_followed_and_pipes_written_through_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("elsewhere")).unwrap();
    few_digits(&at("digits"));
    let digits = at("digits");
    // Calls that write a file, whose place is to be added.
    let writers: [&[&str]; 3] = [
        &["features", "lenet5", "assets/digits/7.png", "-o"],
        &["train", "lenet5", "--epochs", "1", "--data", digits.to_str().unwrap(), "-o"],
        &["convert", "crates/zoo/assets/lenet5.safetensors"],
    ];
    for (number, call) in writers.iter().enumerate() {
        let run = |path: &Path| ended(zoo(call).arg(path));
        let done = |output: &Output| assert!(output.status.success(), "{call:?}: {output:?}");
        // A link to a file, to another link, and to a place where nothing is yet.
        let target = at(&format!("elsewhere/{number}.safetensors"));
        for (name, old) in [("new", None), ("old", Some("what was there"))] {
            if let Some(old) = old {
                fs::write(&target, old).unwrap();
                fs::set_permissions(&target, PermissionsExt::from_mode(0o640)).unwrap();
            }
            let (first, second) =
                (at(&format!("{name}-{number}.safetensors")), at(&format!("{name}2-{number}.safetensors")));
            symlink(format!("elsewhere/{number}.safetensors"), &first).unwrap();
            symlink(&first, &second).unwrap();
            done(&run(&second));
            assert!(first.is_symlink() && second.is_symlink() && !target.is_symlink());
            assert!(!TensorFile::open(&target).unwrap().is_empty());
            if old.is_some() {
                assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
            }
        }
        // A pipe gets the same bytes, and stays one.
        let pipe_path = at(&format!("pipe-{number}.safetensors"));
        pipe(&pipe_path);
        let child = spawned(zoo(call).arg(&pipe_path));
        let pid = child.id();
        let reading = pipe_path.clone();
        let bytes = in_time(pid, move || fs::read(reading).unwrap());
        let output = in_time(pid, || child.wait_with_output().unwrap());
        done(&output);
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "the report does not mix with the file"
        );
        assert!(bytes == fs::read(&target).unwrap(), "{call:?} wrote other bytes to a pipe");
        assert!(fs::symlink_metadata(&pipe_path).unwrap().file_type().is_fifo());
        // Links that go round, and a folder.
        let round = at(&format!("round-{number}.safetensors"));
        symlink(&round, &round).unwrap();
        assert!(failed(&run(&round)).1.contains("symbolic links"));
        if call[0] == "train" {
            continue; // A folder is where a run keeps what it makes.
        }
        let (code, said) = failed(&run(&at("elsewhere")));
        assert!(code > 0 && (said.contains("folder") || said.contains(".safetensors")), "{said}");
    }
    let left = fs::read_dir(at("elsewhere")).unwrap().count();
    assert_eq!(left, writers.len(), "nothing is left beside the files");

    // Standard output by its name: nothing but the file.
    let output = ended(zoo(writers[0]).arg("/dev/stdout"));
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout == fs::read(at("elsewhere/0.safetensors")).unwrap());
    let log = at("log");
    fs::write(&log, "before\n").unwrap();
    let to_log = OpenOptions::new().append(true).open(&log).unwrap();
    assert!(zoo(writers[0]).arg("/dev/stdout").stdout(to_log).status().unwrap().success());
    assert!(fs::read(&log).unwrap().starts_with(b"before\n"), "a log that was there is gone");
}

#[test]
fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let calls: [&[&str]; 7] = [
        &["--help"],
        &["--version"],
        &["predict", "--help"],
        &["list"],
        &["predict", "lenet5", "assets/digits/7.png", "--format", "jsonl"],
        &["fetch", "lenet5"],
        &["completions", "bash"],
    ];
    for call in calls {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = zoo(call).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{call:?}: {output:?}");
        if cfg!(target_os = "linux") {
            let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
            let (code, said) = failed(&zoo(call).stdout(full).stderr(Stdio::piped()).output().unwrap());
            assert_eq!(code, 1, "{call:?}: {said}");
            assert!(said.contains("standard output can't be written to (No space left"), "{call:?}: {said}");
        }
    }
}

#[test]
fn names_are_shown_and_never_obeyed() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let folder = tempfile::tempdir().unwrap();
    let names: [&[u8]; 5] =
        [b"a\nb.png", b"\x1b[2Jc.png", b"d\xff.png", b"d\xfe.png", "d\u{9b}1m|e.png".as_bytes()];
    for (name, picture) in names.iter().zip(1..) {
        digit(picture, &folder.path().join(OsStr::from_bytes(name)));
    }
    fs::write(folder.path().join(OsStr::from_bytes(b"x\n\x1b[2Jy.png")), b"no picture").unwrap();
    for format in ["table", "json", "jsonl", "csv", "markdown"] {
        let call = ["predict", "lenet5", folder.path().to_str().unwrap(), "--top", "1", "--format", format];
        let output = ended(&mut zoo(&call));
        for printed in [text(&output.stdout), text(&output.stderr)] {
            assert!(!printed.contains(|letter: char| letter.is_control() && letter != '\n'), "{printed:?}");
        }
        let printed = text(&output.stdout);
        let rows = match format {
            "table" | "markdown" => 2 + 6,
            "jsonl" => 6,
            "csv" => 1 + 6,
            _ => printed.lines().count(),
        };
        assert_eq!(printed.lines().count(), rows, "{printed}");
        assert!(printed.contains("xff.png") && printed.contains("xfe.png"), "{printed}");
        if format == "markdown" {
            assert!(
                printed.lines().all(|line| line.replace("\\|", "").matches('|').count() == 5),
                "{printed}"
            );
        }
        if format == "jsonl" {
            let first: serde_json::Value = serde_json::from_str(printed.lines().nth(1).unwrap()).unwrap();
            let exact = folder.path().join("a\nb.png");
            assert_eq!(first["path"], exact.to_str().unwrap(), "programs get the very name");
        }
        assert!(text(&output.stderr).lines().count() <= 3, "{:?}", text(&output.stderr));
    }
    // A model that isn't there, and a file to write.
    let (_, said) = failed(&ended(&mut zoo(&["summary", "no\n\x1b[2J"])));
    assert!(said.lines().count() == 1 && said.contains(r"`no\n\u{1b}[2J`"), "{said:?}");
}

#[test]
fn the_manual_and_the_completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    let output = ended(zoo(&["man"]).arg(&pages));
    assert!(output.status.success(), "{output:?}");
    let commands = [
        "list",
        "summary",
        "compare",
        "advise",
        "diagram",
        "predict",
        "segment",
        "features",
        "explain",
        "train",
        "finetune",
        "eval",
        "bench",
        "convert",
        "export",
        "fetch",
        "completions",
        "man",
    ];
    assert_eq!(text(&output.stdout).lines().count(), 1 + commands.len());
    for command in commands {
        let page = fs::read_to_string(pages.join(format!("zoo-{command}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains("Examples:"), "{page}");
        assert!(fs::read_to_string(pages.join("zoo.1")).unwrap().contains(&format!("zoo\\-{command}(1)")));
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&ended(&mut zoo(&["completions", shell])).stdout);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
        assert!(script.contains("files-from"), "{shell}");
    }
    // What bash makes of its script.
    let check = "source /dev/stdin; complete -p zoo";
    let mut bash = Command::new("bash")
        .args(["-c", check])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let script = ended(&mut zoo(&["completions", "bash"])).stdout;
    bash.stdin.take().unwrap().write_all(&script).unwrap();
    let mut said = String::new();
    bash.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(bash.wait().unwrap().success() && said.contains("_zoo"), "{said}");
}
