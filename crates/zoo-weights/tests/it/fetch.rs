//! Fetching from a server that is as bad as servers get.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use zoo_weights::{DataSets, Event, FetchError, Fetcher, Manifest, Settings, Verified, Weights};

use crate::server::{Fault, Served, Server, content};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const HUB_PATH: &str =
    "/org/net/resolve/0123456789abcdef0123456789abcdef01234567/model.safetensors";
const LEN: usize = 3 << 20;

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    pub(crate) server: Server,
    pub(crate) bytes: Arc<Vec<u8>>,
    slept: Arc<Mutex<Vec<Duration>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bytes = content(LEN);
        let server = Server::start();
        let hub = Some((sha256(&bytes), COMMIT.to_string()));
        server.put(HUB_PATH, Served { bytes: Arc::clone(&bytes), etag: Some("cdn".into()), hub });
        server.put("/net.pth", Served { bytes: Arc::clone(&bytes), etag: Some("v1".into()), hub: None });
        Self { dir: tempfile::tempdir().unwrap(), server, bytes, slept: Arc::default() }
    }

    pub(crate) fn settings(&self) -> Settings {
        let slept = Arc::clone(&self.slept);
        Settings {
            endpoint: self.server.url.clone(),
            mirror: None,
            offline: false,
            token: None,
            hub_cache: self.dir.path().join("hub"),
            torch_cache: self.dir.path().join("torch"),
            keras_cache: self.dir.path().join("keras"),
            http_proxy: None,
            https_proxy: None,
            silence: Duration::from_millis(300),
            sleep: Arc::new(move |pause| slept.lock().unwrap().push(pause)),
            ..Settings::from_env().unwrap()
        }
    }

    pub(crate) fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.settings())
    }

    pub(crate) fn url(&self) -> String {
        format!("{{ url = \"{}/net.pth\", sha256 = \"{}\" }}", self.server.url, &sha256(&self.bytes)[..8])
    }

    pub(crate) fn slept(&self) -> Vec<u64> {
        self.slept.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    /// Every file below the folder that is not a lock.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, files) } else { files.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(self.dir.path(), &mut files);
        files.retain(|path| path.extension().is_none_or(|extension| extension != "lock"));
        files.iter().map(|path| path.strip_prefix(self.dir.path()).unwrap().to_path_buf()).collect()
    }
}

pub(crate) fn weights(sources: &str) -> Weights {
    let text = format!(
        "[preprocess.p]\ninput = [1, 2, 2]\ninterpolation = \"bilinear\"\nmean = [0, 0, 0]\nstd = [1, 1, 1]\n\
         [[weights]]\ntag = \"net.test\"\nlicence = \"MIT\"\npreprocess = \"p\"\nclasses = \"digits\"\n\
         sources = [{sources}]\n"
    );
    Manifest::parse(&text).unwrap().weights.remove(0)
}

pub(crate) fn hub() -> String {
    format!("{{ hub = \"org/net\", revision = \"{COMMIT}\", file = \"model.safetensors\" }}")
}

