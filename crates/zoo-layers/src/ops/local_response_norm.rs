//! Local response normalisation (Krizhevsky et al. 2012, section 3.3).

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, lrn};

use super::{Call, Mode, Operation, Result, composed::Matrix, first, single_map};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, shared},
};

/// Each value divided by `(k + alpha · Σ x²)^beta`, the sum running over the `size` channels around its own, of
/// those that exist.
///
/// This is the paper's formula. PyTorch's `LocalResponseNorm` and Caffe divide `alpha` by `size`: give
/// `alpha / size` for theirs. An even `size` reaches one channel further back than forth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalResponseNorm {
    /// Channels in a neighbourhood.
    pub size: usize,
    /// Weight of the squares.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Added to the weighted sum.
    pub k: f64,
}

impl Operation for LocalResponseNorm {
    fn kind(&self) -> &'static str {
        "LocalResponseNorm"
    }

    fn detail(&self) -> String {
        format!("size {}", self.size)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single_map(inputs)?;
        match self.size {
            0 => Err("its neighbourhood is 0 channels; give at least 1".into()),
            _ => super::single(inputs),
        }
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        let (n, c, h, w) = x.dims4()?;
        let mut band = Matrix::zeros(c, c);
        for channel in 0..c {
            let start = channel.saturating_sub(self.size / 2);
            let end = (channel + self.size.div_ceil(2)).min(c);
            (start..end).for_each(|other| band.add(channel, other, 1.0));
        }
        let squares = x.sqr()?.transpose(0, 1)?.contiguous()?.reshape((c, n * h * w))?;
        let sums = band.tensor(x.dtype(), x.device())?.matmul(&squares)?;
        let sums = sums.reshape((c, n, h, w))?.transpose(0, 1)?;
        x / sums.affine(self.alpha, self.k)?.powf(self.beta)?
    }
}

impl LocalResponseNorm {
    const fn spec(&self) -> lrn::Lrn {
        lrn::Lrn { size: self.size, alpha: self.alpha, beta: self.beta, k: self.k, form: lrn::LrnForm::Sum }
    }
}

impl CpuKernel for LocalResponseNorm {
    fn name(&self) -> &'static str {
        "local_response_norm"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, true)
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        lrn::forward(&self.spec(), args[0].dims, args[0].data, out)
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        match &mut grads[0] {
            Some(input) => lrn::backward(&self.spec(), args[0].dims, args[0].data, grad, input),
            None => Ok(()),
        }
    }
}
