//! The crate from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fetch;
mod keras;
mod landing;
mod proxy;
mod pth;
mod safetensors;
mod server;