pub(crate) fn quiet(_: Event<'_>) {}

#[test]
fn a_file_of_the_hub_lands_where_other_tools_find_it() {
    let bench = Bench::new();
    let mut last = None;
    let here = bench
        .fetcher()
        .fetch(&weights(&hub()), &mut |event| {
            if let Event::Progress(progress) = event {
                last = Some(progress);
            }
        })
        .unwrap();
    assert_eq!(here.verified, Some(Verified::Hub));
    assert_eq!(fs::read(&here.path).unwrap(), *bench.bytes);
    let last = last.unwrap();
    assert_eq!((last.done, last.total), (LEN as u64, Some(LEN as u64)));

    let repo = bench.dir.path().join("hub/models--org--net");
    assert_eq!(here.path, repo.join("snapshots").join(COMMIT).join("model.safetensors"));
    assert_eq!(
        fs::canonicalize(&here.path).unwrap(),
        fs::canonicalize(&repo).unwrap().join("blobs").join(sha256(&bench.bytes))
    );
    assert!(fs::read_link(&here.path).unwrap().is_relative(), "the cache can be moved");
    assert_eq!(fs::read_to_string(repo.join("refs").join(COMMIT)).unwrap(), COMMIT);

    let requests = bench.server.log().len();
    let again = bench.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap();
    assert_eq!((again.path, again.verified), (here.path, None));
    assert_eq!(bench.server.log().len(), requests, "what is here is not asked for");
}

#[test]
fn a_branch_is_kept_under_the_commit_it_stands_at() {
    let bench = Bench::new();
    let hub_file = Served {
        bytes: Arc::clone(&bench.bytes),
        etag: None,
        hub: Some((sha256(&bench.bytes), COMMIT.to_string())),
    };
    bench.server.put("/org/net/resolve/main/v1/model.safetensors", hub_file);
    let source = "{ hub = \"org/net\", revision = \"main\", file = \"v1/model.safetensors\" }";
    let here = bench.fetcher().fetch(&weights(source), &mut quiet).unwrap();
    let repo = bench.dir.path().join("hub/models--org--net");
    assert_eq!(here.path, repo.join("snapshots").join(COMMIT).join("v1/model.safetensors"));
    assert_eq!(fs::read(&here.path).unwrap(), *bench.bytes);
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(bench.fetcher().locate(&weights(source)).unwrap().path, here.path);
}

#[test]
fn a_pth_file_lands_in_torch_home() {
    let bench = Bench::new();
    let here = bench.fetcher().fetch(&weights(&bench.url()), &mut quiet).unwrap();
    assert_eq!(here.verified, Some(Verified::Publisher));
    assert_eq!(bench.files(), [PathBuf::from("torch/net.pth")], "nothing but the file itself");
    assert_eq!(fs::read(&here.path).unwrap(), *bench.bytes);
}

#[test]
fn a_transfer_that_stops_goes_on_where_it_stopped() {
    for source in [hub(), Bench::new().url()] {
        let bench = Bench::new();
        let source = if source.contains("hub") { source } else { bench.url() };
        bench.server.fault(Fault::StopAfter(LEN / 2));
        bench.server.fault(Fault::HangAfter(LEN / 4));
        bench.server.fault(Fault::Close);
        let mut retries = Vec::new();
        let here = bench
            .fetcher()
            .fetch(&weights(&source), &mut |event| {
                if let Event::Retrying { why, .. } = event {
                    retries.push(why.to_string());
                }
            })
            .unwrap();
        assert_eq!(fs::read(&here.path).unwrap(), *bench.bytes);
        assert!(retries[0].contains("stopped after 1572864 of 3145728 bytes"), "{retries:?}");
        assert!(retries[1].contains("fell silent after 2359296 of 3145728 bytes"), "{retries:?}");
        assert_eq!(retries.len(), 3, "{retries:?}");
        let range = |at: usize| Some(format!("bytes={at}-"));
        assert_eq!(bench.server.ranges(), [None, range(LEN / 2), range(LEN / 4 * 3), range(LEN / 4 * 3)]);
    }
}

#[test]
fn pauses_grow_and_a_source_is_given_up_in_the_end() {
    let bench = Bench::new();
    for _ in 0..10 {
        bench.server.fault(Fault::Status(503, None));
    }
    let error = bench.fetcher().fetch(&weights(&bench.url()), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("net.test") && error.contains("answered 503"), "{error}");
    assert_eq!(bench.slept(), [1, 2, 4, 8]);
    assert!(bench.files().is_empty());
}

#[test]
fn a_source_that_never_comes_further_is_given_up() {
    let bench = Bench::new();
    // Without a checksum and a tag every try starts anew, and brings as much as the one before.
    bench.server.put("/net.pth", Served { bytes: Arc::clone(&bench.bytes), etag: None, hub: None });
    for _ in 0..10 {
        bench.server.fault(Fault::StopAfter(LEN - 1));
    }
    let source = format!("{{ url = \"{}/net.pth\" }}", bench.server.url);
    let error = bench.fetcher().fetch(&weights(&source), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("stopped after 3145727 of 3145728 bytes"), "{error}");
    assert_eq!(bench.slept(), [1, 2, 4, 8]);
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for() {
    let bench = Bench::new();
    bench.server.fault(Fault::Status(429, Some(7)));
    bench.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap();
    assert_eq!(bench.slept(), [7]);
    let patient = Bench::new();
    patient.server.fault(Fault::Status(429, Some(86_400)));
    let error = patient.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("429") && patient.slept().is_empty(), "a day is too long: {error}");
}

#[test]
fn wrong_bytes_never_get_the_final_name() {
    let bench = Bench::new();
    bench.server.fault(Fault::WrongBytes);
    let here = bench.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap();
    assert_eq!(fs::read(&here.path).unwrap(), *bench.bytes, "the second try brings the right ones");

    for source in [hub(), bench.url()] {
        let bench = Bench::new();
        let source = if source.contains("hub") { source } else { bench.url() };
        bench.server.fault(Fault::WrongBytes);
        bench.server.fault(Fault::WrongBytes);
        let error = bench.fetcher().fetch(&weights(&source), &mut quiet).unwrap_err().to_string();
        assert!(error.contains("another file than was published"), "{error}");
        assert!(error.contains(&sha256(&bench.bytes)[..8]), "{error}");
        assert!(bench.files().is_empty(), "{:?}", bench.files());
    }
}

#[test]
fn the_next_source_is_tried() {
    let bench = Bench::new();
    let gone = format!("{{ url = \"{}/gone.pth\", sha256 = \"00000000\" }}", bench.server.url);
    let mut told = Vec::new();
    let both = weights(&format!("{gone}, {}", hub()));
    let here = bench
        .fetcher()
        .fetch(&both, &mut |event| {
            if let Event::NextSource { why } = event {
                told.push(why.to_string());
            }
        })
        .unwrap();
    assert_eq!(here.source, 1);
    assert_eq!(told, ["answered 404: the file is not there"]);
    assert!(bench.slept().is_empty(), "what lasts is not waited for");
}

#[test]
fn a_closed_repository_asks_for_a_token_and_the_token_stays_with_the_hub() {
    let bench = Bench::new();
    bench.server.fault(Fault::Status(401, None));
    let error = bench.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("401") && error.contains("HF_TOKEN"), "{error}");

    let settings = Settings { token: Some("secret".into()), ..bench.settings() };
    let elsewhere = Bench::new();
    let url = weights(&elsewhere.url());
    Fetcher::new(settings.clone()).fetch(&url, &mut quiet).unwrap();
    assert!(elsewhere.server.log().iter().all(|request| !request.headers.contains_key("authorization")));
    Fetcher::new(settings).fetch(&weights(&hub()), &mut quiet).unwrap();
    let to_hub = bench.server.log().into_iter().rfind(|request| request.path == HUB_PATH).unwrap();
    assert_eq!(to_hub.headers["authorization"], "Bearer secret");
}

