//! Operations that only move pixels.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError};

use super::{Call, Mode, Operation, Result, composed, first, single, single_map, told};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// A map `(n, c, h, w)` read as a vector `(n, c·h·w)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten;

impl Operation for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        Ok(Shape::vector(single(inputs)?.elements()))
    }

    fn is_view(&self, _mode: Mode) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        first(call.inputs)?.flatten_from(1)
    }
}

/// Every `stride`-th pixel along rows and columns, from the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subsample {
    /// Steps, rows then columns.
    pub stride: [usize; 2],
}

impl Operation for Subsample {
    fn kind(&self) -> &'static str {
        "Subsample"
    }

    fn detail(&self) -> String {
        format!("stride {}", told(self.stride))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, [height, width]) = single_map(inputs)?;
        let [rows, columns] = self.stride;
        match rows == 0 || columns == 0 {
            true => Err(format!("its stride is {rows}x{columns}; both must be at least 1")),
            false => Ok(Shape::map(channels, height.div_ceil(rows), width.div_ceil(columns))),
        }
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        composed::subsample(first(call.inputs)?, self.stride)
    }
}

impl Subsample {
    /// Calls `each` with the places of an output pixel and of the input pixel that it is.
    fn pixels(&self, [n, c, h, w]: [usize; 4], mut each: impl FnMut(usize, usize)) {
        let mut place = 0;
        for plane in 0..n * c {
            for y in (0..h).step_by(self.stride[0]) {
                for x in (0..w).step_by(self.stride[1]) {
                    each(place, (plane * h + y) * w + x);
                    place += 1;
                }
            }
        }
    }
}

impl CpuKernel for Subsample {
    fn name(&self) -> &'static str {
        "subsample"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        self.pixels(args[0].dims, |to, from| out[to] = args[0].data[from]);
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        if let Some(into) = &mut grads[0] {
            into.fill(T::ZERO);
            self.pixels(args[0].dims, |to, from| into[from] = grad[to]);
        }
        Ok(())
    }
}
