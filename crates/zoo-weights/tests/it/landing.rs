//! What lands under a final name, what a second look says of it, and where nobody is waited for.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use zoo_weights::{Fetcher, Settings, Verified};

use crate::fetch::{Bench, HUB_PATH, hub, quiet, sha256, weights};
use crate::server::Served;

/// Login and error pages come with status 200, for files that nobody gives a checksum for and for others.
#[test]
fn a_page_instead_of_weights_never_lands() {
    for (page, says) in [
        (&b"<!DOCTYPE html>\n<html><title>Sign in</title></html>"[..], "a web page (HTML)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "git lfs pull"),
        (b"{\"error\":\"Invalid credentials\"}", "a JSON text"),
        (b"nothing that is known", "neither safetensors, nor"),
    ] {
        let bench = Bench::new();
        let served = Served { bytes: Arc::new(page.to_vec()), etag: None, hub: None };
        bench.server.put("/net.pth", served.clone());
        bench.server.put(HUB_PATH, served);
        let url = format!("{{ url = \"{}/net.pth\" }}", bench.server.url);
        for source in [url.as_str(), &hub()] {
            let error = bench.fetcher().fetch(&weights(source), &mut quiet).unwrap_err().to_string();
            assert!(error.contains("sent ") && error.contains(says), "{error}");
        }
        assert_eq!(bench.files(), [] as [PathBuf; 0], "nothing is kept");
        assert_eq!(bench.slept(), [] as [u64; 0], "a server that sends pages is not asked again");
    }
}

#[test]
fn a_second_look_says_what_it_compared_with() {
    let bench = Bench::new();
    let look = |source: &str| {
        bench.fetcher().fetch(&weights(source), &mut quiet).unwrap();
        bench.fetcher().verify(&weights(source)).unwrap().remove(0).to_string()
    };
    let start = &sha256(&bench.bytes)[..8];
    assert_eq!(look(&bench.url()), format!("has the publisher's checksum, SHA-256 {start}"));
    assert_eq!(look(&hub()), format!("has the hub's hash, SHA-256 {start}…"));
    // A mirror that announces no hash: what was counted here is nobody's word.
    let bench = Bench::new();
    let served = Served { bytes: Arc::clone(&bench.bytes), etag: None, hub: None };
    bench.server.put(HUB_PATH, served);
    let fetcher = bench.fetcher();
    fetcher.fetch(&weights(&hub()), &mut quiet).unwrap();
    let checked = fetcher.verify(&weights(&hub())).unwrap().remove(0);
    assert_eq!(checked.verdict, Ok(Verified::Nobody));
    assert_eq!(checked.to_string(), "can be read; there is no published checksum to compare it with");
    fs::write(fs::canonicalize(checked.path).unwrap(), "<html>").unwrap();
    assert!(fetcher.verify(&weights(&hub())).unwrap().remove(0).verdict.unwrap_err().contains("HTML"));
}

#[test]
fn a_server_that_is_not_there_is_not_waited_for_and_what_named_it_is_said() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = format!("http://{nobody}");
    let bench = Bench::new();
    let two = format!("{}, {{ url = \"https://files.example/net.pth\" }}", hub());
    for (settings, name) in [
        (Settings { endpoint: address.clone(), ..bench.settings() }, "which HF_ENDPOINT sets"),
        (bench.settings().with_mirror(Some(address.clone())), "which `Settings::mirror` sets"),
    ] {
        let settings = Settings { https_proxy: None, ..settings };
        let sources = if settings.mirror.is_some() { two.clone() } else { hub() };
        let error = Fetcher::new(settings).fetch(&weights(&sources), &mut quiet).unwrap_err().to_string();
        assert!(error.contains(&format!("check {address}, {name}")), "{error}");
        assert!(error.contains("nobody answers"), "{error}");
        assert_eq!(bench.slept(), [] as [u64; 0], "an address that somebody wrote wrongly stays wrong");
    }
}
