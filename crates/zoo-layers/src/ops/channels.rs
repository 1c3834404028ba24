//! Operations on channels as a whole: choosing some, adding empty ones, a learned or a given scale and shift for
//! each.

use std::sync::Arc;

use candle_core::Tensor;
use zoo_kernels::{Element, KernelError};

use super::{Call, Mode, NormKernel, Operation, ParamSpec, Result, first, param, single, single_map};
use crate::{
    Init, Shape,
    kernel::{Backward, CpuKernel, Forward, Kernel, Needs, over, shared},
};

/// The channels with the given numbers, in the given order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectChannels {
    /// Numbers of channels, from 0.
    pub channels: Vec<usize>,
}

impl Operation for SelectChannels {
    fn kind(&self) -> &'static str {
        "SelectChannels"
    }

    fn detail(&self) -> String {
        self.channels.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, [height, width]) = single_map(inputs)?;
        if self.channels.is_empty() {
            return Err("it selects no channels; give at least one".into());
        }
        match self.channels.iter().find(|&&channel| channel >= channels) {
            Some(channel) => Err(format!("it selects channel {channel} of an input that has {channels}")),
            None => Ok(Shape::map(self.channels.len(), height, width)),
        }
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(self.clone())
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        let indices: Vec<u32> = self.channels.iter().map(|&channel| channel as u32).collect();
        x.contiguous()?.index_select(&Tensor::from_vec(indices, self.channels.len(), x.device())?, 1)
    }
}

/// Channels of zeros before and after the input's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PadChannels {
    /// How many before.
    pub before: usize,
    /// How many after.
    pub after: usize,
}

impl Operation for PadChannels {
    fn kind(&self) -> &'static str {
        "PadChannels"
    }

    fn detail(&self) -> String {
        format!("{} before, {} after", self.before, self.after)
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, [height, width]) = single_map(inputs)?;
        let padded = channels.saturating_add(self.before).saturating_add(self.after);
        Ok(Shape::map(padded, height, width))
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(*self)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        first(call.inputs)?.pad_with_zeros(1, self.before, self.after)
    }
}

/// Each channel times a learned `weight` plus a learned `bias`, both `(channels)`: the trainable coefficient
/// and bias of LeNet-5's subsampling (LeCun et al. 1998, section II.B).
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelAffine {
    /// How fresh scales are drawn.
    pub weight_init: Init,
    /// How fresh shifts are drawn.
    pub bias_init: Init,
}

impl Operation for ChannelAffine {
    fn kind(&self) -> &'static str {
        "ChannelAffine"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        single_map(inputs)?;
        single(inputs)
    }

    fn params(&self, inputs: &[Shape]) -> Vec<ParamSpec> {
        let channels = [inputs.first().map_or(0, Shape::channels)];
        vec![
            ParamSpec::trainable("weight", channels, self.weight_init.clone()),
            ParamSpec::trainable("bias", channels, self.bias_init.clone()),
        ]
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(NormKernel::AFFINE)
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        super::batch_norm::affine(first(call.inputs)?, param(call.params, 0)?, param(call.params, 1)?)
    }
}

/// Each channel times a given number plus another, nothing learned: a picture normalised in one way becomes one
/// normalised in another.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelScaleShift {
    /// What each channel is multiplied by.
    pub scale: Vec<f64>,
    /// What is added after that.
    pub shift: Vec<f64>,
}

impl ChannelScaleShift {
    /// From pixels less `from`'s mean and divided by its standard deviation to the same with `to`'s: pairs of
    /// mean and standard deviation, one pair for each channel.
    pub fn renormalize<const C: usize>(from: [(f64, f64); C], to: [(f64, f64); C]) -> Self {
        let pairs = || from.iter().zip(&to);
        Self {
            scale: pairs().map(|((_, std), (_, new_std))| std / new_std).collect(),
            shift: pairs().map(|((mean, _), (new_mean, new_std))| (mean - new_mean) / new_std).collect(),
        }
    }
}

impl Operation for ChannelScaleShift {
    fn kind(&self) -> &'static str {
        "ChannelScaleShift"
    }

    fn output(&self, inputs: &[Shape]) -> Result<Shape, String> {
        let (channels, _) = single_map(inputs)?;
        match self.scale.len() == channels && self.shift.len() == channels {
            true => single(inputs),
            false => Err(format!(
                "it has {} scales and {} shifts for an input of {channels} channels; give one of each for each",
                self.scale.len(),
                self.shift.len()
            )),
        }
    }

    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        shared(self.clone())
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let x = first(call.inputs)?;
        let row = |values: &[f64]| {
            Tensor::from_slice(values, (1, values.len(), 1, 1), x.device())?.to_dtype(x.dtype())
        };
        x.broadcast_mul(&row(&self.scale)?)?.broadcast_add(&row(&self.shift)?)
    }
}

