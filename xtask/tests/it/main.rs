//! `cargo xtask` as a process: killed in the middle, watched, and called wrongly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../crates/zoo-weights/tests/it/server.rs"]
#[expect(dead_code, reason = "most of what a server can do wrong is tested where the server is from")]
mod server;

mod peers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use server::{Fault, Served, Server};
use sha2::{Digest as _, Sha256};

/// The second source of `resnet18.tv_in1k`: the first answers 404 here.
const PATH: &str =
    "/smp-hub/resnet18.imagenet/resolve/3f2325ff978283d47aa6a1d6878ca20565622683/model.safetensors";

struct Bench {
    dir: tempfile::TempDir,
    server: Server,
    bytes: Arc<Vec<u8>>,
}

impl Bench {
    fn new(len: usize) -> Self {
        let bytes = server::content(len);
        let server = Server::start();
        let hash = sha256(&bytes);
        server
            .put(PATH, Served { bytes: Arc::clone(&bytes), etag: None, hub: Some((hash, "c0ffee".into())) });
        Self { dir: tempfile::tempdir().unwrap(), server, bytes }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("fetch-weights").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
            .env_clear()
            .env("HF_HOME", self.dir.path().join("hf"))
            .env("TORCH_HOME", self.dir.path().join("torch"));
        command.env("HOME", self.dir.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn fetch(&self) -> Child {
        self.command(&["resnet18", "--mirror", &self.server.url]).spawn().unwrap()
    }

    fn landed(&self) -> PathBuf {
        let snapshots = "hf/hub/models--smp-hub--resnet18.imagenet/snapshots";
        self.dir.path().join(snapshots).join("3f2325ff978283d47aa6a1d6878ca20565622683/model.safetensors")
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[test]
fn killed_in_the_middle_it_goes_on() {
    let bench = Bench::new(8 << 20);
    let half = bench.bytes.len() / 2;
    let (reached, go_on) = bench.server.pause(half);
    let mut child = bench.fetch();
    reached.recv().unwrap();
    // The server has handed over the half; wait until the process has written some of it.
    let blobs = bench.dir.path().join("hf/hub/models--smp-hub--resnet18.imagenet/blobs");
    let written = || {
        fs::read_dir(&blobs)
            .map_or(0, |files| files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>())
    };
    while written() < 1 << 20 {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let _ = go_on.send(());
    assert!(!bench.landed().exists(), "nothing has the final name");

    let second = bench.fetch().wait_with_output().unwrap();
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert_eq!(sha256(&fs::read(bench.landed()).unwrap()), sha256(&bench.bytes));
    let range = bench.server.ranges().pop().unwrap().unwrap();
    let from: usize = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!(from >= 1 << 20, "it went on at {from}");
    assert_eq!(fs::read_dir(&blobs).unwrap().count(), 1, "no part is left");
}

#[test]
fn two_processes_fetch_a_file_once() {
    let bench = Bench::new(4 << 20);
    let (reached, go_on) = bench.server.pause(1 << 20);
    let first = bench.fetch();
    reached.recv().unwrap();
    let mut second = bench.fetch();
    let mut told = std::io::BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("another process fetches it") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut told, &mut line).unwrap() > 0, "it ended without waiting");
    }
    go_on.send(()).unwrap();
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success() && text(&first.stdout).contains("has the hub's hash"), "{first:?}");
    let second = second.wait_with_output().unwrap();
    assert!(second.status.success() && text(&second.stdout).contains("was here"), "{second:?}");
    assert_eq!(fs::read(bench.landed()).unwrap(), *bench.bytes);
}

#[cfg(target_os = "linux")]
#[test]
fn a_hundred_megabytes_need_little_memory() {
    let bench = Bench::new(100 << 20);
    // One byte short of the end the process has seen nearly all, and can be looked at.
    let (reached, go_on) = bench.server.pause(bench.bytes.len() - 1);
    let child = bench.fetch();
    reached.recv().unwrap();
    let status = fs::read_to_string(Path::new("/proc").join(child.id().to_string()).join("status")).unwrap();
    go_on.send(()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 60_000, "the most memory at once was {kib} KiB");
}

#[test]
fn offline_it_says_so_at_once() {
    let bench = Bench::new(1);
    let output = bench.run(&["resnet18", "--offline"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.starts_with("error: the weights `resnet18.tv_in1k` are not here"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn what_went_wrong_is_told_and_nothing_is_left_under_the_final_name() {
    let bench = Bench::new(1000);
    bench.server.fault(Fault::Status(410, None));
    bench.server.fault(Fault::Status(403, None));
    let output = bench.run(&["resnet18", "--mirror", &bench.server.url]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr).lines().last().unwrap();
    assert!(error.starts_with("error: no source gave the weights `resnet18.tv_in1k`"), "{error}");
    assert!(error.contains("410") && error.contains("403") && error.contains("404"), "{error}");
    assert!(!bench.landed().exists());
}

#[test]
fn the_list_shows_every_family() {
    let bench = Bench::new(1);
    let output = bench.run(&["--list"]);
    assert!(output.status.success());
    let list = text(&output.stdout);
    for tag in [
        "lenet5.mnist",
        "alexnet.tv_in1k",
        "vgg16.tv_in1k",
        "googlenet.tv_in1k",
        "inception_v3.tv_in1k",
        "resnet50.tv2_in1k",
        "seresnet50.a1_in1k",
        "legacy_senet154.in1k",
        "xception.tf_in1k",
        "mobilenet_v2.tv_in1k",
        "fcn_resnet50.tv_coco_voc",
    ] {
        assert!(list.lines().any(|line| line.starts_with(tag)), "{tag} is missing from\n{list}");
    }
    let one = bench.run(&["--list", "resnet50.tv2"]);
    assert!(text(&one.stdout).contains("sha256 11ad3fa6…"), "{}", text(&one.stdout));
}

#[test]
fn a_wrong_call_has_its_own_exit_code() {
    let bench = Bench::new(1);
    for (arguments, hint) in [
        (&["resnet5O"][..], "did you mean resnet50"),
        (&[][..], "--list"),
        (&["--list", "nothing-like-it"][..], "without a name"),
        (&["--list", "--all"][..], "cannot be used with"),
    ] {
        let output = bench.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(hint), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[test]
fn a_spoilt_file_is_named() {
    let bench = Bench::new(1000);
    assert!(bench.fetch().wait().unwrap().success());
    assert!(bench.run(&["--verify"]).status.success());
    fs::write(bench.landed(), b"spoilt").unwrap();
    let output = bench.run(&["--verify", "resnet18"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is spoilt"), "{}", text(&output.stderr));
}

#[test]
fn data_of_another_checksum_is_refused_and_unknown_data_named() {
    let bench = Bench::new(1 << 10);
    let other = Served { bytes: Arc::clone(&bench.bytes), etag: None, hub: None };
    bench.server.put("/cifar-10-binary.tar.gz", other);
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.arg("fetch-data").args(arguments).env_clear().env("HOME", bench.dir.path());
        command.current_dir(bench.dir.path()).output().unwrap()
    };
    let refused = run(&["cifar10", "--mirror", &bench.server.url]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("gave another file than was published") && said.contains("c32a1d4a"), "{said}");
    assert!(!bench.dir.path().join("data/cifar10/cifar-10-binary.tar.gz").exists());
    let offline = run(&["mnist", "--offline"]);
    assert!(text(&offline.stderr).contains("the network is not to be used"), "{}", text(&offline.stderr));
    let unknown = run(&["mnits"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        text(&unknown.stderr).contains("no data set is known as `mnits`; there are mnist, fashion-mnist")
    );
    assert!(text(&run(&["--list"]).stdout).contains("fashion-mnist"));
}
