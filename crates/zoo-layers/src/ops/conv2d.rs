//! Two-dimensional convolution: grouped, strided, dilated, with any padding.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, conv};

use super::{
    Call, Mode, Operation, ParamSpec, Result, check_groups, composed, first, folded::FoldedConv, param,
    single_map, told,
};
use crate::{
    Fan, Init, Padding, Shape,
    geometry::{Rounding, Window, sides},
    kernel::{Backward, CpuKernel, Following, Forward, Kernel, Needs, Working, shared},
};

/// A convolution (in truth a cross-correlation, as everywhere in the field) of `out_channels` filters.
///
/// Input `(n, c, h, w)`, weight `(out_channels, c / groups, kernel_height, kernel_width)`, bias
/// `(out_channels)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Number of filters.
    pub out_channels: usize,
    /// Height and width of a filter.
    pub kernel_size: [usize; 2],
    /// Steps between windows, rows then columns.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Padding,
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

impl Conv2d {
    /// `out_channels` filters of `kernel_size` rows and columns, stride 1, half padding, with bias.
    pub const fn new(out_channels: usize, kernel_size: [usize; 2]) -> Self {
        Self {
            out_channels,
            kernel_size,
            stride: [1, 1],
            padding: Padding::Half,
            dilation: [1, 1],
            groups: 1,
            bias: true,
            weight_init: Init::UniformFanIn { gain: 1.0 },
            bias_init: None,
        }
    }

    /// 1×1.
    pub const fn k1(out_channels: usize) -> Self {
        Self::new(out_channels, [1, 1])
    }

    /// 3×3, padded by 1 (by the dilation, if any).
    pub const fn k3(out_channels: usize) -> Self {
        Self::new(out_channels, [3, 3])
    }

    /// 5×5, padded by 2.
    pub const fn k5(out_channels: usize) -> Self {
        Self::new(out_channels, [5, 5])
    }

    /// 7×7, padded by 3.
    pub const fn k7(out_channels: usize) -> Self {
        Self::new(out_channels, [7, 7])
    }

    /// The same step along rows and columns.
    pub const fn stride(mut self, stride: usize) -> Self {
        self.stride = [stride, stride];
        self
    }

    /// Another padding than half the kernel.
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// The same distance between taps along rows and columns.
    pub const fn dilation(mut self, dilation: usize) -> Self {
        self.dilation = [dilation, dilation];
        self
    }

    /// Splits the channels.
    pub const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Without bias: a norm that follows has its own.
    pub const fn no_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    /// How fresh weights are drawn.
    pub fn weight_init(mut self, init: Init) -> Self {
        self.weight_init = init;
        self
    }

    /// Fresh weights with variance 2 / fan-out (He et al. 2015), as torchvision draws them in front of a norm.
    pub fn kaiming(self) -> Self {
        self.weight_init(Init::KaimingNormal(Fan::Out))
    }

    /// How fresh biases are drawn.
    pub fn bias_init(mut self, init: Init) -> Self {
        self.bias_init = Some(init);
        self
    }

    pub(crate) const fn window(&self) -> Window {
        Window {
            kernel: self.kernel_size,
            stride: self.stride,
            dilation: self.dilation,
            padding: self.padding,
        }
    }
}

