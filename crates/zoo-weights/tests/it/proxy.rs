//! Fetching through a proxy.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use zoo_weights::{Fetcher, Proxy, Settings};

use crate::fetch::{Bench, hub, quiet, weights};

/// A proxy on the loopback address: it connects wherever it is asked to, and keeps what it was asked.
fn proxy() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let log = Arc::clone(&log);
            thread::spawn(move || tunnel(client, &log));
        }
    });
    (address, asked)
}

fn tunnel(mut client: TcpStream, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut request = String::new();
    let mut reader = BufReader::new(client.try_clone()?);
    while !request.ends_with("\r\n\r\n") {
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
    }
    let target = request.split(' ').nth(1).unwrap_or_default().to_string();
    log.lock().unwrap().push(request);
    // Only what is on this machine is reached.
    let server = target.starts_with("127.0.0.1:").then(|| TcpStream::connect(&target).ok()).flatten();
    let Some(mut server) = server else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
    };
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client).map(drop)
}

fn set(address: String) -> Option<Proxy> {
    Some(Proxy { address, set_by: "ALL_PROXY" })
}

#[test]
fn a_proxy_is_gone_through() {
    let bench = Bench::new();
    let (address, asked) = proxy();
    let settings = Settings { http_proxy: set(format!("http://me:secret@{address}")), ..bench.settings() };
    let here = Fetcher::new(settings).fetch(&weights(&hub()), &mut quiet).unwrap();
    assert_eq!(fs::read(here.path).unwrap(), *bench.bytes);
    let asked = asked.lock().unwrap();
    let host = bench.server.url.trim_start_matches("http://");
    assert!(asked[0].starts_with(&format!("CONNECT {host} ")), "{asked:?}");
    assert!(asked[0].to_lowercase().contains("proxy-authorization: basic"), "{asked:?}");
}

#[test]
fn https_goes_through_its_own_proxy_and_the_password_is_not_told() {
    let bench = Bench::new();
    let (address, asked) = proxy();
    let source = "{ url = \"https://weights.invalid/net.pth\", sha256 = \"00000000\" }";
    let through = |proxy: String| {
        let settings = Settings { https_proxy: set(proxy), tries: 1, ..bench.settings() };
        Fetcher::new(settings).fetch(&weights(source), &mut quiet).unwrap_err().to_string()
    };
    let error = through(format!("http://me:secret@{address}"));
    assert!(error.contains("https://weights.invalid/net.pth") && !error.contains("secret"), "{error}");
    assert!(asked.lock().unwrap()[0].starts_with("CONNECT weights.invalid:443 "));
    for other in ["no address: me:secret@", "socks5://me:secret@127.0.0.1:1"] {
        let error = through(other.into());
        assert!(error.contains("is no address of an HTTP proxy") && !error.contains("secret"), "{error}");
    }
}

/// A proxy that says this to whatever it is asked.
fn refusing(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let _ = client.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes());
        }
    });
    address
}

#[test]
fn a_proxy_that_refuses_is_not_asked_again_and_what_set_it_is_named() {
    let bench = Bench::new();
    let fetch = |address: &str| {
        let proxy = set(format!("http://me:secret@{address}"));
        let settings = Settings { http_proxy: proxy, ..bench.settings() };
        let error = Fetcher::new(settings).fetch(&weights(&hub()), &mut quiet).unwrap_err().to_string();
        assert!(error.contains(address) && !error.contains("secret"), "{error}");
        error
    };
    for (answer, says) in [
        ("407 Proxy Authentication Required", "wants another name and password"),
        ("403 Forbidden", "refuses to lead there (it answered 403)"),
        ("405 Method Not Allowed", "NO_PROXY"),
    ] {
        let error = fetch(&refusing(answer));
        assert!(error.contains(says) && error.matches("ALL_PROXY").count() == 1, "{error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = fetch(&nobody);
    assert!(error.contains("which ALL_PROXY sets, is not there") && error.contains("refused"), "{error}");
    assert_eq!(bench.slept(), [0_u64; 0], "nothing was tried again");
    // What may pass is tried again.
    let error = fetch(&refusing("503 Service Unavailable"));
    assert!(error.contains("answered 503") && error.contains("set by ALL_PROXY"), "{error}");
    assert_eq!(bench.slept().len(), 4);
}
