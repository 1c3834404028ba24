//! The crate from outside.

mod pth;
mod safetensors;