#[test]
fn offline_is_one_sentence_and_no_request() {
    let bench = Bench::new();
    let fetcher = Fetcher::new(Settings { offline: true, ..bench.settings() });
    let error = fetcher.fetch(&weights(&hub()), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::Offline { .. }));
    assert!(error.to_string().contains("`net.test`") && !error.to_string().contains('\n'), "{error}");
    assert!(bench.server.log().is_empty());
    bench.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap();
    assert!(fetcher.fetch(&weights(&hub()), &mut quiet).is_ok(), "what is here needs no network");
}

#[test]
fn a_mirror_serves_everything() {
    let bench = Bench::new();
    let unreachable = "https://unreachable.invalid";
    let settings = Settings { endpoint: unreachable.into(), ..bench.settings() };
    let fetcher = Fetcher::new(settings.with_mirror(Some(format!("{}/", bench.server.url))));
    let digest = &sha256(&bench.bytes)[..8];
    let url = format!("{{ url = \"{unreachable}/models/net.pth\", sha256 = \"{digest}\" }}");
    for source in [hub(), url] {
        let here = fetcher.fetch(&weights(&source), &mut quiet).unwrap();
        assert_eq!(fs::read(&here.path).unwrap(), *bench.bytes);
    }
    let paths: Vec<_> = bench.server.log().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, [HUB_PATH.to_string(), format!("/cdn{HUB_PATH}"), "/net.pth".into()]);
}

#[test]
fn a_full_disk_is_seen_before_the_first_byte() {
    let bench = Bench::new();
    let settings = Settings { free_space: |_| Some(1_000_000), ..bench.settings() };
    let error = Fetcher::new(settings).fetch(&weights(&hub()), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::NoSpace { needed, .. } if needed == LEN as u64), "{error}");
    assert!(error.to_string().contains("1 MB free and the file needs 4 MB more"), "{error}");
    assert!(bench.files().is_empty());
}

