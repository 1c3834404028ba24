//! The operations a graph is made of: a struct in a file of its own each, where its options, output shape,
//! parameters, cost and candle forward stand together.

use std::{fmt::Debug, sync::Arc};

use candle_core::Tensor;

use crate::{Init, Shape, kernel::Kernel, rng::Stream};
use batch_norm::AffineKernel;
use dropout::DropoutKernel;
pub(crate) use merge::AddKernel;

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

    /// Whether the output may be written over the (first) input: each value depends on its own place alone.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// Whether the output is the input's memory read otherwise.
    fn is_view(&self) -> bool {
        false
    }

    /// Computes the output from tensors, differentiably.
    fn forward(&self, call: Call<'_>) -> Result<Tensor>;
}

/// An operation of the zoo.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// The picture that the network is given.
    Input(Input),
    /// Convolution.
    Conv2d(Conv2d),
    /// Transposed convolution.
    ConvTranspose2d(ConvTranspose2d),
    /// Batch normalisation.
    BatchNorm2d(BatchNorm2d),
    /// Fully connected layer.
    Linear(Linear),
    /// Element-wise non-linearity.
    Activation(Activation),
    /// Maximum over windows.
    MaxPool2d(MaxPool2d),
    /// Mean over windows.
    AvgPool2d(AvgPool2d),
    /// Mean over a fixed number of regions; one region is global pooling.
    AdaptiveAvgPool2d(AdaptiveAvgPool2d),
    /// Random zeroes when training.
    Dropout(Dropout),
    /// A map read as a vector.
    Flatten(Flatten),
    /// Element-wise sum.
    Add(Add),
    /// Channels side by side.
    Concat(Concat),
    /// A map times one number for each channel.
    ScaleChannels(ScaleChannels),
    /// Local response normalisation.
    LocalResponseNorm(LocalResponseNorm),
    /// Some of the channels.
    SelectChannels(SelectChannels),
    /// Channels of zeros before and after.
    PadChannels(PadChannels),
    /// Every k-th pixel.
    Subsample(Subsample),
    /// A piece as large as another map.
    Crop(Crop),
    /// Bilinear interpolation to another map's size.
    Upsample(Upsample),
    /// A learned scale and shift for each channel.
    ChannelAffine(ChannelAffine),
    /// A given scale and shift for each channel.
    ChannelScaleShift(ChannelScaleShift),
    /// Radial basis output.
    Rbf(Rbf),
    /// Probabilities from logits.
    Softmax(Softmax),
    /// A layer of the user's own.
    Custom(Arc<dyn Operation>),
}

impl Op {
    /// The operation behind the variant.
    pub fn operation(&self) -> &dyn Operation {
        match self {
            Self::Input(op) => op,
            Self::Conv2d(op) => op,
            Self::ConvTranspose2d(op) => op,
            Self::BatchNorm2d(op) => op,
            Self::Linear(op) => op,
            Self::Activation(op) => op,
            Self::MaxPool2d(op) => op,
            Self::AvgPool2d(op) => op,
            Self::AdaptiveAvgPool2d(op) => op,
            Self::Dropout(op) => op,
            Self::Flatten(op) => op,
            Self::Add(op) => op,
            Self::Concat(op) => op,
            Self::ScaleChannels(op) => op,
            Self::LocalResponseNorm(op) => op,
            Self::SelectChannels(op) => op,
            Self::PadChannels(op) => op,
            Self::Subsample(op) => op,
            Self::Crop(op) => op,
            Self::Upsample(op) => op,
            Self::ChannelAffine(op) => op,
            Self::ChannelScaleShift(op) => op,
            Self::Rbf(op) => op,
            Self::Softmax(op) => op,
            Self::Custom(op) => op.as_ref(),
        }
    }
}

impl Op {
    /// The fast CPU path for inputs and parameters, in this order, together with the activation that only this
    /// node feeds; nothing where candle's own operations serve. Batch norm by running statistics has none here:
    /// it is an affine with a scale and shift of its own.
    pub(crate) fn kernel(
        &self,
        mode: Mode,
        following: Option<Activation>,
        random: &Stream,
    ) -> Option<Arc<dyn Kernel>> {
        match self {
            Self::BatchNorm2d(norm) if mode == Mode::Train => {
                return shared(NormKernel::new(norm, following)?);
            }
            Self::Add(_) => return shared(AddKernel::new(following)?),
            _ if following.is_some() => return None,
            _ => {}
        }
        match self {
            Self::Conv2d(op) => shared(op.clone()),
            Self::ConvTranspose2d(op) => shared(op.clone()),
            Self::Linear(op) => shared(op.clone()),
            Self::Activation(op) => shared(*op),
            Self::MaxPool2d(op) => shared(*op),
            Self::AvgPool2d(op) => shared(*op),
            Self::AdaptiveAvgPool2d(op) => shared(*op),
            Self::Dropout(op) if mode == Mode::Train => {
                shared(DropoutKernel { probability: op.probability, random: random.clone() })
            }
            Self::Concat(op) => shared(*op),
            Self::ScaleChannels(op) => shared(*op),
            Self::LocalResponseNorm(op) => shared(*op),
            Self::SelectChannels(op) => shared(op.clone()),
            Self::PadChannels(op) => shared(*op),
            Self::Subsample(op) => shared(*op),
            Self::Crop(op) => shared(*op),
            Self::Upsample(op) => shared(*op),
            Self::ChannelAffine(_) => shared(AffineKernel::new(None)?),
            Self::ChannelScaleShift(op) => shared(op.clone()),
            Self::Input(_)
            | Self::BatchNorm2d(_)
            | Self::Dropout(_)
            | Self::Flatten(_)
            | Self::Add(_)
            | Self::Rbf(_)
            | Self::Softmax(_)
            | Self::Custom(_) => None,
        }
    }
}

fn shared(kernel: impl Kernel + 'static) -> Option<Arc<dyn Kernel>> {
    Some(Arc::new(kernel))
}

macro_rules! into_op {
    ($($variant:ident),* $(,)?) => {
        $(impl From<$variant> for Op {
            fn from(op: $variant) -> Self {
                Self::$variant(op)
            }
        })*
    };
}

into_op!(
    Input,
    Conv2d,
    ConvTranspose2d,
    BatchNorm2d,
    Linear,
    Activation,
    MaxPool2d,
    AvgPool2d,
    AdaptiveAvgPool2d,
    Dropout,
    Flatten,
    Add,
    Concat,
    ScaleChannels,
    LocalResponseNorm,
    SelectChannels,
    PadChannels,
    Subsample,
    Crop,
    Upsample,
    ChannelAffine,
    ChannelScaleShift,
    Rbf,
    Softmax,
);

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

/// The dimensions of a map with the height and width of another.
fn resized(map: &[usize], like: &[usize]) -> Vec<usize> {
    map.iter().take(2).chain(like.iter().skip(2)).copied().collect()
}
