//! Matrix products: the register tile that convolutions use too, and products of plain matrices.

mod linear;
mod matrix;
pub(crate) mod micro;

pub use linear::{linear, linear_grad_bias, linear_grad_input, linear_grad_weight};
pub use matrix::{Matrix, matmul};
