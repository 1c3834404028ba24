//! The crate from outside.

mod safetensors;
