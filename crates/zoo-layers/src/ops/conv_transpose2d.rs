//! Transposed convolution, a convolution run backwards: it makes maps larger.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{
    Element, KernelError,
    conv::{Padding, Transposed},
};

use super::{
    Call, Mode, Operation, ParamSpec, Result, check_groups,
    composed::{conv_transpose2d, dilated},
    first, param, single_map, told,
};
use crate::{
    Init, Shape,
    geometry::reach,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, Working, shared},
};

/// Every input pixel writes its filter, scaled by itself, into the output; what overlaps is added. In the field
/// also "deconvolution", which it isn't.
///
/// Input `(n, c, h, w)`, weight `(c, out_channels / groups, kernel_height, kernel_width)`, bias `(out_channels)`;
/// output `(h − 1) · stride − 2 · padding + dilation · (kernel − 1) + output_padding + 1` pixels high.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvTranspose2d {
    /// Number of output maps.
    pub out_channels: usize,
    /// Height and width of a filter.
    pub kernel_size: [usize; 2],
    /// Distance between the places where neighbouring pixels write, rows then columns.
    pub stride: [usize; 2],
    /// Pixels taken off the output, at top and bottom, at left and right.
    pub padding: [usize; 2],
    /// Pixels added to the output, at the bottom, at the right.
    pub output_padding: [usize; 2],
    /// Distance between a filter's taps, rows then columns.
    pub dilation: [usize; 2],
    /// Input and output channels are split into so many groups that do not see each other.
    pub groups: usize,
    /// Whether a number is added to each output channel.
    pub bias: bool,
    /// How a fresh weight is drawn.
    pub weight_init: Init,
    /// How a fresh bias is drawn; `None` is uniform within 1/√fan_in, PyTorch's default.
    pub bias_init: Option<Init>,
}

impl ConvTranspose2d {
    /// `out_channels` filters of `kernel_size` by `kernel_size` taps, `stride` apart, with bias.
    pub const fn new(out_channels: usize, kernel_size: usize, stride: usize) -> Self {
        Self {
            out_channels,
            kernel_size: [kernel_size, kernel_size],
            stride: [stride, stride],
            padding: [0, 0],
            output_padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
            bias: true,
            weight_init: Init::UniformFanIn { gain: 1.0 },
            bias_init: None,
        }
    }

    /// The same number of pixels taken off all four sides.
    pub const fn padding(mut self, padding: usize) -> Self {
        self.padding = [padding, padding];
        self
    }

    /// The same number of pixels added at the bottom and at the right.
    pub const fn output_padding(mut self, output_padding: usize) -> Self {
        self.output_padding = [output_padding, output_padding];
        self
    }

    /// Splits the channels.
    pub const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Without bias.
    pub const fn no_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// How fresh weights are drawn.
    pub fn weight_init(mut self, init: Init) -> Self {
        self.weight_init = init;
        self
    }

    /// The output's length along one axis; nothing if none is left, or too much for any machine.
    fn length(&self, axis: usize, input: usize) -> Option<usize> {
        let spread = input.checked_sub(1)?.checked_mul(self.stride[axis])?;
        let reached = spread.checked_add(reach(self.kernel_size[axis], self.dilation[axis]))?;
        let longer = reached.checked_add(self.output_padding[axis])?;
        longer.checked_sub(self.padding[axis].checked_mul(2)?).filter(|length| *length > 0)
    }
}

