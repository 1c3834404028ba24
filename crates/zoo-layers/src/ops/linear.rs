//! Fully connected layer.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, gemm};

use super::{Call, Mode, Operation, ParamSpec, Result, first, folded::FoldedLinear, param, single};
use crate::{
    Init, Shape,
    kernel::{Arg, Backward, CpuKernel, Following, Forward, Kernel, Needs, shared},
};

/// `x · weightᵀ + bias` for x `(n, in_features)`, weight `(out_features, in_features)`, bias `(out_features)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Number of outputs.
    pub out_features: usize,
    /// Whether a number is added to each output.
    pub bias: bool,
    /// How a fresh weight is drawn.
    pub weight_init: Init,
    /// How a fresh bias is drawn; `None` is uniform within 1/√in_features, PyTorch's default.
    pub bias_init: Option<Init>,
}

impl Linear {
    /// `out_features` outputs, with bias.
    pub const fn new(out_features: usize) -> Self {
        Self { out_features, bias: true, weight_init: Init::UniformFanIn { gain: 1.0 }, bias_init: None }
    }

    /// How fresh weights are drawn.
    pub fn weight_init(mut self, init: Init) -> Self {
        self.weight_init = init;
        self
    }

    /// How fresh biases are drawn.
    pub fn bias_init(mut self, init: Init) -> Self {
        self.bias_init = Some(init);
        self
    }
}

impl Operation for Linear {
    fn kind(&self) -> &'static str {
        "Linear"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match single(inputs)? {
            map @ Shape::Map { .. } => {
                Err(format!("it takes a vector, got a map of {map}; flatten it first"))
            }
            Shape::Vector { .. } if self.out_features == 0 => {
                Err("it has 0 outputs; a classifier needs at least 1 class, a network without one no head"
                    .into())
            }
            Shape::Vector { .. } => Ok(Shape::vector(self.out_features)),
        }
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let features = inputs.first().map_or(0, Shape::channels);
        let mut params =
            vec![ParamSpec::trainable("weight", [self.out_features, features], self.weight_init.clone())];
        if self.bias {
            let bound = 1.0 / (features.max(1) as f64).sqrt();
            let init = self.bias_init.clone().unwrap_or(Init::Uniform { bound });
            params.push(ParamSpec::trainable("bias", [self.out_features], init));
        }
        params
    }

    fn macs(&self, inputs: &[Shape], output: &Shape) -> u64 {
        (inputs.first().map_or(0, Shape::channels) as u64).saturating_mul(output.elements() as u64)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(self.clone())
    }

    fn fused(&self, _mode: Mode, following: &Following<'_>) -> Option<Arc<dyn Kernel>> {
        shared(FoldedLinear::of(self, following)?)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let y = first(call.inputs)?.matmul(&param(call.params, 0)?.t()?)?;
        match self.bias {
            true => y.broadcast_add(param(call.params, 1)?),
            false => Ok(y),
        }
    }
}

impl CpuKernel for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, wanted.get(1).is_some_and(|weight| *weight))
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let bias = args.get(2).map(|bias| bias.data);
        gemm::linear(self.sizes(args), args[0].data, args[1].data, bias, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let sizes = self.sizes(args);
        for (place, into) in grads.iter_mut().enumerate() {
            match (place, into) {
                (_, None) => {}
                (0, Some(input)) => gemm::linear_grad_input(sizes, grad, args[1].data, input)?,
                (1, Some(weight)) => gemm::linear_grad_weight(sizes, args[0].data, grad, weight)?,
                (_, Some(bias)) => gemm::linear_grad_bias(sizes[0], sizes[2], grad, bias)?,
            }
        }
        Ok(())
    }
}

impl Linear {
    /// Rows, inputs, outputs.
    pub(super) fn sizes<T>(&self, args: &[Arg<'_, T>]) -> [usize; 3] {
        let [rows, features, _, _] = args[0].dims;
        [rows, features, self.out_features]
    }
}
