//! All arithmetic of windows that slide over a picture: paddings, output sizes, and the messages when a window
//! does not fit. One axis at a time.

/// Zeros (for pools: nothing) around a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Half of the dilated kernel on each side, rounded down: a stride of 1 keeps the size for odd kernels.
    Half,
    /// No padding ("valid").
    None,
    /// The same number on all four sides.
    All(usize),
    /// One number for top and bottom, one for left and right.
    Sides([usize; 2]),
    /// Top, bottom, left, right.
    Explicit([usize; 4]),
    /// TensorFlow's "same": the output is the input divided by the stride, rounded up; of an odd padding the
    /// larger half goes to the bottom and right.
    Same,
}

impl Padding {
    /// Top, bottom, left, right, for windows over a picture of `size` rows and columns.
    pub fn sides(
        self,
        kernel_size: [usize; 2],
        stride: [usize; 2],
        dilation: [usize; 2],
        size: [usize; 2],
    ) -> [usize; 4] {
        let window = Window { kernel: kernel_size, stride, dilation, padding: self };
        let (rows, columns) = (window.axis(0, size[0]), window.axis(1, size[1]));
        [rows.before, rows.after, columns.before, columns.after]
    }
}

/// A window along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) dilation: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
}

/// Whether a last window that only partly fits is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// It is dropped.
    Floor,
    /// It is used if it starts inside the picture or its leading padding (PyTorch's `ceil_mode=True`).
    Ceil,
}

/// Kernel, stride, dilation and padding of both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    pub(crate) padding: Padding,
}

/// The kernel's reach: taps and the holes between them.
pub(crate) fn reach(kernel: usize, dilation: usize) -> usize {
    kernel.saturating_sub(1).saturating_mul(dilation).saturating_add(1)
}

impl Window {
    /// The window along axis 0 (rows) or 1 (columns) of a picture that is `size` long there.
    pub(crate) fn axis(&self, axis: usize, size: usize) -> Axis {
        let (kernel, stride, dilation) = (self.kernel[axis], self.stride[axis], self.dilation[axis]);
        let [before, after] = match self.padding {
            Padding::Half => [(reach(kernel, dilation).saturating_sub(1)) / 2; 2],
            Padding::None => [0; 2],
            Padding::All(side) => [side; 2],
            Padding::Sides(sides) => [sides[axis]; 2],
            Padding::Explicit(sides) => [sides[2 * axis], sides[2 * axis + 1]],
            Padding::Same => {
                let covered = size.div_ceil(stride.max(1)).saturating_sub(1).saturating_mul(stride);
                let total = covered.saturating_add(reach(kernel, dilation)).saturating_sub(size);
                [total / 2, total - total / 2]
            }
        };
        Axis { kernel, stride, dilation, before, after }
    }

    /// Output height and width for a picture of `size`, or a sentence that says why there is none.
    pub(crate) fn output(&self, size: [usize; 2], rounding: Rounding) -> Result<[usize; 2], String> {
        for (what, pair) in [("kernel", self.kernel), ("stride", self.stride), ("dilation", self.dilation)] {
            if pair.contains(&0) {
                return Err(format!("its {what} is {}x{}; both must be at least 1", pair[0], pair[1]));
            }
        }
        let mut output = [0; 2];
        for i in 0..2 {
            let axis = self.axis(i, size[i]);
            output[i] = axis.output(size[i], rounding).ok_or_else(|| {
                let padded = [0, 1].map(|j| {
                    let axis = self.axis(j, size[j]);
                    size[j].saturating_add(axis.before).saturating_add(axis.after)
                });
                format!(
                    "its kernel reaches over {}x{} pixels, but its input of {}x{} has only {}x{} with padding; \
                     give a larger picture",
                    reach(self.kernel[0], self.dilation[0]),
                    reach(self.kernel[1], self.dilation[1]),
                    size[0],
                    size[1],
                    padded[0],
                    padded[1],
                )
            })?;
        }
        Ok(output)
    }
}

/// The four sides of a window's padding over a picture, as kernels want it.
pub(crate) fn sides(window: &Window, [height, width]: [usize; 2]) -> zoo_kernels::conv::Padding {
    let (rows, columns) = (window.axis(0, height), window.axis(1, width));
    zoo_kernels::conv::Padding {
        top: rows.before,
        bottom: rows.after,
        left: columns.before,
        right: columns.after,
    }
}

impl Axis {
    /// How many windows fit over `size` pixels.
    pub(crate) fn output(&self, size: usize, rounding: Rounding) -> Option<usize> {
        let padded = size.checked_add(self.before)?.checked_add(self.after)?;
        let room = padded.checked_sub(reach(self.kernel, self.dilation))?;
        if size == 0 {
            return None;
        }
        let mut windows = room / self.stride + 1;
        if rounding == Rounding::Ceil && !room.is_multiple_of(self.stride) {
            // PyTorch's rule: the last window must start inside the picture or the padding before it.
            if windows * self.stride < size + self.before {
                windows += 1;
            }
        }
        Some(windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(kernel: usize, stride: usize, padding: Padding) -> Window {
        Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [1; 2], padding }
    }

    #[test]
    fn sizes_of_the_resnet_stem() {
        let stem = window(7, 2, Padding::Half);
        assert_eq!(stem.output([224, 224], Rounding::Floor), Ok([112, 112]));
        assert_eq!(window(3, 2, Padding::All(1)).output([112, 113], Rounding::Floor), Ok([56, 57]));
    }

    #[test]
    fn same_padding_is_tensorflows() {
        let axis = window(3, 2, Padding::Same).axis(0, 224);
        assert_eq!((axis.before, axis.after), (0, 1));
        let axis = window(3, 2, Padding::Same).axis(0, 225);
        assert_eq!((axis.before, axis.after), (1, 1));
        assert_eq!(window(3, 2, Padding::Same).output([5, 6], Rounding::Floor), Ok([3, 3]));
    }

    #[test]
    fn ceil_mode_drops_a_window_that_starts_in_the_trailing_padding() {
        assert_eq!(window(3, 2, Padding::None).output([6, 7], Rounding::Ceil), Ok([3, 3]));
        // PyTorch: MaxPool2d(2, 2, padding=1, ceil_mode=True) on 1x2 gives 1x2, not 2x2.
        assert_eq!(window(2, 2, Padding::All(1)).output([1, 2], Rounding::Ceil), Ok([1, 2]));
    }

    #[test]
    fn what_does_not_fit_is_said_with_both_sizes() {
        let error = window(7, 1, Padding::None).output([5, 9], Rounding::Floor).unwrap_err();
        assert!(error.contains("7x7") && error.contains("5x9"), "{error}");
        assert!(window(3, 0, Padding::None).output([5, 5], Rounding::Floor).is_err());
    }
}
