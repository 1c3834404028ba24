//! Convolutions and dense layers with what follows them, in one pass over their results.

use zoo_kernels::{Activation, Element, Epilogue, KernelError, conv, gemm};

use super::{Conv2d, Linear, activation::known};
use crate::{
    Shape,
    kernel::{Arg, Backward, CpuKernel, Following, Forward, Working},
};

/// What follows a convolution or a dense layer in evaluation: a norm by running statistics, folded into a scale and a
/// shift, the addition of another tensor, an activation.
#[derive(Clone, Copy, Debug)]
struct Tail {
    bias: bool,
    /// The norm's eps.
    norm: Option<f64>,
    sum: bool,
    activation: Activation,
}

impl Tail {
    /// Nothing where gradients are asked for, which need what lies between, or the kernels lack the activation.
    fn of(bias: bool, following: &Following<'_>) -> Option<Self> {
        let activation = known(following.activation).filter(|_| !following.way_back)?;
        Some(Self { bias, norm: following.norm.map(|norm| norm.eps), sum: following.sum, activation })
    }

    /// Scale and shift of each channel, from the arguments behind the weight.
    fn fold<T: Element>(&self, args: &[Arg<'_, T>]) -> (Option<Vec<T>>, Option<Vec<T>>) {
        let (bias, norm) = args.split_at(usize::from(self.bias));
        let bias = bias.first().map(|bias| bias.data);
        let (Some(eps), [gamma, beta, mean, variance, ..]) = (self.norm, norm) else {
            return (None, bias.map(<[T]>::to_vec));
        };
        let channels = gamma.data.len();
        let mut fold = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for channel in 0..channels {
            let at = |arg: &Arg<'_, T>| arg.data[channel].to_f64();
            let scale = at(gamma) / (at(variance) + eps).sqrt();
            let before = bias.map_or(0.0, |bias| bias[channel].to_f64()) - at(mean);
            fold.0.push(T::from_f64(scale));
            fold.1.push(T::from_f64(at(beta) + before * scale));
        }
        (Some(fold.0), Some(fold.1))
    }

    fn epilogue<'a, T: Element>(
        &self,
        args: &[Arg<'a, T>],
        (scale, shift): &'a (Option<Vec<T>>, Option<Vec<T>>),
    ) -> Epilogue<'a, T> {
        let residual = args.last().filter(|_| self.sum).map(|residual| residual.data);
        let (scale, shift) = (scale.as_deref(), shift.as_deref());
        Epilogue { scale, shift, residual, activation: self.activation }
    }
}

/// A convolution and its tail. It has no way back.
#[derive(Clone, Debug)]
pub(super) struct FoldedConv {
    conv: Conv2d,
    tail: Tail,
}

impl FoldedConv {
    pub(super) fn of(conv: &Conv2d, following: &Following<'_>) -> Option<Self> {
        Some(Self { conv: conv.clone(), tail: Tail::of(conv.bias, following)? })
    }
}

impl CpuKernel for FoldedConv {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn working(&self, inputs: &[Shape], batch: usize, back: bool) -> Working {
        self.conv.works_in(inputs, batch, back)
    }

    fn has_gradient(&self, _index: usize) -> bool {
        false
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let folded = self.tail.fold(&args[2..]);
        let epilogue = self.tail.epilogue(args, &folded);
        let shape = args[0].dims;
        conv::forward_with(&self.conv.spec(shape), shape, args[0].data, args[1].data, &epilogue, out)
    }

    fn gradients<T: Element>(
        &self,
        _back: Backward<'_, T>,
        _grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        Err(no_way_back("conv2d"))
    }
}

/// A dense layer and the activation behind it. It has no way back.
#[derive(Clone, Debug)]
pub(super) struct FoldedLinear {
    linear: Linear,
    tail: Tail,
}

impl FoldedLinear {
    pub(super) fn of(linear: &Linear, following: &Following<'_>) -> Option<Self> {
        let fits = following.norm.is_none();
        Some(Self { linear: linear.clone(), tail: Tail::of(linear.bias, following).filter(|_| fits)? })
    }
}

impl CpuKernel for FoldedLinear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn has_gradient(&self, _index: usize) -> bool {
        false
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let folded = self.tail.fold(&args[2..]);
        let epilogue = self.tail.epilogue(args, &folded);
        gemm::linear_with(self.linear.sizes(args), args[0].data, args[1].data, &epilogue, out)
    }

    fn gradients<T: Element>(
        &self,
        _back: Backward<'_, T>,
        _grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        Err(no_way_back("linear"))
    }
}

pub(super) fn no_way_back(op: &'static str) -> KernelError {
    KernelError::Value {
        op,
        what: "way back",
        value: "asked for of what was folded".into(),
        must: "be planned: a route with gradients folds nothing",
    }
}
