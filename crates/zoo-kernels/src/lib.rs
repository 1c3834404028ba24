//! CPU kernels of convolutional networks on plain slices.

pub mod conv;
mod element;
mod error;
mod gemm;
mod isa;
mod par;
mod reduce;
mod scratch;
mod simd;

pub use element::Element;
pub use error::{KernelError, Result, Shape};
pub use isa::{Isa, Selection, selection, with_isa};
