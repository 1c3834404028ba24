//! CPU kernels of convolutional networks on plain slices.

pub mod activation;
pub mod conv;
mod element;
mod error;
mod gemm;
mod isa;
pub mod norm;
mod par;
mod reduce;
pub mod scale;
mod scratch;
mod simd;

pub use activation::Activation;
pub use element::Element;
pub use error::{KernelError, Result, Shape};
pub use isa::{Isa, Selection, selection, with_isa};