impl Operation for Conv2d {
    fn kind(&self) -> &'static str {
        "Conv2d"
    }

    fn detail(&self) -> String {
        let mut detail = format!("{}x{}", self.kernel_size[0], self.kernel_size[1]);
        for (word, value, usual) in
            [("stride", told(self.stride), "1"), ("dilation", told(self.dilation), "1")]
        {
            if value != usual {
                detail += &format!(", {word} {value}");
            }
        }
        if self.groups > 1 {
            detail += &format!(", groups {}", self.groups);
        }
        detail
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, size) = single_map(inputs)?;
        if self.out_channels == 0 {
            return Err("it has 0 output channels; give at least 1".into());
        }
        check_groups(self.groups, channels, self.out_channels)?;
        let [height, width] = self.window().output(size, Rounding::Floor)?;
        Ok(Shape::map(self.out_channels, height, width))
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let channels = inputs.first().map_or(0, Shape::channels) / self.groups.max(1);
        let [height, width] = self.kernel_size;
        let shape = [self.out_channels, channels, height, width];
        let mut params = vec![ParamSpec::trainable("weight", shape, self.weight_init.clone())];
        if self.bias {
            let inputs = channels.saturating_mul(height).saturating_mul(width).max(1);
            let bound = 1.0 / (inputs as f64).sqrt();
            let init = self.bias_init.clone().unwrap_or(Init::Uniform { bound });
            params.push(ParamSpec::trainable("bias", [self.out_channels], init));
        }
        params
    }

    fn macs(&self, inputs: &[Shape], output: &Shape) -> u64 {
        let channels = inputs.first().map_or(0, Shape::channels) / self.groups.max(1);
        let taps = channels * self.kernel_size[0] * self.kernel_size[1];
        (output.elements() as u64).saturating_mul(taps as u64)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(self.clone())
    }

    fn fused(&self, _mode: Mode, following: &Following<'_>) -> Option<Arc<dyn Kernel>> {
        shared(FoldedConv::of(self, following)?)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let y = composed::conv2d(first(call.inputs)?, param(call.params, 0)?, &self.window(), self.groups)?;
        match self.bias {
            true => y.broadcast_add(&param(call.params, 1)?.reshape((1, (), 1, 1))?),
            false => Ok(y),
        }
    }
}

impl Conv2d {
    /// What the kernels call it, for inputs of these dimensions, batch first.
    pub fn spec(&self, [_, channels, height, width]: [usize; 4]) -> conv::Conv2d {
        conv::Conv2d {
            in_channels: channels,
            out_channels: self.out_channels,
            kernel_size: self.kernel_size,
            stride: self.stride,
            padding: sides(&self.window(), [height, width]),
            dilation: self.dilation,
            groups: self.groups,
        }
    }
}

impl Conv2d {
    /// What its kernels work in.
    pub(super) fn works_in(&self, inputs: &[Shape], batch: usize, back: bool) -> Working {
        let Some(&Shape::Map { channels, height, width }) = inputs.first() else { return Working::default() };
        let shape = [batch, channels, height, width];
        let passes: &[conv::Pass] = match back {
            true => &[conv::Pass::GradInput, conv::Pass::GradWeight],
            false => &[conv::Pass::Forward],
        };
        let sizes = passes.iter().filter_map(|pass| conv::working(*pass, &self.spec(shape), shape).ok());
        sizes.fold(Working::default(), |all, one| all.and(&one))
    }
}

impl CpuKernel for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn working(&self, inputs: &[Shape], batch: usize, back: bool) -> Working {
        self.works_in(inputs, batch, back)
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, wanted.iter().skip(1).any(|learned| *learned))
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let bias = args.get(2).map(|bias| bias.data);
        conv::forward(&self.spec(args[0].dims), args[0].dims, args[0].data, args[1].data, bias, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let (spec, shape) = (self.spec(args[0].dims), args[0].dims);
        let [input, weight, rest @ ..] = grads else { return Ok(()) };
        if let Some(input) = input {
            conv::grad_input(&spec, shape, grad, args[1].data, input)?;
        }
        let bias = rest.first_mut().and_then(Option::as_deref_mut);
        match (weight, bias) {
            (None, None) => Ok(()),
            (Some(weight), bias) => conv::grad_weight(&spec, shape, args[0].data, grad, weight, bias),
            (None, bias) => {
                let mut unwanted = vec![T::ZERO; args[1].data.len()];
                conv::grad_weight(&spec, shape, args[0].data, grad, &mut unwanted, bias)
            }
        }
    }
}
