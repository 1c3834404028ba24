//! Max and average pooling, forward and backward.

mod average;
mod max;
mod spec;

pub use average::{adaptive_average_backward, adaptive_average_forward, average_backward, average_forward};
pub use max::{max_backward, max_forward};
pub use spec::Pool2d;
pub(crate) use spec::{Window, adaptive_windows, windows};

use crate::element::compiled;
use crate::error::{Result, Shape, check_len};

compiled! {
    #[expect(clippy::too_many_arguments, reason = "the kernels' own, and that all is checked")]
    max_pool = max::run_forward: (pool: &Pool2d, shape: Shape, output: Shape, input: &[Self], out: &mut [Self]);
    max_pool_backward = max::run_backward: (
        pool: &Pool2d, shape: Shape, output: Shape, input: &[Self], out: &[Self], grad_out: &[Self],
        grad_input: &mut [Self],
    );
    average_pool = average::forward: (shape: Shape, sides: &average::Sides, input: &[Self], out: &mut [Self]);
    average_pool_backward = average::backward: (
        shape: Shape, sides: &average::Sides, grad_out: &[Self], grad_input: &mut [Self],
    );
}

/// Refuses slices that aren't tensors of `shape`.
fn check_all(op: &'static str, shape: Shape, slices: &[(&'static str, usize)]) -> Result<()> {
    slices.iter().try_for_each(|&(what, len)| check_len(op, what, len, &shape))
}
