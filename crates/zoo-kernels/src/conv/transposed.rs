//! The transposed convolution: the input gradient of a convolution, used as a layer of its own.

use super::depthwise;
use super::forward::{Layer, forward_with};
use super::method::{Method, Pass, backward_product};
use super::spec::{Conv2d, Padding};
use super::working::working;
use crate::element::{Checked, Element};
use crate::epilogue::Epilogue;
use crate::error::{KernelError, Result, Shape, check_equal, check_len, check_nonzero};
use crate::isa::Isa;
use crate::working::Working;

/// A transposed convolution, of whose input every pixel is spread over a window of the output.
///
/// Its weight has the shape `(in_channels, out_channels / groups, kernel_size[0], kernel_size[1])`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transposed {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Height and width of the kernel.
    pub kernel_size: [usize; 2],
    /// Distance of neighbouring windows in the output.
    pub stride: [usize; 2],
    /// Rows and columns that are cut off the output.
    pub padding: Padding,
    /// Rows and columns added at the bottom and on the right: the choice among the sizes that a strided
    /// convolution maps to one.
    pub output_padding: [usize; 2],
    /// Distance of the kernel's taps.
    pub dilation: [usize; 2],
    /// Groups of channels that don't see each other.
    pub groups: usize,
}

impl Transposed {
    /// A square kernel with a stride; no padding, one group.
    pub const fn new(in_channels: usize, out_channels: usize, kernel: usize, stride: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel_size: [kernel, kernel],
            stride: [stride, stride],
            padding: Padding::all(0),
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }

    /// The one that leads from `conv`'s output of the size `output` back to its input's size `input`, with the
    /// same weights.
    pub fn of(conv: &Conv2d, input: [usize; 2], output: [usize; 2]) -> Self {
        let p = conv.padding;
        let padded = [
            input[0].saturating_add(p.top).saturating_add(p.bottom),
            input[1].saturating_add(p.left).saturating_add(p.right),
        ];
        let left_over = |i: usize| {
            let reach =
                conv.kernel_size[i].saturating_sub(1).saturating_mul(conv.dilation[i]).saturating_add(1);
            let steps = output[i].saturating_sub(1).saturating_mul(conv.stride[i]);
            padded[i].saturating_sub(steps.saturating_add(reach))
        };
        Self {
            in_channels: conv.out_channels,
            out_channels: conv.in_channels,
            kernel_size: conv.kernel_size,
            stride: conv.stride,
            padding: conv.padding,
            output_padding: [left_over(0), left_over(1)],
            dilation: conv.dilation,
            groups: conv.groups,
        }
    }