impl Operation for ConvTranspose2d {
    fn kind(&self) -> &'static str {
        "ConvTranspose2d"
    }

    fn detail(&self) -> String {
        let groups = if self.groups > 1 { format!(", groups {}", self.groups) } else { String::new() };
        format!("{}x{}, stride {}{groups}", self.kernel_size[0], self.kernel_size[1], told(self.stride))
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, size) = single_map(inputs)?;
        if self.out_channels == 0 {
            return Err("it has 0 output channels; give at least 1".into());
        }
        check_groups(self.groups, channels, self.out_channels)?;
        let pairs = [("kernel", self.kernel_size), ("stride", self.stride), ("dilation", self.dilation)];
        if let Some((what, [rows, columns])) = pairs.into_iter().find(|(_, pair)| pair.contains(&0)) {
            return Err(format!("its {what} is {rows}x{columns}; both must be at least 1"));
        }
        let mut output = [0; 2];
        for axis in 0..2 {
            if self.output_padding[axis] >= self.stride[axis] {
                return Err(format!(
                    "its output padding of {} is not smaller than its stride of {}",
                    self.output_padding[axis], self.stride[axis]
                ));
            }
            output[axis] = self.length(axis, size[axis]).ok_or_else(|| {
                format!(
                    "its padding of {} leaves nothing of what an input of {}x{} makes; give a larger picture",
                    self.padding[axis], size[0], size[1]
                )
            })?;
        }
        Ok(Shape::map(self.out_channels, output[0], output[1]))
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let channels = inputs.first().map_or(0, Shape::channels);
        let [height, width] = self.kernel_size;
        let out = self.out_channels / self.groups.max(1);
        let shape = [channels, out, height, width];
        let mut params = vec![ParamSpec::trainable("weight", shape, self.weight_init.clone())];
        if self.bias {
            let bound = 1.0 / ((out * height * width).max(1) as f64).sqrt();
            let init = self.bias_init.clone().unwrap_or(Init::Uniform { bound });
            params.push(ParamSpec::trainable("bias", [self.out_channels], init));
        }
        params
    }

    fn macs(&self, inputs: &[Shape], _output: &Shape) -> u64 {
        let taps = self.out_channels / self.groups.max(1) * self.kernel_size[0] * self.kernel_size[1];
        (inputs.first().map_or(0, Shape::elements) as u64).saturating_mul(taps as u64)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(self.clone())
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        let (_, _, h, w) = x.dims4()?;
        let (Some(height), Some(width)) = (self.length(0, h), self.length(1, w)) else {
            candle_core::bail!("a transposed convolution's padding leaves nothing of an input of {h}x{w}");
        };
        let weight = dilated(param(call.params, 0)?, self.dilation)?;
        let mut y = conv_transpose2d(x, &weight, self.stride, self.groups)?;
        for (dim, start, length) in [(2, self.padding[0], height), (3, self.padding[1], width)] {
            let missing = (start + length).saturating_sub(y.dim(dim)?);
            y = y.pad_with_zeros(dim, 0, missing)?.narrow(dim, start, length)?;
        }
        match self.bias {
            true => y.broadcast_add(&param(call.params, 1)?.reshape((1, (), 1, 1))?),
            false => y.contiguous(),
        }
    }
}

