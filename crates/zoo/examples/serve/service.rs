//! The service itself: what it answers, and what it refuses.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};
use zoo::{Network, Picture, data::PictureError};

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a picture's file.
    pub(crate) bytes: usize,
    /// Time in which it has to come, and the lines before it.
    pub(crate) upload: Duration,
    /// Pictures that are decoded and answered at once; the network itself uses all cores.
    pub(crate) at_once: usize,
    /// Requests that may be under way; each holds a picture in memory.
    pub(crate) waiting: usize,
    /// Connections that may be open; who comes then waits at the door.
    pub(crate) connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, upload: Duration::from_secs(10), at_once: 2, waiting: 64, connections: 512 }
    }
}

/// One network for all requests.
#[derive(Clone)]
pub(crate) struct Service {
    network: Arc<Network>,
    limits: Limits,
    computing: Arc<Semaphore>,
    under_way: Arc<Semaphore>,
}

/// A request that is refused: the status and why.
type Refused = (StatusCode, String);

impl Service {
    pub(crate) fn new(network: Arc<Network>, limits: Limits) -> Self {
        let computing = Arc::new(Semaphore::new(limits.at_once));
        let under_way = Arc::new(Semaphore::new(limits.waiting));
        Self { network, limits, computing, under_way }
    }

    /// Serves until `ended`, and then answers what is under way.
    pub(crate) async fn serve(self, listener: TcpListener, ended: impl Future<Output = ()>) {
        let limits = self.limits;
        let router = Router::new()
            .route("/", get(|| async { Html(include_str!("page.html")) }))
            .route("/classify", post(classify))
            .with_state(self);
        let seats = Arc::new(Semaphore::new(limits.connections));
        let (end, told) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut ended = pin!(ended);
        loop {
            tokio::select! {
                entered = entered(&listener, &seats) => match entered {
                    Ok((stream, seat)) => {
                        let (router, told) = (router.clone(), told.clone());
                        connections.spawn(async move {
                            let _seat = seat;
                            converse(stream, router, told, limits.upload).await;
                        });
                    }
                    // Too many open files, for example: some will be closed.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                },
                Some(_) = connections.join_next() => {}
                () = &mut ended => break,
            }
        }
        drop(listener);
        let _ = end.send(());
        // Whoever has begun to speak and does not go on is not waited for.
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(2 * limits.upload, all).await;
    }

    async fn answer(&self, mut body: Body) -> Result<Response, Refused> {
        let (upload, most) = (self.limits.upload, self.limits.bytes);
        let Ok(under_way) = Arc::clone(&self.under_way).try_acquire_owned() else {
            let _ = timeout(upload, pass(&mut body, 16 * most)).await;
            let why = "too many pictures at once; try again".to_string();
            return Err((StatusCode::SERVICE_UNAVAILABLE, why));
        };
        let Ok(bytes) = timeout(upload, whole(&mut body, most)).await else {
            let why = format!("the picture did not come within {} s", upload.as_secs_f32());
            return Err((StatusCode::REQUEST_TIMEOUT, why));
        };
        let bytes = bytes?;
        let ending =
            |_: AcquireError| (StatusCode::INTERNAL_SERVER_ERROR, "the service is ending".to_string());
        let computing = Arc::clone(&self.computing).acquire_owned().await.map_err(ending)?;
        let network = Arc::clone(&self.network);
        // Decoding and answering take long: not on the threads that listen. Whoever goes away does not end it, so that its
        // places are free when it is done and not before.
        let answer = spawn_blocking(move || {
            let _places = (under_way, computing);
            let picture = Picture::decode(&bytes, "the picture")?;
            drop(bytes);
            network.classify(&picture)
        });
        let answer = answer.await.map_err(|fault| (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()))?;
        let answer = answer.map_err(|fault| (status(&fault), fault.to_string()))?;
        let guess = |guess: &zoo::Guess| json!({ "label": guess.label, "index": guess.index, "probability": guess.probability });
        let top: Vec<_> = answer.top.iter().map(guess).collect();
        Ok(told(StatusCode::OK, &json!({ "top": top })))
    }
}

async fn classify(State(service): State<Service>, body: Body) -> Response {
    match service.answer(body).await {
        Ok(response) => response,
        Err((status, why)) => {
            let mut response = told(status, &json!({ "error": why }));
            // What is left of a picture that is refused is not waited for.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

/// Whose fault it is that a picture has no answer: a picture's that has too many pixels, or is none.
fn status(fault: &zoo::Error) -> StatusCode {
    match fault {
        zoo::Error::Data(zoo::data::Error::Picture(fault)) => match fault {
            PictureError::TooManyPixels { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        },
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn told(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The next connection, and a seat for it.
async fn entered(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, seat))
}

/// Answers one connection's requests, and when the end is `told` only the one that is under way.
async fn converse(stream: TcpStream, router: Router, mut told: watch::Receiver<()>, patience: Duration) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // Whoever breaks off has nobody to be told to: an error ends the connection like its end.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = told.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// The next piece of a body.
async fn piece(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap_or_default()))
}

/// All of a body that has at most so many bytes.
async fn whole(body: &mut Body, most: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    while let Some(piece) = piece(body).await {
        let piece = piece
            .map_err(|fault| (StatusCode::BAD_REQUEST, format!("the picture did not come whole: {fault}")))?;
        if bytes.len() + piece.len() > most {
            drop(bytes);
            pass(body, 16 * most).await;
            return Err((StatusCode::PAYLOAD_TOO_LARGE, format!("a picture may have {most} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// Reads on, and keeps nothing: whoever still speaks does not hear that it was too much.
async fn pass(body: &mut Body, most: usize) {
    let mut length = 0;
    while let Some(Ok(piece)) = piece(body).await {
        length += piece.len();
        if length > most {
            break;
        }
    }
}
