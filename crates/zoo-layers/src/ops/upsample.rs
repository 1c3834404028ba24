//! Bilinear interpolation to another map's size.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{
    Element, KernelError,
    upsample::{self, Corners},
};

use super::{
    Call, Mode, Operation, Result,
    composed::{self, Matrix},
    pair, two_maps,
};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// Which pixels of the two maps lie over each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Align {
    /// The maps cover the same area, and pixels are squares in it (PyTorch's `align_corners=False`).
    Areas,
    /// The centres of the corner pixels lie over each other (`align_corners=True`).
    Corners,
}

/// The first input `(n, c, h, w)`, interpolated bilinearly to the height and width of the second, whose values
/// are not read: the network's picture, for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsample {
    /// Which pixels lie over each other.
    pub align: Align,
}

impl Upsample {
    /// The weights of one axis: every output pixel has two neighbours, or stands on one.
    fn axis(&self, size: usize, output: usize) -> Matrix {
        let mut matrix = Matrix::zeros(output, size);
        for pixel in 0..output {
            let place = match self.align {
                Align::Areas => {
                    let place = (pixel as f64 + 0.5) * size as f64 / output as f64 - 0.5;
                    place.max(0.0)
                }
                Align::Corners if output == 1 => 0.0,
                Align::Corners => pixel as f64 * (size - 1) as f64 / (output - 1) as f64,
            };
            let before = (place as usize).min(size - 1);
            let after = (before + 1).min(size - 1);
            let share = (place - before as f64).min(1.0);
            matrix.add(pixel, before, 1.0 - share);
            matrix.add(pixel, after, share);
        }
        matrix
    }
}

impl Operation for Upsample {
    fn kind(&self) -> &'static str {
        "Upsample"
    }

    fn detail(&self) -> String {
        match self.align {
            Align::Areas => "bilinear".into(),
            Align::Corners => "bilinear, corners aligned".into(),
        }
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [(channels, _), (_, [height, width])] = two_maps(inputs)?;
        Ok(Shape::map(channels, height, width))
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let [x, reference] = pair(call.inputs)?;
        let (_, _, h, w) = x.dims4()?;
        let (_, _, oh, ow) = reference.dims4()?;
        composed::separable(x, self.axis(h, oh), self.axis(w, ow))
    }
}

impl Upsample {
    fn corners(&self) -> Corners {
        match self.align {
            Align::Areas => Corners::Edges,
            Align::Corners => Corners::Centres,
        }
    }
}

impl CpuKernel for Upsample {
    fn name(&self) -> &'static str {
        "upsample_bilinear2d"
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
        let [_, _, height, width] = args[1].dims;
        upsample::forward(self.corners(), [height, width], args[0].dims, args[0].data, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let [_, _, height, width] = args[1].dims;
        match &mut grads[0] {
            Some(input) => upsample::backward(self.corners(), [height, width], args[0].dims, grad, input),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, check_gradients, random};

    /// The interpolation at every output pixel, from its four neighbours.
    fn naive(op: Upsample, x: &Tensor, [oh, ow]: [usize; 2]) -> Tensor {
        let (n, c, h, w) = x.dims4().unwrap();
        let values = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let place = |size: usize, output: usize, pixel: usize| match op.align {
            Align::Areas => ((pixel as f64 + 0.5) * size as f64 / output as f64 - 0.5).max(0.0),
            Align::Corners if output == 1 => 0.0,
            Align::Corners => pixel as f64 * (size - 1) as f64 / (output - 1) as f64,
        };
        let mut y = Vec::new();
        for map in 0..n * c {
            for (row, column) in (0..oh).flat_map(|row| (0..ow).map(move |column| (row, column))) {
                let (y_at, x_at) = (place(h, oh, row), place(w, ow, column));
                let at = |row: f64, column: f64| {
                    let (row, column) = ((row as usize).min(h - 1), (column as usize).min(w - 1));
                    values[(map * h + row) * w + column]
                };
                let (dy, dx) = (y_at.fract(), x_at.fract());
                let top = at(y_at, x_at) * (1.0 - dx) + at(y_at, x_at + 1.0) * dx;
                let bottom = at(y_at + 1.0, x_at) * (1.0 - dx) + at(y_at + 1.0, x_at + 1.0) * dx;
                y.push(top * (1.0 - dy) + bottom * dy);
            }
        }
        Tensor::from_vec(y, (n, c, oh, ow), x.device()).unwrap()
    }

    #[test]
    fn values_and_gradients_are_those_of_the_plain_loop() {
        let sizes =
            [([3, 4], [7, 9]), ([5, 1], [5, 6]), ([2, 3], [1, 1]), ([7, 6], [3, 4]), ([1, 1], [4, 2])];
        for align in [Align::Areas, Align::Corners] {
            for ([h, w], [oh, ow]) in sizes {
                let op = Upsample { align };
                let x = random(&[2, 3, h, w], 5);
                let expected = naive(op, &x, [oh, ow]);
                let reference = random(&[2, 1, oh, ow], 6);
                let call = |y: &Tensor| assert_close(y, &expected, 1e-12);
                check_gradients(op, &[x, reference], &[], call);
            }
        }
    }

    /// PyTorch: `F.interpolate(torch.tensor([[[[0., 1.], [2., 3.]]]]), (3, 4), mode="bilinear")`, both ways.
    #[test]
    fn values_are_pytorchs() {
        let device = candle_core::Device::Cpu;
        let x = Tensor::new(&[[[[0.0_f64, 1.0], [2.0, 3.0]]]], &device).unwrap();
        let reference = Tensor::zeros((1, 3, 3, 4), candle_core::DType::F64, &device).unwrap();
        let run = |align| {
            let inputs = [x.clone(), reference.clone()];
            let call = Call {
                inputs: &inputs,
                params: &[],
                mode: crate::Mode::Eval,
                random: crate::rng::Stream::from_key(0),
            };
            Upsample { align }.forward(call).unwrap()
        };
        let areas = [[[[0.0, 0.25, 0.75, 1.0], [1.0, 1.25, 1.75, 2.0], [2.0, 2.25, 2.75, 3.0]]]];
        assert_close(&run(Align::Areas), &Tensor::new(&areas, &device).unwrap(), 1e-12);
        let third = 1.0 / 3.0;
        let row = |start: f64| [start, start + third, start + 2.0 * third, start + 1.0];
        let corners = [[[row(0.0), row(1.0), row(2.0)]]];
        assert_close(&run(Align::Corners), &Tensor::new(&corners, &device).unwrap(), 1e-12);
    }
}