#[test]
fn two_at_once_fetch_it_once() {
    let bench = Bench::new();
    let (reached, go_on) = bench.server.pause(LEN / 2);
    let (waits, is_waiting) = std::sync::mpsc::channel();
    // The line may rest here for as long as the other takes.
    let patient = || Fetcher::new(Settings { silence: Duration::from_secs(60), ..bench.settings() });
    let (first, second) = (patient(), patient());
    thread::scope(|scope| {
        let first = scope.spawn(|| first.fetch(&weights(&hub()), &mut quiet).unwrap());
        reached.recv().unwrap();
        let second = scope.spawn(|| {
            let mut tell = |event: Event<'_>| {
                if event == Event::Waiting {
                    waits.send(()).unwrap();
                }
            };
            second.fetch(&weights(&hub()), &mut tell).unwrap()
        });
        is_waiting.recv().unwrap();
        go_on.send(()).unwrap();
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        assert_eq!(first.path, second.path);
        assert_eq!((first.verified, second.verified), (Some(Verified::Hub), None));
    });
    assert_eq!(bench.server.ranges(), [None], "the bytes came once");
}

#[test]
fn a_later_run_goes_on_with_what_an_earlier_one_left() {
    let bench = Bench::new();
    let impatient = || Fetcher::new(Settings { tries: 1, ..bench.settings() });
    bench.server.fault(Fault::StopAfter(LEN / 2));
    impatient().fetch(&weights(&hub()), &mut quiet).unwrap_err();
    assert_eq!(bench.files().len(), 1, "the part is kept: {:?}", bench.files());
    assert!(bench.fetcher().locate(&weights(&hub())).is_none(), "and is not taken for the whole");
    let here = impatient().fetch(&weights(&hub()), &mut quiet).unwrap();
    assert_eq!(fs::read(here.path).unwrap(), *bench.bytes);
    assert_eq!(bench.server.ranges()[1], Some(format!("bytes={}-", LEN / 2)));
}

#[test]
fn a_part_of_other_content_is_not_gone_on_with() {
    let bench = Bench::new();
    let impatient = || Fetcher::new(Settings { tries: 1, ..bench.settings() });
    // No one gives a checksum, so the body's own tag tells what the content is.
    let source = format!("{{ url = \"{}/net.pth\" }}", bench.server.url);
    bench.server.fault(Fault::StopAfter(1000));
    impatient().fetch(&weights(&source), &mut quiet).unwrap_err();
    let mut changed = bench.bytes.to_vec();
    changed[LEN / 2..].fill(7);
    let changed = Arc::new(changed);
    bench.server.put("/net.pth", Served { bytes: Arc::clone(&changed), etag: Some("v2".into()), hub: None });
    let here = impatient().fetch(&weights(&source), &mut quiet).unwrap();
    assert_eq!(here.verified, Some(Verified::Nobody));
    assert_eq!(fs::read(here.path).unwrap(), *changed);

    // The same content is, and content without a tag never.
    for (etag, range) in [(Some("v3".to_string()), Some("bytes=1000-".to_string())), (None, None)] {
        let bench = Bench::new();
        let source = format!("{{ url = \"{}/net.pth\" }}", bench.server.url);
        bench.server.put("/net.pth", Served { bytes: Arc::clone(&bench.bytes), etag, hub: None });
        bench.server.fault(Fault::StopAfter(1000));
        let here = bench.fetcher().fetch(&weights(&source), &mut quiet).unwrap();
        assert_eq!(fs::read(here.path).unwrap(), *bench.bytes);
        assert_eq!(bench.server.ranges().last().unwrap(), &range);
    }
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let bench = Bench::new();
    bench.server.fault(Fault::StopAfter(LEN / 2));
    bench.server.fault(Fault::IgnoreRange);
    let here = bench.fetcher().fetch(&weights(&bench.url()), &mut quiet).unwrap();
    assert_eq!(fs::read(here.path).unwrap(), *bench.bytes);
}

