//! Matrix products: the register tile that convolutions use too, and products of plain matrices.

pub(crate) mod left;
mod linear;
mod matrix;
pub(crate) mod micro;

pub use linear::{Prepared, linear, linear_grad_bias, linear_grad_input, linear_grad_weight, linear_with};
pub use matrix::{Matrix, matmul};
