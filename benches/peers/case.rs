//! The cases, and everything that must be the same for every contestant. `step.py` says the same in Python.

use anyhow::Result;
use candle_core::{Device, Tensor};
use clap::ValueEnum;
use zoo_layers::{Graph, Padding, Shape};
use zoo_mobilenet::inverted_residual;

/// How much of SGD's last step goes into the next; there is no weight decay.
pub(crate) const MOMENTUM: f64 = 0.9;

/// What is trained for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Case {
    /// LeNet-5, 64 digits
    Lenet5B64,
    /// ResNet-18, 4 pictures of 224x224
    Resnet18B4,
    /// ResNet-50, 4 pictures of 224x224
    Resnet50B4,
    /// MobileNetV2's inverted residual, 8 maps of 64 channels, 14x14
    MobilenetBlock,
    /// Xception's middle flow, one unit, 4 maps of 728 channels, 19x19
    XceptionBlock,
}

/// Where the gradients come from.
pub(crate) enum Loss {
    /// Softmax and cross-entropy, the mean over the batch.
    CrossEntropy { labels: Vec<u8> },
    /// A block's output is given its gradient, as the layers behind it would. As the loss that is compared, the
    /// mean square of the first picture's output serves: it is no part of a timed step.
    Given { gradient: Tensor },
}

impl Case {
    /// The zoo's description.
    pub(crate) fn graph(self) -> Result<Graph> {
        Ok(match self {
            Self::Lenet5B64 => zoo::find("lenet5")?.graph()?,
            Self::Resnet18B4 => zoo::find("resnet18")?.graph()?,
            Self::Resnet50B4 => zoo::find("resnet50")?.graph()?,
            Self::MobilenetBlock => {
                Graph::build("mobilenet_block", Shape::map(64, 14, 14), |net, picture| {
                    let unit = zoo_mobilenet::Unit {
                        expansion: 6,
                        out_channels: 64,
                        stride: 1,
                        padding: Padding::Half,
                    };
                    let x = inverted_residual(net, picture, unit)?;
                    net.output("features", x)
                })?
            }
            Self::XceptionBlock => {
                Graph::build("xception_block", Shape::map(728, 19, 19), |net, picture| {
                    let unit = zoo_xception::Unit {
                        widths: &[728; 3],
                        start: zoo_xception::Start::Relu,
                        pool: None,
                        dilation: 1,
                    };
                    let x = zoo_xception::unit(net, picture, unit)?;
                    net.output("features", x)
                })?
            }
        })
    }

    /// Pictures, `(n, c, h, w)`.
    pub(crate) fn pictures(self) -> Result<Tensor> {
        numbers("pictures", &self.input(), 1.0)
    }

    fn input(self) -> [usize; 4] {
        match self {
            Self::Lenet5B64 => [64, 1, 28, 28],
            Self::Resnet18B4 | Self::Resnet50B4 => [4, 3, 224, 224],
            Self::MobilenetBlock => [8, 64, 14, 14],
            Self::XceptionBlock => [4, 728, 19, 19],
        }
    }

    /// Such that three steps change the loss, and rounding doesn't.
    pub(crate) fn learning_rate(self) -> f64 {
        match self {
            Self::Lenet5B64 => 0.1,
            Self::Resnet18B4 | Self::Resnet50B4 => 1e-5,
            Self::MobilenetBlock | Self::XceptionBlock => 1e-4,
        }
    }

    /// The loss, with what it needs.
    pub(crate) fn loss(self) -> Result<Loss> {
        let labels = |count: u16, classes: u16| (0..count).map(|i| (i * 7 % classes) as u8).collect();
        Ok(match self {
            Self::Lenet5B64 => Loss::CrossEntropy { labels: labels(64, 10) },
            Self::Resnet18B4 | Self::Resnet50B4 => Loss::CrossEntropy { labels: labels(4, 100) },
            // Both blocks keep the shape.
            Self::MobilenetBlock | Self::XceptionBlock => {
                Loss::Given { gradient: numbers("gradient", &self.input(), 1.0)? }
            }
        })
    }
}

/// What a parameter begins as: a scale as 1, a bias as 0, all else as numbers that its name decides.
pub(crate) fn initial(name: &str, shape: &[usize]) -> Result<Tensor> {
    if shape.len() > 1 {
        let fan_in: usize = shape[1..].iter().product();
        return numbers(name, shape, (6.0 / fan_in as f64).sqrt() as f32);
    }
    let value = if name.ends_with("weight") { 1f32 } else { 0.0 };
    Ok(Tensor::full(value, shape, &Device::Cpu)?)
}

/// The same numbers for the same name, evenly spread over `-bound..bound`.
fn numbers(name: &str, shape: &[usize], bound: f32) -> Result<Tensor> {
    // FNV-1a of the name, then a mixing of 32 bits for each number.
    let seed =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let number = |index: u32| {
        let mut x = seed.wrapping_add(index);
        x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
        x = (x ^ (x >> 15)).wrapping_mul(0x735a_2d97);
        x ^= x >> 15;
        ((x >> 8) as f32 / (1 << 23) as f32 - 1.0) * bound
    };
    let count: usize = shape.iter().product();
    Ok(Tensor::from_vec((0..u32::try_from(count)?).map(number).collect(), shape, &Device::Cpu)?)
}
