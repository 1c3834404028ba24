//! What a pool is: its sizes, their checks, and its windows.

use std::ops::Range;

use crate::conv::{Padding, window_count};
use crate::error::{KernelError, Result, Shape, check_nonzero, elements};

/// A pool of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Height and width of a window.
    pub kernel_size: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Rows and columns around the input: of no value for a maximum, of zeros for an average.
    pub padding: Padding,
    /// Distance of a window's pixels. An average's must be 1.
    pub dilation: [usize; 2],
    /// Whether a last window that reaches over the padded input counts, if it starts within the input or the
    /// padding before it.
    pub ceil_mode: bool,
    /// Whether an average divides by the pixels of the padding too (but never by those past it, which
    /// `ceil_mode` adds).
    pub count_include_pad: bool,
}

impl Pool2d {
    /// A square window with a stride, without padding, as PyTorch's default is.
    pub const fn new(kernel: usize, stride: usize) -> Self {
        Self {
            kernel_size: [kernel, kernel],
            stride: [stride, stride],
            padding: Padding::all(0),
            dilation: [1, 1],
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    /// The same with a padding on all sides.
    pub const fn with_padding(mut self, padding: usize) -> Self {
        self.padding = Padding::all(padding);
        self
    }

    /// The same with `ceil_mode`.
    pub const fn with_ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// The output's shape.
    ///
    /// # Errors
    /// A size is zero, a padding exceeds half of the window, or the window doesn't fit into the padded input.
    pub fn output_shape(&self, input: Shape) -> Result<Shape> {
        let op = "pool2d";
        check_nonzero(op, "a side of the input", &input)?;
        check_nonzero(op, "kernel_size", &self.kernel_size)?;
        check_nonzero(op, "stride", &self.stride)?;
        check_nonzero(op, "dilation", &self.dilation)?;
        let p = self.padding;
        let height = self.count(op, "height", 0, input[2], [p.top, p.bottom])?;
        let width = self.count(op, "width", 1, input[3], [p.left, p.right])?;
        let output = [input[0], input[1], height, width];
        elements(op, &input)?;
        elements(op, &output)?;
        Ok(output)
    }

    fn count(
        &self,
        op: &'static str,
        side: &'static str,
        i: usize,
        size: usize,
        pad: [usize; 2],
    ) -> Result<usize> {
        let (kernel, stride, dilation) = (self.kernel_size[i], self.stride[i], self.dilation[i]);
        let floor = window_count(op, side, size, pad, kernel, stride, dilation)?;
        // It fits, so that this sum does.
        let reach = (kernel - 1) * dilation + 1;
        let padding = pad[0].max(pad[1]);
        if padding > reach / 2 {
            return Err(KernelError::PoolPadding { op, padding, kernel: reach });
        }
        let room = size + pad[0] + pad[1] - reach;
        let one_more = self.ceil_mode && !room.is_multiple_of(stride);
        // The first pixel of the window after the last whole one.
        let next = floor.checked_mul(stride);
        Ok(if one_more && next.is_some_and(|next| next < size + pad[0]) { floor + 1 } else { floor })
    }
}

/// One window along one side: the input's pixels in it, and what an average divides by.
#[derive(Debug, Clone)]
pub struct Window {
    /// First pixel inside, one past the last, in steps of the dilation.
    pub(crate) inside: Range<usize>,
    /// Pixels that count.
    pub(crate) count: usize,
}

/// The windows of a pool along side `i` of the input.
pub(crate) fn windows(pool: &Pool2d, i: usize, size: usize, out: usize) -> Vec<Window> {
    let p = pool.padding;
    let pad = if i == 0 { [p.top, p.bottom] } else { [p.left, p.right] };
    let (kernel, dilation) = (pool.kernel_size[i], pool.dilation[i]);
    let window = |o: usize| {
        // In coordinates of the padded input.
        let start = o * pool.stride[i];
        let end = (start + (kernel - 1) * dilation + 1).min(size + pad[0] + pad[1]);
        let skipped = pad[0].saturating_sub(start).div_ceil(dilation);
        let first = start + skipped * dilation - pad[0];
        let inside = first..end.saturating_sub(pad[0]).min(size);
        let inside = if inside.is_empty() { 0..0 } else { inside };
        let count = if pool.count_include_pad { end - start } else { inside.len() };
        Window { inside, count }
    };
    (0..out).map(window).collect()
}

/// The windows of an adaptive average along one side: as even as can be, overlapping where needed.
pub(crate) fn adaptive_windows(size: usize, out: usize) -> Vec<Window> {
    // In u128, since the products of sides needn't fit.
    let split = |o: usize, up: bool| {
        let product = o as u128 * size as u128;
        (if up { product.div_ceil(out as u128) } else { product / out as u128 }) as usize
    };
    (0..out)
        .map(|o| {
            let inside = split(o, false)..split(o + 1, true);
            Window { count: inside.len(), inside }
        })
        .collect()
}
