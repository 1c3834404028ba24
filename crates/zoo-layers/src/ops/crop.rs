//! A piece of a map, as large as another map.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError};

use super::{Call, Mode, Operation, Result, pair, two_maps};
use crate::{
    Shape,
    kernel::{Arg, Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// The first input's pixels from `offset` on, as many as the second has, whose values are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Rows left out at the top, columns left out at the left.
    pub offset: [usize; 2],
}

impl Operation for Crop {
    fn kind(&self) -> &'static str {
        "Crop"
    }

    fn detail(&self) -> String {
        format!("from {}, {}", self.offset[0], self.offset[1])
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [(channels, size), (_, wanted)] = two_maps(inputs)?;
        let fits =
            |axis: usize| wanted[axis].checked_add(self.offset[axis]).is_some_and(|end| end <= size[axis]);
        match fits(0) && fits(1) {
            true => Ok(Shape::map(channels, wanted[0], wanted[1])),
            false => Err(format!(
                "it takes {}x{} pixels from row {} and column {} on, but its input has only {}x{}",
                wanted[0], wanted[1], self.offset[0], self.offset[1], size[0], size[1]
            )),
        }
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let [x, reference] = pair(call.inputs)?;
        let (_, _, h, w) = reference.dims4()?;
        x.narrow(2, self.offset[0], h)?.narrow(3, self.offset[1], w)?.contiguous()
    }
}

impl Crop {
    /// Calls `each` with the start of an output row and of the part of an input row that it is, and their length.
    fn rows<T>(&self, args: &[Arg<'_, T>], mut each: impl FnMut(usize, usize, usize)) {
        let ([n, c, h, w], [_, _, height, width]) = (args[0].dims, args[1].dims);
        for (row, plane) in (0..n * c).flat_map(|plane| (0..height).map(move |row| (row, plane))) {
            let from = (plane * h + row + self.offset[0]) * w + self.offset[1];
            each((plane * height + row) * width, from, width);
        }
    }
}

impl CpuKernel for Crop {
    fn name(&self) -> &'static str {
        "crop"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    /// The other map is read for its size alone.
    fn has_gradient(&self, index: usize) -> bool {
        index == 0
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        self.rows(args, |to, from, length| {
            out[to..to + length].copy_from_slice(&args[0].data[from..from + length]);
        });
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
            self.rows(args, |to, from, length| {
                into[from..from + length].copy_from_slice(&grad[to..to + length]);
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, check_gradients, random};

    #[test]
    fn a_crop_is_the_pixels_from_the_offset_on() {
        let x = random(&[2, 3, 7, 6], 1);
        let reference = random(&[2, 1, 4, 3], 2);
        let expected = x.narrow(2, 2, 4).unwrap().narrow(3, 3, 3).unwrap();
        let call = |y: &Tensor| assert_close(y, &expected, 0.0);
        check_gradients(Crop { offset: [2, 3] }, &[x.clone(), reference], &[], call);
    }

    #[test]
    fn a_crop_beyond_the_edge_is_refused_with_both_sizes() {
        let shapes = [Shape::map(3, 7, 6), Shape::map(1, 4, 3)];
        let reason = Crop { offset: [2, 4] }.output(&shapes).unwrap_err();
        assert!(reason.contains("4x3") && reason.contains("7x6"), "{reason}");
        assert!(Crop { offset: [usize::MAX, 0] }.output(&shapes).is_err());
    }
}