#[test]
fn a_whole_part_only_needs_its_name() {
    let bench = Bench::new();
    let blobs = bench.dir.path().join("hub/models--org--net/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256(&bench.bytes))), &*bench.bytes).unwrap();
    let here = bench.fetcher().fetch(&weights(&hub()), &mut quiet).unwrap();
    assert_eq!(fs::read(here.path).unwrap(), *bench.bytes);
    assert_eq!(bench.server.ranges(), [Some(format!("bytes={LEN}-"))]);
}

#[test]
fn a_file_that_the_hub_has_changed_is_not_fetched() {
    let bench = Bench::new();
    let pinned = hub().replace(" }", &format!(", sha256 = \"{}\" }}", "0".repeat(64)));
    let error = bench.fetcher().fetch(&weights(&pinned), &mut quiet).unwrap_err().to_string();
    assert!(error.contains("has another file by now"), "{error}");
    assert!(bench.files().is_empty() && bench.slept().is_empty());
}

#[test]
fn a_spoilt_file_is_found_by_a_second_look() {
    let bench = Bench::new();
    for source in [hub(), bench.url()] {
        let weights = weights(&source);
        let here = bench.fetcher().fetch(&weights, &mut quiet).unwrap();
        let good = bench.fetcher().verify(&weights).unwrap();
        assert!(good.len() == 1 && good[0].verdict.is_ok(), "{good:?}");
        let mut bytes = bench.bytes.to_vec();
        bytes[LEN / 2] ^= 1;
        fs::write(&here.path, bytes).unwrap();
        let bad = bench.fetcher().verify(&weights).unwrap().remove(0).verdict.unwrap_err();
        assert!(bad.contains(&sha256(&bench.bytes)[..8]), "{bad}");
    }
}

#[test]
fn weights_inside_the_program_are_not_fetched() {
    let bench = Bench::new();
    let error = bench.fetcher().fetch(&weights(""), &mut quiet).unwrap_err();
    assert!(matches!(error, FetchError::BuiltIn { .. }), "{error}");
}

#[test]
fn data_is_gone_on_with_and_checked_as_weights_are() {
    let bench = Bench::new();
    let set = |sha256: &str| {
        let text = format!(
            "[[data]]\nname = \"d\"\nnote = \"n\"\nlicence = \"MIT\"\nbases = [\"{}/\"]\n\
             files = [{{ name = \"net.pth\", sha256 = \"{sha256}\" }}]\n",
            bench.server.url
        );
        DataSets::parse(&text).unwrap().sets.remove(0).files.remove(0)
    };
    let (folder, right) = (bench.dir.path().join("set"), set(&sha256(&bench.bytes)));
    bench.server.fault(Fault::StopAfter(LEN / 2));
    let (path, verified) = bench.fetcher().fetch_data(&right, &folder, &mut quiet).unwrap();
    assert_eq!((&path, verified), (&folder.join("net.pth"), Some(Verified::Publisher)));
    assert_eq!(fs::read(&path).unwrap(), *bench.bytes);
    assert!(
        bench.server.log().iter().any(|request| request.headers.contains_key("range")),
        "it was gone on with"
    );
    assert_eq!(bench.fetcher().fetch_data(&right, &folder, &mut quiet).unwrap().1, None);

    let elsewhere = bench.dir.path().join("other");
    let error =
        bench.fetcher().fetch_data(&set(&"0".repeat(64)), &elsewhere, &mut quiet).unwrap_err().to_string();
    assert!(error.starts_with("no source gave net.pth: http") && error.contains("00000000"), "{error}");
    assert!(!elsewhere.join("net.pth").exists());
}

#[test]
fn the_list_of_data_is_whole() {
    let sets = DataSets::published().unwrap();
    for set in &sets.sets {
        assert_eq!(sets.sets.iter().filter(|other| other.name == set.name).count(), 1);
        assert!(set.files.iter().all(|file| file.sources.iter().all(|source| source.digest.is_some())));
    }
    for (broken, why) in [
        ("files = []", "has no file"),
        ("files = [{ name = \"x\" }]", "has no checksum of x"),
        ("files = [{ name = \"x.tgz\", md5 = \"00\" }]", "archive unpacks to"),
    ] {
        let text =
            format!("[[data]]\nname = \"d\"\nnote = \"\"\nlicence = \"\"\nbases = [\"a/\"]\n{broken}\n");
        let error = DataSets::parse(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