impl CpuKernel for SelectChannels {
    fn name(&self) -> &'static str {
        "select_channels"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let [_, c, h, w] = args[0].dims;
        for (place, plane) in out.chunks_exact_mut(h * w).enumerate() {
            let (n, channel) = (place / self.channels.len(), self.channels[place % self.channels.len()]);
            let start = (n * c + channel) * h * w;
            plane.copy_from_slice(&args[0].data[start..start + h * w]);
        }
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let [_, c, h, w] = args[0].dims;
        let Some(into) = &mut grads[0] else { return Ok(()) };
        into.fill(T::ZERO);
        for (place, plane) in grad.chunks_exact(h * w).enumerate() {
            let (n, channel) = (place / self.channels.len(), self.channels[place % self.channels.len()]);
            let start = (n * c + channel) * h * w;
            // A channel may be selected twice.
            for (into, grad) in into[start..start + h * w].iter_mut().zip(plane) {
                *into += *grad;
            }
        }
        Ok(())
    }
}

impl CpuKernel for PadChannels {
    fn name(&self) -> &'static str {
        "pad_channels"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, .. } = run;
        let [_, c, h, w] = args[0].dims;
        let (old, new) = (c * h * w, (self.before + c + self.after) * h * w);
        out.fill(T::ZERO);
        for (into, from) in out.chunks_exact_mut(new).zip(args[0].data.chunks_exact(old)) {
            into[self.before * h * w..][..old].copy_from_slice(from);
        }
        Ok(())
    }

    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError> {
        let Backward { args, grad, .. } = back;
        let [_, c, h, w] = args[0].dims;
        let (old, new) = (c * h * w, (self.before + c + self.after) * h * w);
        let Some(into) = &mut grads[0] else { return Ok(()) };
        for (into, from) in into.chunks_exact_mut(old).zip(grad.chunks_exact(new)) {
            into.copy_from_slice(&from[self.before * h * w..][..old]);
        }
        Ok(())
    }
}

impl CpuKernel for ChannelScaleShift {
    fn name(&self) -> &'static str {
        "channel_scale_shift"
    }

    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::NOTHING
    }

    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError> {
        let Forward { args, out, in_place, .. } = run;
        let [_, c, h, w] = args[0].dims;
        if in_place {
            return over(out, h * w, c, |first, from, into| {
                self.planes(first, h * w, (from, into), |scale, shift, x| scale * x + shift);
                Ok(())
            });
        }
        self.planes(0, h * w, (args[0].data, out), |scale, shift, x| scale * x + shift);
        Ok(())
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
        if let Some(into) = &mut grads[0] {
            let [_, _, h, w] = args[0].dims;
            self.planes(0, h * w, (grad, into), |scale, _, grad| scale * grad);
        }
        Ok(())
    }
}

impl ChannelScaleShift {
    /// Writes `of(scale, shift, value)` for every value of planes of `plane` pixels, of which the first is the
    /// `first` of all.
    fn planes<T: Element>(
        &self,
        first: usize,
        plane: usize,
        (from, into): (&[T], &mut [T]),
        of: impl Fn(T, T, T) -> T,
    ) {
        for (place, (from, into)) in from.chunks_exact(plane).zip(into.chunks_exact_mut(plane)).enumerate() {
            let channel = (first + place) % self.scale.len();
            let (scale, shift) = (T::from_f64(self.scale[channel]), T::from_f64(self.shift[channel]));
            for (into, from) in into.iter_mut().zip(from) {
                *into = of(scale, shift, *from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::{Mode, rng::Stream};

    #[test]
    fn renormalized_pixels_are_those_of_the_other_normalisation() {
        let (imagenet, half) = ([(0.485, 0.229), (0.456, 0.224)], [(0.5, 0.5); 2]);
        let op = ChannelScaleShift::renormalize(imagenet, half);
        let pixels = [[0.0, 0.25, 1.0], [0.1, 0.5, 0.9]];
        let normalized = |by: [(f64, f64); 2]| {
            let values: Vec<f64> = pixels
                .iter()
                .zip(by)
                .flat_map(|(row, (mean, std))| row.map(|pixel| (pixel - mean) / std))
                .collect();
            Tensor::from_vec(values, (1, 2, 1, 3), &Device::Cpu).unwrap()
        };
        let random = Stream::new(0, "");
        let inputs = [normalized(imagenet)];
        let y = op.forward(Call { inputs: &inputs, params: &[], mode: Mode::Eval, random }).unwrap();
        let error = (y - normalized(half)).unwrap().abs().unwrap().max_all().unwrap();
        assert!(error.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap() < 1e-12);
        assert!(op.output(&[Shape::map(3, 1, 3)]).unwrap_err().contains("3 channels"));
    }
}
