//! The operations a graph is made of: a struct in a file of its own each, where its options, output shape,
//! parameters, cost and candle forward stand together.

use std::{fmt::Debug, sync::Arc};

use candle_core::Tensor;

use crate::{
    Init, Shape,
    kernel::{Following, Kernel},
    onnx,
    rng::Stream,
};

mod activation;
mod avg_pool;
mod batch_norm;
#[cfg(test)]
mod both_ways;
mod channels;
pub(crate) mod composed;
mod conv2d;
mod conv_transpose2d;
mod crop;
mod dropout;
mod folded;
mod linear;
mod local_response_norm;
mod max_pool;
mod merge;
mod rbf;
mod softmax;
mod spatial;
#[cfg(test)]
pub(crate) mod testing;
mod upsample;

pub use activation::Activation;
pub use avg_pool::{AdaptiveAvgPool2d, AvgPool2d, Divisor};
pub use batch_norm::BatchNorm2d;
pub(crate) use batch_norm::{BatchStatistics, NormKernel};
pub use channels::{ChannelAffine, ChannelScaleShift, PadChannels, SelectChannels};
pub use conv_transpose2d::ConvTranspose2d;
pub use conv2d::Conv2d;
pub use crop::Crop;
pub use dropout::Dropout;
pub use linear::Linear;
pub use local_response_norm::LocalResponseNorm;
pub use max_pool::MaxPool2d;
pub use merge::{Add, Concat, ScaleChannels};
pub use rbf::Rbf;
pub use softmax::Softmax;
pub use spatial::{Flatten, Subsample};
pub use upsample::{Align, Upsample};

/// What computing gives; a shape that does not fit is a sentence instead of candle's error.
pub(crate) type Result<T, E = candle_core::Error> = std::result::Result<T, E>;

/// Whether a parameter is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Learned by gradient descent: what the field counts as a parameter.
    Trainable,
    /// Kept with the weights but not learned by gradient: running statistics, fixed codes.
    Buffer,
}

/// A parameter as an operation declares it, under its local name.
#[derive(Clone, Debug)]
pub struct ParamSpec {
    /// Local name, `weight` for example.
    pub name: &'static str,
    /// Dimensions, outputs first.
    pub shape: Vec<usize>,
    /// Learned or kept.
    pub role: Role,
    /// How a fresh one is drawn.
    pub init: Init,
}

impl ParamSpec {
    /// A learned parameter.
    pub fn trainable(name: &'static str, shape: impl Into<Vec<usize>>, init: Init) -> Self {
        Self { name, shape: shape.into(), role: Role::Trainable, init }
    }

    /// A buffer.
    pub fn buffer(name: &'static str, shape: impl Into<Vec<usize>>, init: Init) -> Self {
        Self { name, shape: shape.into(), role: Role::Buffer, init }
    }
}

/// Whether a network learns or answers: batch norm and dropout differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Batch statistics, dropout, auxiliary outputs.
    Train,
    /// Running statistics, no dropout.
    Eval,
}

/// What an operation is given when it runs.
#[derive(Debug)]
pub struct Call<'a> {
    /// Its inputs, batch first.
    pub inputs: &'a [Tensor],
    /// Its parameters, in the order of [`Operation::params`].
    pub params: &'a [Tensor],
    /// Learning or answering.
    pub mode: Mode,
    /// Random numbers that belong to this node and this forward pass.
    pub random: Stream,
}

/// What every reader of a graph may ask of an operation.
///
/// The zoo's own are the variants of [`Op`]; a layer of one's own implements this and goes into [`Op::Custom`].
pub trait Operation: Debug + Send + Sync {
    /// The kind, as the field calls it: `Conv2d`.
    fn kind(&self) -> &'static str;

    /// The options that matter to a reader, in few words: `7x7, stride 2`. Empty if there are none.
    fn detail(&self) -> String {
        String::new()
    }

    /// The output's shape, or a sentence that says what does not fit, with both values.
    fn output(&self, inputs: &[Shape]) -> Result<Shape, String>;

    /// Parameters for inputs that [`Operation::output`] accepted.
    fn params(&self, _inputs: &[Shape]) -> Vec<ParamSpec> {
        Vec::new()
    }

    /// Multiply-accumulates of convolutions and matrix products for one picture; zero for all else.
    fn macs(&self, _inputs: &[Shape], _output: &Shape) -> u64 {
        0
    }

    /// Whether the output is the input's memory, read in another shape perhaps.
    fn is_view(&self, _mode: Mode) -> bool {
        false
    }

    /// The fast CPU path, if there is one: without it, [`Operation::forward`] runs there too.
    fn kernel(&self, _mode: Mode) -> Option<Arc<dyn Kernel>> {
        None
    }

    /// The fast CPU path of this operation and of all those that follow it, as one; nothing if they are to run one
    /// by one.
    fn fused(&self, _mode: Mode, _following: &Following<'_>) -> Option<Arc<dyn Kernel>> {
        None
    }

    /// How it is written in ONNX, for a layer of one's own: the zoo's are known to who writes them. Nothing if it can't
    /// be, at this place or at all.
    fn onnx(&self, _site: &onnx::Site<'_>) -> Option<onnx::Form> {
        None
    }

