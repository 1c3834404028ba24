//! Operations on several inputs.

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, activation, scale};

use super::{Call, Operation, Result, activation::known, first};
use crate::{
    Activation, Shape,
    kernel::{Arg, CpuKernel, Shares},
};

/// The element-wise sum of two or more equal shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Add;

impl Operation for Add {
    fn kind(&self) -> &'static str {
        "Add"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [first, rest @ ..] = inputs else {
            return Err("it takes at least one input, got none".into());
        };
        match rest.iter().find(|shape| *shape != first) {
            Some(other) => Err(format!("it adds equal shapes, got {first} and {other}")),
            None => Ok(*first),
        }
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let mut sum = first(call.inputs)?.clone();
        for x in call.inputs.iter().skip(1) {
            sum = (sum + x)?;
        }
        Ok(sum)
    }
}

/// Maps of one size with their channels side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat;

impl Operation for Concat {
    fn kind(&self) -> &'static str {
        "Concat"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let [first, rest @ ..] = inputs else {
            return Err("it takes at least one input, got none".into());
        };
        let fits = |shape: &&Shape| {
            shape.size() == first.size() && std::mem::discriminant(*shape) == std::mem::discriminant(first)
        };
        if let Some(other) = rest.iter().find(|shape| !fits(shape)) {
            return Err(format!("it joins the channels of maps of one size, got {first} and {other}"));
        }
        let channels = inputs.iter().map(Shape::channels).sum();
        Ok(match *first {
            Shape::Map { height, width, .. } => Shape::map(channels, height, width),
            Shape::Vector { .. } => Shape::vector(channels),
        })
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        Tensor::cat(call.inputs, 1)
    }
}

/// A map times one number for each channel: the "scale" of squeeze-and-excitation (Hu et al. 2017,
/// equation 4). The second input is `(n, c, 1, 1)` or `(n, c)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleChannels;

impl Operation for ScaleChannels {
    fn kind(&self) -> &'static str {
        "ScaleChannels"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        match inputs {
            [map @ Shape::Map { channels, .. }, scale]
                if scale.size() == [1, 1] && scale.channels() == *channels =>
            {
                Ok(*map)
            }
            [map, scale] => {
                Err(format!("it scales a map by one number for each channel, got {map} and {scale}"))
            }
            _ => Err(format!("it takes a map and its scales, got {} inputs", inputs.len())),
        }
    }

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let [map, scale] = call.inputs else {
            candle_core::bail!(
                "a channel scale takes a map and its scales, got {} inputs",
                call.inputs.len()
            );
        };
        let (n, c, _, _) = map.dims4()?;
        map.broadcast_mul(&scale.reshape((n, c, 1, 1))?)
    }
}

/// The sum of two tensors and the activation that follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddKernel {
    pub(crate) activation: zoo_kernels::Activation,
}

impl AddKernel {
    /// The sum alone.
    pub(crate) const SUM: Self = Self { activation: zoo_kernels::Activation::Identity };

    /// With the activation that only the sum feeds; nothing if the kernels don't know it.
    pub(crate) fn new(activation: Option<Activation>) -> Option<Self> {
        Some(Self { activation: known(activation)? })
    }
}

impl CpuKernel for AddKernel {
    fn name(&self) -> &'static str {
        "add"
    }

    fn dims(&self, args: &[&[usize]]) -> Result<Vec<usize>, KernelError> {
        Ok(args[0].to_vec())
    }

    fn compute<T: Element>(&self, args: &[Arg<'_, T>], out: &mut [T]) -> Result<(), KernelError> {
        activation::add_forward(self.activation, args[0].data, args[1].data, out)
    }

    fn gradients<T: Element>(
        &self,
        _args: &[Arg<'_, T>],
        out: &[T],
        grad: &[T],
        grads: &mut [Option<Vec<T>>],
    ) -> Result<(), KernelError> {
        match &mut grads[0] {
            Some(both) => activation::backward(self.activation, out, grad, both),
            None => Ok(()),
        }
    }

    fn shares(&self) -> Shares {
        match self.activation {
            zoo_kernels::Activation::Identity => Shares::Output,
            _ => Shares::Arguments,
        }
    }
}

impl CpuKernel for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn dims(&self, args: &[&[usize]]) -> Result<Vec<usize>, KernelError> {
        let mut dims = args[0].to_vec();
        dims[1] = args.iter().map(|dims| dims[1]).sum();
        Ok(dims)
    }

    fn compute<T: Element>(&self, args: &[Arg<'_, T>], out: &mut [T]) -> Result<(), KernelError> {
        let pictures = args[0].dims[0];
        let mut rest = out;
        for picture in 0..pictures {
            for arg in args {
                let part = arg.data.len() / pictures;
                let (into, later) = rest.split_at_mut(part);
                into.copy_from_slice(&arg.data[picture * part..(picture + 1) * part]);
                rest = later;
            }
        }
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        args: &[Arg<'_, T>],
        _out: &[T],
        grad: &[T],
        grads: &mut [Option<Vec<T>>],
    ) -> Result<(), KernelError> {
        let pictures = args[0].dims[0];
        let mut rest = grad;
        for picture in 0..pictures {
            for (arg, into) in args.iter().zip(&mut *grads) {
                let part = arg.data.len() / pictures;
                let (from, later) = rest.split_at(part);
                if let Some(into) = into {
                    into[picture * part..(picture + 1) * part].copy_from_slice(from);
                }
                rest = later;
            }
        }
        Ok(())
    }
}

impl CpuKernel for ScaleChannels {
    fn name(&self) -> &'static str {
        "scale_channels"
    }

    fn dims(&self, args: &[&[usize]]) -> Result<Vec<usize>, KernelError> {
        Ok(args[0].to_vec())
    }

    fn compute<T: Element>(&self, args: &[Arg<'_, T>], out: &mut [T]) -> Result<(), KernelError> {
        scale::forward(args[0].shape(), args[0].data, args[1].data, out)
    }

    fn gradients<T: Element>(
        &self,
        args: &[Arg<'_, T>],
        _out: &[T],
        grad: &[T],
        grads: &mut [Option<Vec<T>>],
    ) -> Result<(), KernelError> {
        let mut unwanted = [vec![T::ZERO; 0], vec![T::ZERO; 0]];
        let (map, scales) = grads.split_at_mut(1);
        let [spare_map, spare_scales] = &mut unwanted;
        let map = map[0].as_mut().unwrap_or_else(|| {
            spare_map.resize(args[0].data.len(), T::ZERO);
            spare_map
        });
        let scales = scales[0].as_mut().unwrap_or_else(|| {
            spare_scales.resize(args[1].data.len(), T::ZERO);
            spare_scales
        });
        scale::backward(args[0].shape(), args[0].data, args[1].data, grad, map, scales)
    }
}
