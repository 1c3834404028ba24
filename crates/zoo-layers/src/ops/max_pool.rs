//! Maximum over windows.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, pool};

use super::{Call, Mode, Operation, Result, composed, first, single_map};
use crate::{
    Padding, Shape,
    geometry::{Rounding, Window, reach, sides},
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// The maximum over each window of `(n, c, h, w)`. Padding never wins; of equal pixels the first gets the
/// gradient, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Height and width of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows, rows then columns.
    pub stride: [usize; 2],
    /// Pixels around the input that never win.
    pub padding: Padding,
    /// Distance between a window's pixels, rows then columns.
    pub dilation: [usize; 2],
    /// What becomes of a last window that only partly fits.
    pub rounding: Rounding,
}

impl MaxPool2d {
    /// Square windows of `kernel_size`, `stride` apart, without padding.
    pub const fn new(kernel_size: usize, stride: usize) -> Self {
        Self {
            kernel_size: [kernel_size, kernel_size],
            stride: [stride, stride],
            padding: Padding::None,
            dilation: [1, 1],
            rounding: Rounding::Floor,
        }
    }

    /// Another padding than none.
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// A last window that only partly fits is used (PyTorch's `ceil_mode=True`).
    pub const fn ceil_mode(mut self) -> Self {
        self.rounding = Rounding::Ceil;
        self
    }

    fn window(&self) -> Window {
        Window {
            kernel: self.kernel_size,
            stride: self.stride,
            dilation: self.dilation,
            padding: self.padding,
        }
    }
}

impl Operation for MaxPool2d {
    fn kind(&self) -> &'static str {
        "MaxPool2d"
    }

    fn detail(&self) -> String {
        pool_detail(self.kernel_size, self.stride)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        pool_output(inputs, &self.window(), self.rounding)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        composed::max_pool2d(first(call.inputs)?, &self.window(), self.rounding)
    }
}

/// `3x3, stride 2`.
pub(super) fn pool_detail(kernel: [usize; 2], stride: [usize; 2]) -> String {
    let stride = match stride[0] == stride[1] {
        true => stride[0].to_string(),
        false => format!("{}x{}", stride[0], stride[1]),
    };
    format!("{}x{}, stride {stride}", kernel[0], kernel[1])
}

/// A pool's output; a window that could lie in the padding alone is refused.
pub(super) fn pool_output(inputs: &[Shape], window: &Window, rounding: Rounding) -> Result<Shape, String> {
    let (channels, size) = single_map(inputs)?;
    let [height, width] = window.output(size, rounding)?;
    for (i, size) in size.into_iter().enumerate() {
        let axis = window.axis(i, size);
        let (padding, reach) = (axis.before.max(axis.after), reach(axis.kernel, axis.dilation));
        if padding > reach / 2 {
            return Err(format!(
                "its padding of {padding} is more than half of its window of {reach}: some windows would see no pixel"
            ));
        }
    }
    Ok(Shape::map(channels, height, width))
}

impl MaxPool2d {
    /// What the kernels call it, for inputs of these dimensions, batch first.
    pub fn spec(&self, [_, _, height, width]: [usize; 4]) -> pool::Pool2d {
        pool_spec(&self.window(), self.rounding, true, [height, width])
    }
}

/// A pool as the kernels want it.
pub(super) fn pool_spec(
    window: &Window,
    rounding: Rounding,
    count_include_pad: bool,
    size: [usize; 2],
) -> pool::Pool2d {
    pool::Pool2d {
        kernel_size: window.kernel,
        stride: window.stride,
        padding: sides(window, size),
        dilation: window.dilation,
        ceil_mode: rounding == Rounding::Ceil,
        count_include_pad,
    }
}

impl CpuKernel for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::OUT.arg(0, true)
    }

    /// A pixel has its window's gradient if it is the maximum.
    fn compares(&self) -> bool {
        true
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let shape = args[0].dims;
        pool::max_forward(&self.spec(shape), shape, args[0].data, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, out, grad, .. } = back;
        let shape = args[0].dims;
        match &mut grads[0] {
            Some(input) => pool::max_backward(&self.spec(shape), shape, args[0].data, out, grad, input),
            None => Ok(()),
        }
    }
}