    /// Computes the output from tensors, differentiably, by operations that every device has.
    fn forward(&self, call: Call<'_>) -> Result<Tensor>;
}

/// The operations of the zoo, a line each: from this come the variants of [`Op`], what stands behind each, and the
/// conversions.
macro_rules! operations {
    ($($(#[$doc:meta])* $operation:ident,)*) => {
        /// An operation of the zoo.
        ///
        /// A reader that matches on it is told by the compiler when one is added.
        #[derive(Clone, Debug)]
        pub enum Op {
            $($(#[$doc])* $operation($operation),)*
            /// A layer of the user's own.
            Custom(Arc<dyn Operation>),
        }

        impl Op {
            /// The operation behind the variant.
            pub fn operation(&self) -> &dyn Operation {
                match self {
                    $(Self::$operation(op) => op,)*
                    Self::Custom(op) => op.as_ref(),
                }
            }
        }

        $(impl From<$operation> for Op {
            fn from(op: $operation) -> Self {
                Self::$operation(op)
            }
        })*
    };
}

operations! {
    /// The picture that the network is given.
    Input,
    /// Convolution.
    Conv2d,
    /// Transposed convolution.
    ConvTranspose2d,
    /// Batch normalisation.
    BatchNorm2d,
    /// Fully connected layer.
    Linear,
    /// Element-wise non-linearity.
    Activation,
    /// Maximum over windows.
    MaxPool2d,
    /// Mean over windows.
    AvgPool2d,
    /// Mean over a fixed number of regions; one region is global pooling.
    AdaptiveAvgPool2d,
    /// Random zeroes when training.
    Dropout,
    /// A map read as a vector.
    Flatten,
    /// Element-wise sum.
    Add,
    /// Channels side by side.
    Concat,
    /// A map times one number for each channel.
    ScaleChannels,
    /// Local response normalisation.
    LocalResponseNorm,
    /// Some of the channels.
    SelectChannels,
    /// Channels of zeros before and after.
    PadChannels,
    /// Every k-th pixel.
    Subsample,
    /// A piece as large as another map.
    Crop,
    /// Bilinear interpolation to another map's size.
    Upsample,
    /// A learned scale and shift for each channel.
    ChannelAffine,
    /// A given scale and shift for each channel.
    ChannelScaleShift,
    /// Radial basis output.
    Rbf,
    /// Probabilities from logits.
    Softmax,
}

impl<T: Operation + 'static> From<Arc<T>> for Op {
    fn from(op: Arc<T>) -> Self {
        Self::Custom(op)
    }
}

/// The picture that the network is given: the first node of every graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Nominal shape.
    pub shape: Shape,
}

impl Operation for Input {
    fn kind(&self) -> &'static str {
        "Input"
    }

    fn output(&self, _inputs: &[Shape]) -> Result<Shape, String> {
        match self.shape.dims().contains(&0) {
            true => Err(format!("its shape is {}; every side must be at least 1", self.shape)),
            false => Ok(self.shape),
        }
    }

    fn forward(&self, call: Call<'_>) -> Result<Tensor> {
        first(call.inputs).cloned()
    }
}

/// Two sides for people: `2`, or `2x3` where they differ.
pub(crate) fn told([rows, columns]: [usize; 2]) -> String {
    if rows == columns { rows.to_string() } else { format!("{rows}x{columns}") }
}

/// Whether `groups` split the channels of a convolution evenly, or a sentence with the numbers that would.
pub(crate) fn check_groups(groups: usize, in_channels: usize, out_channels: usize) -> Result<(), String> {
    match groups {
        0 => Err("it has 0 groups; give at least 1".into()),
        _ if in_channels.is_multiple_of(groups) && out_channels.is_multiple_of(groups) => Ok(()),
        _ => Err(format!(
            "its {groups} groups do not divide its {in_channels} input and {out_channels} output channels; both must \
             be multiples of {groups}"
        )),
    }
}

/// The first input; graphs are checked when built, so only a hand-made call can lack it.
pub(crate) fn first(inputs: &[Tensor]) -> Result<&Tensor> {
    inputs.first().ok_or_else(|| candle_core::Error::msg("an operation was run without its input"))
}

/// Parameter `index`, in the order of [`Operation::params`].
pub(crate) fn param(params: &[Tensor], index: usize) -> Result<&Tensor> {
    params
        .get(index)
        .ok_or_else(|| candle_core::Error::msg("an operation was run without one of its parameters"))
}

/// The only input's shape.
pub(crate) fn single(inputs: &[Shape]) -> Result<Shape, String> {
    match inputs {
        [shape] => Ok(*shape),
        _ => Err(format!("it takes one input, got {}", inputs.len())),
    }
}

/// Channels and size of the only input, which must be a map.
pub(crate) fn single_map(inputs: &[Shape]) -> Result<(usize, [usize; 2]), String> {
    match single(inputs)? {
        Shape::Map { channels, height, width } => Ok((channels, [height, width])),
        vector @ Shape::Vector { .. } => {
            Err(format!("it takes a map (channels x height x width), got a vector of {vector}"))
        }
    }
}

/// The two tensors of an operation that takes two.
pub(crate) fn pair(inputs: &[Tensor]) -> Result<[&Tensor; 2]> {
    match inputs {
        [first, second] => Ok([first, second]),
        _ => candle_core::bail!("an operation that takes two inputs was given {}", inputs.len()),
    }
}

/// Channels and sizes of both inputs, which must be maps.
pub(crate) fn two_maps(inputs: &[Shape]) -> Result<[(usize, [usize; 2]); 2], String> {
    match inputs {
        [first, second] => Ok([single_map(&[*first])?, single_map(&[*second])?]),
        _ => Err(format!("it takes a map and another of the size that is wanted, got {}", inputs.len())),
    }
}
