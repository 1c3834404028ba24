//! Operations on several inputs.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError, activation, scale};

use super::{Call, Mode, Operation, Result, activation::known, first};
use crate::{
    Shape,
    kernel::{Backward, CpuKernel, Following, Forward, Kernel, Needs, PIECE, Shares, over, shared},
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

    fn kernel(&self, mode: Mode) -> Option<Arc<dyn Kernel>> {
        self.fused(mode, &Following::default())
    }

    fn fused(&self, _mode: Mode, following: &Following<'_>) -> Option<Arc<dyn Kernel>> {
        let alone = following.norm.is_none() && !following.sum;
        let activation = known(following.activation).filter(|_| alone)?;
        shared(AddKernel { activation })
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

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
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

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn fused(&self, _mode: Mode, following: &Following<'_>) -> Option<Arc<dyn Kernel>> {
        let fits = following.norm.is_none() && !following.way_back;
        let activation = known(following.activation).filter(|_| fits)?;
        shared(ScaleAddKernel { sum: following.sum, activation })
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

/// A map times its scales, the addition of the last argument if there is one, and the activation that follows. It has
/// no way back.
#[derive(Clone, Copy, Debug)]
struct ScaleAddKernel {
    sum: bool,
    activation: zoo_kernels::Activation,
}

impl CpuKernel for ScaleAddKernel {
    fn name(&self) -> &'static str {
        "scale_channels"
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn has_gradient(&self, _index: usize) -> bool {
        false
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, saved, in_place, random } = run;
        ScaleChannels.compute(Forward { args, out: &mut *out, saved, in_place, random })?;
        let addend = args.last().filter(|_| self.sum);
        over(out, 1, PIECE, |at, from, into| match addend {
            Some(addend) => {
                activation::add_forward(self.activation, from, &addend.data[at..at + from.len()], into)
            }
            None => activation::forward(self.activation, from, into),
        })
    }

    fn gradients<T: Element>(
        &self,
        _back: Backward<'_, T>,
        _grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        Err(super::folded::no_way_back("scale_channels"))
    }
}

/// The sum of two or more tensors and the activation that follows.
#[derive(Clone, Copy, Debug)]
struct AddKernel {
    activation: zoo_kernels::Activation,
}

impl CpuKernel for AddKernel {
    fn name(&self) -> &'static str {
        "add"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING.result(self.activation != zoo_kernels::Activation::Identity)
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, in_place, .. } = run;
        let [first, others @ .., last] = args else {
            if !in_place {
                out.copy_from_slice(args[0].data);
            }
            return over(out, 1, PIECE, |_, from, into| activation::forward(self.activation, from, into));
        };
        let mut started = in_place;
        for (other, is_last) in others.iter().map(|other| (other, false)).chain([(last, true)]) {
            let activation = if is_last { self.activation } else { zoo_kernels::Activation::Identity };
            match started {
                false => activation::add_forward(activation, first.data, other.data, out)?,
                true => over(out, 1, PIECE, |at, from, into| {
                    activation::add_forward(activation, from, &other.data[at..at + from.len()], into)
                })?,
            }
            started = true;
        }
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { out, grad, .. } = back;
        match &mut grads[0] {
            Some(all) => activation::backward(self.activation, out, grad, all),
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

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let pictures = args[0].dims[0];
        let mut rest = out;
        for picture in 0..pictures {
            for arg in args {
                let part = arg.elements() / pictures;
                let (into, later) = rest.split_at_mut(part);
                into.copy_from_slice(&arg.data[picture * part..(picture + 1) * part]);
                rest = later;
            }
        }
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let pictures = args[0].dims[0];
        let mut rest = grad;
        for picture in 0..pictures {
            for (arg, into) in args.iter().zip(&mut *grads) {
                let part = arg.elements() / pictures;
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

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING.arg(0, true).arg(1, true)
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, in_place, .. } = run;
        let [n, c, h, w] = args[0].dims;
        if in_place {
            return over(out, h * w, n * c, |first, from, into| {
                let planes = from.len() / (h * w).max(1);
                scale::forward([1, planes, h, w], from, &args[1].data[first..first + planes], into)
            });
        }
        scale::forward([n, c, h, w], args[0].data, args[1].data, out)
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let mut unwanted = [vec![T::ZERO; 0], vec![T::ZERO; 0]];
        for ((unwanted, grad), arg) in unwanted.iter_mut().zip(&*grads).zip(args) {
            if grad.is_none() {
                unwanted.resize(arg.data.len(), T::ZERO);
            }
        }
        let mut places = grads.iter_mut().zip(&mut unwanted).map(|(grad, spare)| match grad {
            Some(grad) => &mut **grad,
            None => &mut spare[..],
        });
        match (places.next(), places.next()) {
            (Some(map), Some(scales)) => {
                scale::backward(args[0].dims, args[0].data, args[1].data, grad, map, scales)
            }
            _ => Ok(()),
        }
    }
}
