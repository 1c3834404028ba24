//! A server on the loopback address that behaves like the hub, and misbehaves when told to.
//!
//! Nothing here waits for time to pass: a server that hangs does so until the client hangs up, and one that
//! pauses does so until the test lets it go on.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// What goes wrong with the next request for bytes.
pub(crate) enum Fault {
    /// Answers with a status, and perhaps with the seconds to wait.
    Status(u16, Option<u64>),
    /// Closes the line before the answer.
    Close,
    /// Closes the line after so many bytes of the body.
    StopAfter(usize),
    /// Says nothing more after so many bytes of the body, until the client hangs up.
    HangAfter(usize),
    /// Sends as many bytes as it should, and other ones.
    WrongBytes,
    /// Sends the whole file whatever range was asked for.
    IgnoreRange,
    /// Sends so many bytes of the body, tells the test, and waits for it.
    PauseAfter(usize, Sender<()>, Receiver<()>),
}

/// A file to serve.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) bytes: Arc<Vec<u8>>,
    /// The tag of the body.
    pub(crate) etag: Option<String>,
    /// As the hub does: redirect to the bytes, and announce this hash and commit on the way.
    pub(crate) hub: Option<(String, String)>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Served>,
    faults: VecDeque<Fault>,
    log: Vec<Request>,
}

/// The server; it runs as long as the process.
pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { url, state }
    }

    /// Serves a file under a path.
    pub(crate) fn put(&self, path: &str, served: Served) {
        self.state.lock().unwrap().files.insert(path.into(), served);
    }

    /// Goes wrong at the next request for bytes, after those already told.
    pub(crate) fn fault(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    /// Sends `at` bytes, then waits: the first of the two tells that it waits, the second lets it go on.
    pub(crate) fn pause(&self, at: usize) -> (Receiver<()>, Sender<()>) {
        let (reached, has_reached) = channel();
        let (go_on, may_go_on) = channel();
        self.fault(Fault::PauseAfter(at, reached, may_go_on));
        (has_reached, go_on)
    }

    /// The requests so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.state.lock().unwrap().log.clone()
    }

    /// The ranges asked for, by the requests for bytes.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        let log = self.log();
        let bytes = log
            .iter()
            .filter(|request| request.path.starts_with("/cdn") || !request.path.contains("/resolve/"));
        bytes.map(|request| request.headers.get("range").cloned()).collect()
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) {
    // A client that hangs up in the middle is part of the tests.
    let _ = answer(stream, state);
}

fn answer(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let Some(request) = read_request(&mut reader)? else { return Ok(()) };
        let path = request.path.clone();
        let range = request
            .headers
            .get("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let (served, fault) = {
            let mut state = state.lock().unwrap();
            state.log.push(request);
            let bytes_path = path.strip_prefix("/cdn").unwrap_or(&path);
            let served = state.files.get(bytes_path).cloned();
            let redirects = served.as_ref().is_some_and(|s| s.hub.is_some()) && !path.starts_with("/cdn");
            // A fault of the status strikes the first request, the others the one for the bytes.
            let strikes = match state.faults.front() {
                Some(Fault::Status(..)) => true,
                Some(_) => served.is_some() && !redirects,
                None => false,
            };
            (served, strikes.then(|| state.faults.pop_front()).flatten())
        };
        let mut out = stream;
        if let Some(Fault::Status(status, wait)) = fault {
            let wait = wait.map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
            write!(out, "HTTP/1.1 {status} Told\r\ncontent-length: 0\r\n{wait}\r\n")?;
            continue;
        }
        let Some(served) = served else {
            write!(out, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        };
        if let (Some((hash, commit)), false) = (&served.hub, path.starts_with("/cdn")) {
            let size = served.bytes.len();
            write!(
                out,
                "HTTP/1.1 302 Found\r\nlocation: /cdn{path}\r\nx-linked-etag: \"{hash}\"\r\nx-linked-size: {size}\r\n\
                 x-repo-commit: {commit}\r\netag: \"redirect\"\r\ncontent-length: 0\r\n\r\n"
            )?;
            continue;
        }
        if !send(out, &served, range, fault)? {
            return Ok(());
        }
    }
}

/// Sends a body; whether the line is still good.
fn send(
    mut out: &TcpStream,
    served: &Served,
    range: Option<usize>,
    fault: Option<Fault>,
) -> std::io::Result<bool> {
    let whole = served.bytes.len();
    let start = match fault {
        Some(Fault::IgnoreRange) => 0,
        _ => range.unwrap_or(0),
    };
    if matches!(fault, Some(Fault::Close)) {
        return Ok(false);
    }
    let etag = served.etag.as_ref().map_or(String::new(), |etag| format!("etag: \"{etag}\"\r\n"));
    if start >= whole && start > 0 {
        write!(out, "HTTP/1.1 416 Range\r\ncontent-range: bytes */{whole}\r\ncontent-length: 0\r\n\r\n")?;
        return Ok(true);
    }
    let body = &served.bytes[start..];
    let head = if start > 0 {
        format!("206 Partial Content\r\ncontent-range: bytes {start}-{}/{whole}", whole - 1)
    } else {
        "200 OK".into()
    };
    write!(out, "HTTP/1.1 {head}\r\n{etag}content-length: {}\r\n\r\n", body.len())?;
    match fault {
        Some(Fault::StopAfter(len)) => {
            out.write_all(&body[..len.min(body.len())])?;
            return Ok(false);
        }
        Some(Fault::HangAfter(len)) => {
            out.write_all(&body[..len.min(body.len())])?;
            // Nothing more comes from a client that waits for a body: this ends when it hangs up.
            let _ = out.read(&mut [0; 1]);
            return Ok(false);
        }
        Some(Fault::WrongBytes) => out.write_all(&body.iter().map(|byte| byte ^ 1).collect::<Vec<_>>())?,
        Some(Fault::PauseAfter(len, reached, may_go_on)) => {
            out.write_all(&body[..len])?;
            let _ = reached.send(());
            let _ = may_go_on.recv();
            out.write_all(&body[len..])?;
        }
        _ => out.write_all(body)?,
    }
    Ok(true)
}

fn read_request(reader: &mut impl BufRead) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let mut headers = HashMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    Ok(Some(Request { path, headers }))
}

/// A file of weights of about so many bytes, which differ from place to place.
pub(crate) fn content(len: usize) -> Arc<Vec<u8>> {
    let header =
        |data: usize| format!(r#"{{"w":{{"dtype":"U8","shape":[{data}],"data_offsets":[0,{data}]}}}}"#);
    let data = len.saturating_sub(8 + header(len).len());
    let header = format!("{:width$}", header(data), width = header(len).len());
    let values = (0..data as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8);
    let length = (header.len() as u64).to_le_bytes();
    Arc::new(length.into_iter().chain(header.into_bytes()).chain(values).collect())
}