impl ConvTranspose2d {
    /// What the kernels call it, for inputs of these dimensions.
    fn spec(&self, channels: usize) -> Transposed {
        let [rows, columns] = self.padding;
        Transposed {
            in_channels: channels,
            out_channels: self.out_channels,
            kernel_size: self.kernel_size,
            stride: self.stride,
            padding: Padding::symmetric(rows, columns),
            output_padding: self.output_padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }
}

impl CpuKernel for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn working(&self, inputs: &[Shape], batch: usize, back: bool) -> Working {
        let Some(&Shape::Map { channels, height, width }) = inputs.first() else { return Working::default() };
        self.spec(channels).working(back, [batch, channels, height, width]).unwrap_or_default()
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, wanted.iter().skip(1).any(|learned| *learned))
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let bias = args.get(2).map(|bias| bias.data);
        self.spec(args[0].dims[1]).forward(args[0].dims, args[0].data, args[1].data, bias, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let (spec, shape) = (self.spec(args[0].dims[1]), args[0].dims);
        let [input, weight, rest @ ..] = grads else { return Ok(()) };
        if let Some(input) = input {
            spec.grad_input(shape, grad, args[1].data, input)?;
        }
        let bias = rest.first_mut().and_then(Option::as_deref_mut);
        match (weight, bias) {
            (None, None) => Ok(()),
            (Some(weight), bias) => spec.grad_weight(shape, args[0].data, grad, weight, bias),
            (None, bias) => {
                let mut unwanted = vec![T::ZERO; args[1].data.len()];
                spec.grad_weight(shape, args[0].data, grad, &mut unwanted, bias)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_close, check_gradients, random};

    /// Every input pixel writes its filter.
    fn naive(op: &ConvTranspose2d, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
        let (n, c, h, w) = x.dims4().unwrap();
        let values = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let weights = weight.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let [oh, ow] = op.output(&[Shape::map(c, h, w)]).unwrap().size();
        let (inputs, outputs) = (c / op.groups, op.out_channels / op.groups);
        let [kh, kw] = op.kernel_size;
        let mut y = vec![0.0; n * op.out_channels * oh * ow];
        if let Some(bias) = bias {
            let bias = bias.to_vec1::<f64>().unwrap();
            y.iter_mut().enumerate().for_each(|(i, y)| *y = bias[i / (oh * ow) % op.out_channels]);
        }
        for (place, value) in values.into_iter().enumerate() {
            let [image, channel, row, column] =
                [place / (c * h * w), place / (h * w) % c, place / w % h, place % w];
            for out in 0..outputs {
                for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                    let at = |axis: usize, pixel: usize, tap: usize| {
                        (pixel * op.stride[axis] + tap * op.dilation[axis]).checked_sub(op.padding[axis])
                    };
                    let (Some(y_at), Some(x_at)) = (at(0, row, ky), at(1, column, kx)) else { continue };
                    if y_at < oh && x_at < ow {
                        let to = image * op.out_channels + channel / inputs * outputs + out;
                        let tap = ((channel * outputs + out) * kh + ky) * kw + kx;
                        y[(to * oh + y_at) * ow + x_at] += value * weights[tap];
                    }
                }
            }
        }
        Tensor::from_vec(y, (n, op.out_channels, oh, ow), x.device()).unwrap()
    }

    fn cases() -> Vec<(ConvTranspose2d, [usize; 4])> {
        let plain = ConvTranspose2d::new;
        vec![
            (plain(3, 4, 2), [2, 2, 3, 5]),
            (plain(2, 3, 2).padding(1).output_padding(1), [1, 4, 4, 3]),
            (plain(4, 3, 2).groups(2).no_bias(), [2, 6, 3, 2]),
            (plain(3, 2, 3).output_padding(2), [1, 3, 2, 3]),
            (
                ConvTranspose2d {
                    kernel_size: [3, 2],
                    stride: [1, 3],
                    padding: [2, 0],
                    dilation: [2, 1],
                    ..plain(2, 1, 1)
                },
                [1, 2, 5, 2],
            ),
            (ConvTranspose2d { groups: 5, ..plain(5, 16, 8) }, [1, 5, 2, 3]),
        ]
    }

    #[test]
    fn values_and_gradients_are_those_of_the_plain_loop() {
        for (case, (op, shape)) in cases().into_iter().enumerate() {
            let input = Shape::map(shape[1], shape[2], shape[3]);
            let specs = op.params(&[input]);
            let x = random(&shape, case as u64);
            let params: Vec<Tensor> =
                specs.iter().zip(10..).map(|(spec, seed)| random(&spec.shape, seed)).collect();
            let expected = naive(&op, &x, &params[0], params.get(1));
            check_gradients(op.clone(), &[x], &params, |y| assert_close(y, &expected, 1e-12));
        }
    }

    #[test]
    fn what_does_not_fit_is_said_with_its_values() {
        let input = [Shape::map(6, 2, 2)];
        let reason = ConvTranspose2d::new(4, 3, 2).groups(4).output(&input).unwrap_err();
        assert!(reason.contains("4 groups") && reason.contains("6 input"), "{reason}");
        let reason = ConvTranspose2d::new(4, 3, 2).output_padding(2).output(&input).unwrap_err();
        assert!(reason.contains("output padding of 2"), "{reason}");
        let reason = ConvTranspose2d::new(4, 3, 2).padding(4).output(&input).unwrap_err();
        assert!(reason.contains("padding of 4") && reason.contains("2x2"), "{reason}");
    }

    #[test]
    fn work_is_counted_at_the_input() {
        let op = ConvTranspose2d::new(21, 64, 32).no_bias();
        let input = [Shape::map(21, 16, 16)];
        assert_eq!(op.macs(&input, &op.output(&input).unwrap()), 16 * 16 * 21 * 21 * 64 * 64);
    }
}
