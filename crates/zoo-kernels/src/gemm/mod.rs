//! Matrix products: the register tile that convolutions use too, and products of plain matrices.

pub(crate) mod left;
mod linear;
mod matrix;
pub(crate) mod micro;

use crate::element::compiled;
use crate::epilogue::Epilogue;
use crate::isa::Isa;

compiled! {
    multiply_matrices = matrix::multiply: (
        isa: Isa, a: Matrix<'_, Self>, b: matrix::Right<'_, Self>, epilogue: &Epilogue<'_, Self>, out: &mut [Self],
    );
    pack_right = matrix::pack: (isa: Isa, b: Matrix<'_, Self>, to: &mut [Self]);
    pack_left = left::pack: (isa: Isa, source: &left::Source<'_, Self>, to: &mut [Self]);
}

pub use linear::{Prepared, linear, linear_grad_bias, linear_grad_input, linear_grad_weight, linear_with};
pub use matrix::{Matrix, matmul};
