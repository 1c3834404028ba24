//! The service under mixed company: good pictures, broken, huge and slow ones.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    thread::{JoinHandle, spawn},
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot};

use crate::service::{Limits, Service};

const LIMITS: Limits =
    Limits { bytes: 100_000, upload: Duration::from_millis(400), at_once: 2, waiting: 32, connections: 40 };

/// A running service, and what ends it.
struct Running {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

fn started(limits: Limits) -> Running {
    let network = zoo::model("lenet5").unwrap().pretrained().unwrap();
    let (end, ended) = oneshot::channel();
    let (told, address) = std::sync::mpsc::channel();
    let thread = spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let ended = async {
                let _ = ended.await;
            };
            Service::new(Arc::new(network), limits).serve(listener, ended).await;
        });
    });
    Running { address: address.recv().unwrap(), end, thread }
}

/// Begins to post a body whose length is said to be `length`.
fn begin(address: SocketAddr, body: &[u8], length: usize) -> TcpStream {
    said(address, &format!("content-length: {length}\r\n"), body)
}

/// Begins to post, and sends nothing of the body before the service asks for it: then the request is under way.
fn under_way(address: SocketAddr, length: usize) -> TcpStream {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut stream = said(address, &format!("content-length: {length}\r\nexpect: 100-continue\r\n"), b"");
    let mut answer = [0; CONTINUE.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, CONTINUE);
    stream
}

fn said(address: SocketAddr, lines: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("POST /classify HTTP/1.1\r\nhost: zoo\r\nconnection: close\r\n{lines}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    stream
}

/// The status of what is answered, and what is told; 0 where the connection is closed without a word.
fn heard(mut stream: TcpStream) -> (u16, serde_json::Value) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or_default())
}

fn post(address: SocketAddr, body: &[u8]) -> (u16, serde_json::Value) {
    heard(begin(address, body, body.len()))
}

fn digit(digit: usize) -> Vec<u8> {
    std::fs::read(format!("../../assets/digits/{digit}.png")).unwrap()
}

#[test]
fn good_pictures_are_answered_among_bad_ones() {
    let running = started(LIMITS);
    let address = running.address;
    let client = move |client: usize| {
        for round in 0..12 {
            let number = (client + round) % 10;
            let good = digit(number);
            match (client + round) % 5 {
                0 | 1 => {
                    let (status, told) = post(address, &good);
                    assert_eq!(status, 200, "{told}");
                    assert_eq!(told["top"][0]["label"], number.to_string(), "{told}");
                }
                2 => {
                    let (status, told) = post(address, &good[..good.len() / 2]);
                    assert_eq!(status, 400, "{told}");
                    assert!(told["error"].as_str().is_some_and(|why| why.len() > 10), "{told}");
                }
                3 => {
                    let (status, told) = post(address, &vec![0; 200_000]);
                    assert_eq!((status, &told["error"]), (413, &"a picture may have 100000 bytes".into()));
                }
                // Says it all and goes away.
                _ => drop(begin(address, &good, good.len())),
            }
        }
    };
    let clients: Vec<_> = (0..8).map(|number| spawn(move || client(number))).collect();
    let slow = spawn(move || heard(begin(address, &digit(3)[..10], 300)));
    // Never comes to the end of its first lines.
    let idle = spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"POST /classify HTTP/1.1\r\nhost: z").unwrap();
        heard(stream)
    });
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (status, told) = slow.join().unwrap();
    assert_eq!((status, &told["error"]), (408, &"the picture did not come within 0.4 s".into()));
    assert_eq!(idle.join().unwrap().0, 0);
    running.end.send(()).unwrap();
    running.thread.join().unwrap();
}

#[test]
fn what_is_under_way_when_the_end_comes_is_answered() {
    let Running { address, end, thread } = started(Limits { upload: Duration::from_secs(20), ..LIMITS });
    let good = digit(8);
    let mut begun = under_way(address, good.len());
    end.send(()).unwrap();
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    begun.write_all(&good).unwrap();
    let (status, told) = heard(begun);
    assert_eq!((status, &told["top"][0]["label"]), (200, &"8".into()), "{told}");
    thread.join().unwrap();
}

#[test]
fn more_than_may_wait_are_told_so() {
    let running = started(Limits { waiting: 1, upload: Duration::from_secs(20), ..LIMITS });
    let good = digit(1);
    let [mut first, mut second] = [(); 2].map(|()| under_way(running.address, good.len()));
    first.write_all(&good).unwrap();
    second.write_all(&good).unwrap();
    assert_eq!(heard(first).0, 200);
    let (status, told) = heard(second);
    assert_eq!((status, &told["error"]), (503, &"too many pictures at once; try again".into()));
    running.end.send(()).unwrap();
    running.thread.join().unwrap();
}
