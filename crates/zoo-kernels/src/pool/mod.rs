//! Max and average pooling, forward and backward.

mod average;
mod max;
mod spec;

pub use average::{adaptive_average_backward, adaptive_average_forward, average_backward, average_forward};
pub use max::{max_backward, max_forward};
pub use spec::Pool2d;
pub(crate) use spec::{Window, adaptive_windows, windows};

use crate::error::{Result, Shape, check_len};

/// Refuses slices that aren't tensors of `shape`.
fn check_all(op: &'static str, shape: Shape, slices: &[(&'static str, usize)]) -> Result<()> {
    slices.iter().try_for_each(|&(what, len)| check_len(op, what, len, &shape))
}
