//! What a convolution is: its sizes, their checks, and its shapes.

use crate::error::{KernelError, Result, Shape, check_equal, check_nonzero, elements};

/// Zeros around a picture, side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    pub const fn all(padding: usize) -> Self {
        Self { top: padding, bottom: padding, left: padding, right: padding }
    }

    /// `height` above and below, `width` left and right.
    pub const fn symmetric(height: usize, width: usize) -> Self {
        Self { top: height, bottom: height, left: width, right: width }
    }
}

/// A two-dimensional convolution (cross-correlation, as in every framework).
///
/// Its weight has the shape `(out_channels, in_channels / groups, kernel_size[0], kernel_size[1])`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// Vertical and horizontal distance of the kernel's taps.
    pub dilation: [usize; 2],
    /// Groups of channels that don't see each other.
    pub groups: usize,
}

impl Conv2d {
    /// A square kernel, stride and dilation 1, no padding, one group.
    pub const fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel_size: [kernel, kernel],
            stride: [1, 1],
            padding: Padding::all(0),
            dilation: [1, 1],
            groups: 1,
        }
    }

    /// The same with another stride in both directions.
    pub const fn with_stride(mut self, stride: usize) -> Self {
        self.stride = [stride, stride];
        self
    }

    /// The same with another padding on all sides.
    pub const fn with_padding(mut self, padding: usize) -> Self {
        self.padding = Padding::all(padding);
        self
    }

    /// The same with another dilation in both directions.
    pub const fn with_dilation(mut self, dilation: usize) -> Self {
        self.dilation = [dilation, dilation];
        self
    }

    /// The same with more groups.
    pub const fn with_groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Whether every group has one input channel and one output channel.
    pub const fn is_depthwise(&self) -> bool {
        self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// The weight's shape.
    pub const fn weight_shape(&self) -> Shape {
        let groups = if self.groups == 0 { 1 } else { self.groups };
        [self.out_channels, self.in_channels / groups, self.kernel_size[0], self.kernel_size[1]]
    }

    /// The output's shape for an input of the shape `(n, c, h, w)`.
    ///
    /// # Errors
    /// Any size is zero, the channels differ from `in_channels` or aren't divided by the groups, or the kernel
    /// doesn't fit into the padded input.
    pub fn output_shape(&self, input: Shape) -> Result<Shape> {
        let op = "conv2d";
        self.check(op)?;
        let [n, c, h, w] = input;
        check_nonzero(op, "a side of the input", &input)?;
        check_equal(op, ("the input's channels", c), ("in_channels", self.in_channels))?;
        let p = self.padding;
        let height = window_count(
            op,
            "height",
            h,
            [p.top, p.bottom],
            self.kernel_size[0],
            self.stride[0],
            self.dilation[0],
        )?;
        let width = window_count(
            op,
            "width",
            w,
            [p.left, p.right],
            self.kernel_size[1],
            self.stride[1],
            self.dilation[1],
        )?;
        let output = [n, self.out_channels, height, width];
        for shape in [input, output, self.weight_shape()] {
            elements(op, &shape)?;
        }
        Ok(output)
    }

    /// The same, with the stride cut to the padded input where there is one window only, so that it means
    /// nothing: no loop over strides is then longer than the picture.
    pub(crate) fn bounded(mut self, [_, _, h, w]: Shape, [_, _, oh, ow]: Shape) -> Self {
        let p = self.padding;
        let padded = [h + p.top + p.bottom, w + p.left + p.right];
        for (i, out) in [oh, ow].into_iter().enumerate() {
            if out == 1 {
                self.stride[i] = padded[i];
            }
        }
        self
    }

    /// Refuses zeros and groups that don't divide.
    pub(crate) fn check(&self, op: &'static str) -> Result<()> {
        check_nonzero(op, "channels", &[self.in_channels, self.out_channels])?;
        check_nonzero(op, "kernel_size", &self.kernel_size)?;
        check_nonzero(op, "stride", &self.stride)?;
        check_nonzero(op, "dilation", &self.dilation)?;
        check_nonzero(op, "groups", &[self.groups])?;
        for (what, channels) in [("in_channels", self.in_channels), ("out_channels", self.out_channels)] {
            if channels % self.groups != 0 {
                return Err(KernelError::Groups { op, what, channels, groups: self.groups });
            }
        }
        Ok(())
    }
}

/// How many windows fit along one side: the output's size.
pub(crate) fn window_count(
    op: &'static str,
    side: &'static str,
    size: usize,
    padding: [usize; 2],
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> Result<usize> {
    let overflow =
        || KernelError::Overflow { op, sizes: vec![size, padding[0], padding[1], kernel, dilation] };
    let padded = size.checked_add(padding[0]).and_then(|s| s.checked_add(padding[1])).ok_or_else(overflow)?;
    // Coordinates are computed in `isize`: what doesn't fit there is no picture.
    isize::try_from(padded).map_err(|_| overflow())?;
    let reach = (kernel - 1).checked_mul(dilation).and_then(|r| r.checked_add(1)).ok_or_else(overflow)?;
    if reach > padded {
        return Err(KernelError::KernelTooLarge { op, side, kernel, dilation, padded });
    }
    Ok((padded - reach) / stride + 1)
}