    /// The convolution whose input gradient this is.
    fn conv(&self) -> Conv2d {
        Conv2d {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            kernel_size: self.kernel_size,
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }

    /// About what its passes hold for a while, forward or back, as [`working`] says it of convolutions.
    ///
    /// # Errors
    /// As [`output_shape`](Self::output_shape).
    pub fn working(&self, back: bool, input: Shape) -> Result<Working> {
        let (conv, output) = (self.conv(), self.output_shape(input)?);
        Ok(match back {
            false => working(Pass::GradInput, &conv, output)?,
            true => working(Pass::Forward, &conv, output)?.and(&working(Pass::GradWeight, &conv, output)?),
        })
    }

    /// The weight's shape.
    pub const fn weight_shape(&self) -> Shape {
        let groups = if self.groups == 0 { 1 } else { self.groups };
        [self.in_channels, self.out_channels / groups, self.kernel_size[0], self.kernel_size[1]]
    }

    /// The output's shape for an input of the shape `(n, c, h, w)`.
    ///
    /// # Errors
    /// Any size is zero, the channels differ or aren't divided by the groups, the padding cuts everything off,
    /// or `output_padding` isn't below the stride.
    pub fn output_shape(&self, input: Shape) -> Result<Shape> {
        let op = "conv_transpose2d";
        let conv = self.conv();
        conv.check(op)?;
        let [n, c, h, w] = input;
        check_nonzero(op, "a side of the input", &input)?;
        check_equal(op, ("the input's channels", c), ("in_channels", self.in_channels))?;
        let p = self.padding;
        let side = |i: usize, size: usize, cut: [usize; 2]| -> Result<usize> {
            let overflow =
                || KernelError::Overflow { op, sizes: vec![size, self.kernel_size[i], self.stride[i]] };
            let extra = self.output_padding[i];
            if extra >= self.stride[i] {
                return Err(KernelError::Value {
                    op,
                    what: "output_padding",
                    value: extra.to_string(),
                    must: "less than the stride",
                });
            }
            let reach = (self.kernel_size[i] - 1).checked_mul(self.dilation[i]).ok_or_else(overflow)?;
            let spread = (size - 1).checked_mul(self.stride[i]).ok_or_else(overflow)?;
            let full = [reach, 1, extra].iter().try_fold(spread, |all, &more| all.checked_add(more));
            let full = full.ok_or_else(overflow)?;
            let cut_both = cut[0].checked_add(cut[1]).ok_or_else(overflow)?;
            match full.checked_sub(cut_both) {
                Some(left) if left > 0 => Ok(left),
                _ => Err(KernelError::Value {
                    op,
                    what: "padding",
                    value: format!("{cut_both} of {full}"),
                    must: "less than the whole output",
                }),
            }
        };
        let height = side(0, h, [p.top, p.bottom])?;
        let width = side(1, w, [p.left, p.right])?;
        let output = [n, self.out_channels, height, width];
        // The convolution must lead back, which also checks every product of sizes.
        let back = conv.output_shape(output)?;
        check_equal(op, ("the height that leads here", back[2]), ("the input's height", h))?;
        check_equal(op, ("the width that leads here", back[3]), ("the input's width", w))?;
        Ok(output)
    }

    /// `out = conv_transpose(input, weight) + bias`; `shape` is the input's.
    ///
    /// # Errors
    /// As [`Transposed::output_shape`], or a slice isn't as long as its shape.
    pub fn forward<T: Element>(
        &self,
        shape: Shape,
        input: &[T],
        weight: &[T],
        bias: Option<&[T]>,
        out: &mut [T],
    ) -> Result<()> {
        let op = "conv_transpose2d";
        let output = self.output_shape(shape)?;
        check_len(op, "input", input.len(), &shape)?;
        check_len(op, "weight", weight.len(), &self.weight_shape())?;
        let epilogue = Epilogue::bias(bias);
        epilogue.check(op, self.out_channels, &output)?;
        check_len(op, "out", out.len(), &output)?;
        let spec = &self.conv();
        let layer = Layer { isa: Isa::current(), spec, shape: output, output: shape };
        // Never Winograd's, which is chosen for the batch: the answer to a picture must not depend on that.
        let method = if depthwise::suits(spec, output, shape) {
            Method::Depthwise
        } else {
            backward_product(spec, output, shape)
        };
        T::conv_spread(Checked, &layer, method, input, weight, &epilogue, out);
        Ok(())
    }

    /// The gradient of the input; `shape` is the input's, `grad_out` has [`Transposed::output_shape`].
    ///
    /// # Errors
    /// As [`Transposed::forward`].
    pub fn grad_input<T: Element>(
        &self,
        shape: Shape,
        grad_out: &[T],
        weight: &[T],
        grad_input: &mut [T],
    ) -> Result<()> {
        let op = "conv_transpose2d grad_input";
        let output = self.output_shape(shape)?;
        check_len(op, "grad_out", grad_out.len(), &output)?;
        check_len(op, "weight", weight.len(), &self.weight_shape())?;
        check_len(op, "grad_input", grad_input.len(), &shape)?;
        forward_with(&self.conv(), output, grad_out, weight, &Epilogue::default(), grad_input)
    }

    /// The gradients of weight and bias; `shape` is the input's.
    ///
    /// # Errors
    /// As [`Transposed::forward`].
    pub fn grad_weight<T: Element>(
        &self,
        shape: Shape,
        input: &[T],
        grad_out: &[T],
        grad_weight: &mut [T],
        grad_bias: Option<&mut [T]>,
    ) -> Result<()> {
        let op = "conv_transpose2d grad_weight";
        let output = self.output_shape(shape)?;
        check_len(op, "input", input.len(), &shape)?;
        check_len(op, "grad_out", grad_out.len(), &output)?;
        check_len(op, "grad_weight", grad_weight.len(), &self.weight_shape())?;
        if let Some(grad_bias) = grad_bias {
            check_len(op, "grad_bias", grad_bias.len(), &[self.out_channels])?;
            T::channel_sums(Checked, output, grad_out, grad_bias);
        }
        T::conv_grad_weight(Checked, &self.conv(), output, shape, grad_out, input, grad_weight);
        Ok(())
    }
}
