//! Means over windows and over regions.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, pool};

use super::{
    Call, Mode, Operation, Result,
    composed::{self, Matrix},
    first,
    max_pool::{pool_detail, pool_output, pool_spec},
    single_map,
};
use crate::{
    Padding, Shape,
    geometry::{Rounding, Window},
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// What a window's sum is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    /// The window's pixels, padding included (PyTorch's `count_include_pad=True`).
    Window,
    /// The window's pixels that lie in the picture (`count_include_pad=False`; TensorFlow's rule).
    Picture,
}

/// The mean over each window of `(n, c, h, w)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    /// Height and width of a window.
    pub kernel_size: [usize; 2],
    /// Steps between windows, rows then columns.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
    /// What becomes of a last window that only partly fits.
    pub rounding: Rounding,
    /// Whether the padding counts.
    pub divisor: Divisor,
}

impl AvgPool2d {
    /// Square windows of `kernel_size`, `stride` apart, without padding.
    pub const fn new(kernel_size: usize, stride: usize) -> Self {
        Self {
            kernel_size: [kernel_size, kernel_size],
            stride: [stride, stride],
            padding: Padding::None,
            rounding: Rounding::Floor,
            divisor: Divisor::Window,
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

    /// What the sums are divided by.
    pub const fn divisor(mut self, divisor: Divisor) -> Self {
        self.divisor = divisor;
        self
    }

    fn window(&self) -> Window {
        Window { kernel: self.kernel_size, stride: self.stride, dilation: [1, 1], padding: self.padding }
    }

    /// The weights of one axis: row `o` holds 1/divisor under the pixels of window `o`.
    fn axis(&self, i: usize, size: usize, output: usize) -> Matrix {
        let axis = self.window().axis(i, size);
        let mut matrix = Matrix::zeros(output, size);
        for window in 0..output {
            let start = window * axis.stride;
            // Beyond the trailing padding nothing counts: only ceil_mode reaches there.
            let end = (start + axis.kernel).min(size + axis.before + axis.after);
            let (first, last) = (start.max(axis.before), end.min(size + axis.before));
            let divisor = match self.divisor {
                Divisor::Window => end - start,
                Divisor::Picture => last.saturating_sub(first),
            };
            for pixel in first..last {
                matrix.add(window, pixel - axis.before, 1.0 / divisor as f64);
            }
        }
        matrix
    }
}

impl Operation for AvgPool2d {
    fn kind(&self) -> &'static str {
        "AvgPool2d"
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
        let x = first(call.inputs)?;
        let (_, _, h, w) = x.dims4()?;
        let [oh, ow] = self.window().output([h, w], self.rounding).map_err(candle_core::Error::msg)?;
        composed::separable(x, self.axis(0, h, oh), self.axis(1, w, ow))
    }
}

/// The means over `output_size` regions that share the map out evenly, whatever its size: region `i` of `o`
/// spans pixels ⌊i·size/o⌋ to ⌈(i+1)·size/o⌉. One region is global average pooling (Lin et al. 2013).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveAvgPool2d {
    /// Rows and columns of the output.
    pub output_size: [usize; 2],
}

impl AdaptiveAvgPool2d {
    /// The mean of each whole channel.
    pub const GLOBAL: Self = Self { output_size: [1, 1] };

    fn axis(size: usize, output: usize) -> Matrix {
        let mut matrix = Matrix::zeros(output, size);
        for region in 0..output {
            let (start, end) = (region * size / output, ((region + 1) * size).div_ceil(output));
            (start..end).for_each(|pixel| matrix.add(region, pixel, 1.0 / (end - start) as f64));
        }
        matrix
    }
}

impl Operation for AdaptiveAvgPool2d {
    fn kind(&self) -> &'static str {
        match *self {
            Self::GLOBAL => "GlobalAvgPool2d",
            _ => "AdaptiveAvgPool2d",
        }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, _) = single_map(inputs)?;
        let [height, width] = self.output_size;
        match height == 0 || width == 0 {
            true => Err(format!("its output is {height}x{width}; both sides must be at least 1")),
            false => Ok(Shape::map(channels, height, width)),
        }
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        if *self == Self::GLOBAL {
            return x.mean_keepdim((2, 3));
        }
        let (_, _, h, w) = x.dims4()?;
        let [oh, ow] = self.output_size;
        composed::separable(x, Self::axis(h, oh), Self::axis(w, ow))
    }
}

impl AvgPool2d {
    /// What the kernels call it, for inputs of these dimensions, batch first.
    pub fn spec(&self, [_, _, height, width]: [usize; 4]) -> pool::Pool2d {
        pool_spec(&self.window(), self.rounding, self.divisor == Divisor::Window, [height, width])
    }
}

impl CpuKernel for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let shape = args[0].dims;
        pool::average_forward(&self.spec(shape), shape, args[0].data, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let shape = args[0].dims;
        match &mut grads[0] {
            Some(input) => pool::average_backward(&self.spec(shape), shape, grad, input),
            None => Ok(()),
        }
    }
}

impl CpuKernel for AdaptiveAvgPool2d {
    fn name(&self) -> &'static str {
        "adaptive_avg_pool2d"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        pool::adaptive_average_forward(self.output_size, args[0].dims, args[0].data, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        match &mut grads[0] {
            Some(input) => pool::adaptive_average_backward(self.output_size, args[0].dims, grad, input),
            None => Ok(()),
        }
    }
}
