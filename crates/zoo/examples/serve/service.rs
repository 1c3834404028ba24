//! The service itself: what it answers, and what it refuses.

use std::{
    future::{Future, IntoFuture, poll_fn},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    time::{sleep, timeout},
};
use zoo::{Network, Picture};

/// What a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of a picture's file.
    pub(crate) bytes: usize,
    /// Time in which it has to come.
    pub(crate) upload: Duration,
    /// Pictures that are decoded and answered at once; the network itself uses all cores.
    pub(crate) at_once: usize,
    /// Requests that may be under way; each holds a picture in memory.
    pub(crate) waiting: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 20, upload: Duration::from_secs(10), at_once: 2, waiting: 64 }
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
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let router = Router::new()
            .route("/", get(|| async { Html(include_str!("page.html")) }))
            .route("/classify", post(classify))
            .with_state(self.clone());
        // Whoever has opened a connection and says nothing is not waited for.
        let most = 2 * self.limits.upload;
        let (tell, told) = oneshot::channel();
        let ended = async move {
            ended.await;
            let _ = tell.send(());
        };
        let too_long = async move {
            let _ = told.await;
            sleep(most).await;
        };
        tokio::select! {
            outcome = axum::serve(listener, router).with_graceful_shutdown(ended).into_future() => outcome,
            () = too_long => Ok(()),
        }
    }

    async fn answer(&self, body: Body) -> Result<Response, Refused> {
        let _under_way = self.under_way.try_acquire().map_err(|_| {
            (StatusCode::SERVICE_UNAVAILABLE, "too many pictures at once; try again".to_string())
        })?;
        let Ok(bytes) = timeout(self.limits.upload, whole(body, self.limits.bytes)).await else {
            let seconds = self.limits.upload.as_secs_f32();
            return Err((
                StatusCode::REQUEST_TIMEOUT,
                format!("the picture did not come within {seconds} s"),
            ));
        };
        let bytes = bytes?;
        let gone = |_| (StatusCode::INTERNAL_SERVER_ERROR, "the service is ending".to_string());
        let _computing = self.computing.acquire().await.map_err(gone)?;
        let network = Arc::clone(&self.network);
        // Decoding and answering take long: not on the threads that listen.
        let answer = tokio::task::spawn_blocking(move || {
            let picture = Picture::decode(&bytes, "the picture")?;
            drop(bytes);
            network.classify(&picture)
        });
        let answer = answer.await.map_err(|fault| (StatusCode::INTERNAL_SERVER_ERROR, fault.to_string()))?;
        let answer = answer.map_err(|fault| {
            let is_large = matches!(
                &fault,
                zoo::Error::Data(zoo::data::Error::Picture(zoo::data::PictureError::TooManyPixels { .. }))
            );
            (
                if is_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::BAD_REQUEST },
                fault.to_string(),
            )
        })?;
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

fn told(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// All of a body that has at most so many bytes. What is longer is not kept, but read on for a while: whoever still speaks
/// does not hear that it was too much.
async fn whole(mut body: Body, most: usize) -> Result<Vec<u8>, Refused> {
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame
            .map_err(|fault| (StatusCode::BAD_REQUEST, format!("the picture did not come whole: {fault}")))?;
        let Ok(data) = frame.into_data() else { continue };
        length = length.saturating_add(data.len());
        match length <= most {
            true => bytes.extend_from_slice(&data),
            false => bytes = Vec::new(),
        }
        if length / 16 > most {
            break;
        }
    }
    match length <= most {
        true => Ok(bytes),
        false => Err((StatusCode::PAYLOAD_TOO_LARGE, format!("a picture may have {most} bytes"))),
    }
}
