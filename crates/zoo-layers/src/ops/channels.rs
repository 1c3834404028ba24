//! Operations on channels as a whole: choosing some, adding empty ones, a learned scale and shift for each.

use candle_core::Tensor;

use super::{Call, Operation, ParamSpec, Result, first, param, single, single_map};
use crate::{Init, Shape};

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
        Ok(Shape::map(channels + self.before + self.after, height, width))
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

    fn is_elementwise(&self) -> bool {
        true
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        let scale = param(call.params, 0)?.reshape((1, (), 1, 1))?;
        let shift = param(call.params, 1)?.reshape((1, (), 1, 1))?;
        first(call.inputs)?.broadcast_mul(&scale)?.broadcast_add(&shift)
    }
}
