//! The radial basis output of LeNet-5.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, rbf};

use super::{Call, Mode, Operation, ParamSpec, Result, first, param, single};
use crate::{
    Init, Shape,
    kernel::{Arg, Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// One unit for each class, which measures how far the input is from the class's code:
/// `y_i = Σ_j (x_j − code_ij)²` (LeCun et al. 1998, equation 7). The codes are a buffer `weight`
/// `(classes, features)`; the output is minus the distance, so that the largest is the answer, as with logits.
#[derive(Clone, Debug, PartialEq)]
pub struct Rbf {
    /// Number of classes.
    pub classes: usize,
    /// The codes, class by class.
    pub codes: Arc<[f32]>,
}

impl Operation for Rbf {
    fn kind(&self) -> &'static str {
        "RBF"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let features = match single(inputs)? {
            Shape::Vector { features } => features,
            map @ Shape::Map { .. } => return Err(format!("it takes a vector, got a map of {map}")),
        };
        match self.classes > 0 && self.codes.len() == self.classes * features {
            true => Ok(Shape::vector(self.classes)),
            false => Err(format!(
                "its {} code values are not {features} for each of {} classes",
                self.codes.len(),
                self.classes
            )),
        }
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let features = inputs.first().map_or(0, Shape::channels);
        vec![ParamSpec::buffer("weight", [self.classes, features], Init::Values(Arc::clone(&self.codes)))]
    }

    fn macs(&self, inputs: &[Shape], output: &Shape) -> u64 {
        (inputs.first().map_or(0, Shape::channels) as u64).saturating_mul(output.elements() as u64)
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(self.clone())
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?.unsqueeze(1)?;
        x.broadcast_sub(&param(call.params, 0)?.unsqueeze(0)?)?.sqr()?.sum(2)?.neg()
    }
}

impl Rbf {
    /// Rows, features, classes.
    fn sizes<T>(&self, args: &[Arg<'_, T>]) -> [usize; 3] {
        let [rows, features, _, _] = args[0].dims;
        [rows, features, self.classes]
    }
}

impl CpuKernel for Rbf {
    fn name(&self) -> &'static str {
        "rbf"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, true)
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        rbf::forward(self.sizes(args), args[0].data, args[1].data, out)?;
        out.iter_mut().for_each(|distance| *distance = -*distance);
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let (sizes, input, codes) = (self.sizes(args), args[0].data, args[1].data);
        let grad: Vec<T> = grad.iter().map(|grad| -*grad).collect();
        for (place, into) in grads.iter_mut().enumerate() {
            match (place, into) {
                (_, None) => {}
                (0, Some(into)) => rbf::grad_input(sizes, input, codes, &grad, into)?,
                (_, Some(into)) => rbf::grad_codes(sizes, input, codes, &grad, into)?,
            }
        }
        Ok(())
    }
}
