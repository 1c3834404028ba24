//! The service under mixed company: good pictures, broken, huge and slow ones.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::oneshot};

use crate::service::{Limits, Service};

/// A running service, and what ends it.
struct Running {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<std::io::Result<()>>,
}

fn started() -> Running {
    let network = zoo::model("lenet5").unwrap().pretrained().unwrap();
    let limits = Limits { bytes: 100_000, upload: Duration::from_millis(400), at_once: 2, waiting: 32 };
    let (end, ended) = oneshot::channel();
    let (told, address) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let ended = async {
                let _ = ended.await;
            };
            Service::new(Arc::new(network), limits).serve(listener, ended).await
        })
    });
    Running { address: address.recv().unwrap(), end, thread }
}

/// Posts a body whose length is said to be `length`; the status and what is told.
fn post(address: SocketAddr, body: &[u8], length: usize) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /classify HTTP/1.1\r\nhost: zoo\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

fn digit(digit: usize) -> Vec<u8> {
    std::fs::read(format!("../../assets/digits/{digit}.png")).unwrap()
}

#[test]
fn good_pictures_are_answered_among_bad_ones() {
    let running = started();
    let address = running.address;
    let clients: Vec<_> = (0..8)
        .map(|client| {
            std::thread::spawn(move || {
                for round in 0..12 {
                    let number = (client + round) % 10;
                    let good = digit(number);
                    match (client + round) % 4 {
                        0 | 1 => {
                            let (status, told) = post(address, &good, good.len());
                            assert_eq!(status, 200, "{told}");
                            let likeliest = format!("{{\"top\":[{{\"label\":\"{number}\"");
                            assert!(told.contains(&likeliest), "{number}: {told}");
                        }
                        2 => {
                            let (status, told) = post(address, &good[..good.len() / 2], good.len() / 2);
                            assert_eq!(status, 400, "{told}");
                        }
                        _ => {
                            let huge = vec![0; 200_000];
                            let (status, told) = post(address, &huge, huge.len());
                            assert_eq!(status, 413, "{told}");
                        }
                    }
                }
            })
        })
        .collect();
    let slow = std::thread::spawn(move || {
        let good = digit(3);
        post(address, &good[..10], good.len())
    });
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (status, told) = slow.join().unwrap();
    assert_eq!(status, 408, "{told}");
    // What is under way when the end comes is still answered.
    running.end.send(()).unwrap();
    running.thread.join().unwrap().unwrap();
    assert!(TcpStream::connect(address).is_err(), "the door is closed");
}
