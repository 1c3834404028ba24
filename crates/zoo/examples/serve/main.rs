//! A service that classifies pictures: one network for all requests, limits on size and time, a page to drop a picture on.
//!
//! ```text
//! cargo run --release -p architecture-zoo --example serve -- lenet5                     # then open http://127.0.0.1:8080
//! cargo run --release -p architecture-zoo --example serve -- run/best.safetensors 0.0.0.0:8080
//! curl --data-binary @photo.jpg http://127.0.0.1:8080/classify
//! ```
//!
//! A picture that can't be read is answered with 400, one that is too large with 413, one that takes too long to come with
//! 408, and more at once than may wait with 503. SIGTERM and Ctrl-C end it when the requests that are under way have been
//! answered.

#![expect(clippy::print_stdout, reason = "a service says where it is")]

mod service;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc};

use service::{Limits, Service};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let network = zoo::model(&arguments.next().unwrap_or_else(|| "lenet5".into()))?.pretrained()?;
    let address: SocketAddr = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into()).parse()?;
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    Service::new(Arc::new(network), Limits::default()).serve(listener, ended()).await;
    println!("all requests are answered");
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
async fn ended() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
