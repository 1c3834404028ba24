//! What distinguishes one fully convolutional network from another, and the published ones.

use zoo_layers::Shape;
use zoo_resnet::ResNet;
use zoo_vgg::Vgg;

use crate::DIGIT_CLASSES;

/// Pascal VOC's twenty kinds of things, and the background.
pub const VOC_CLASSES: usize = 21;

/// Which scores are added on the way back up (section 4.2, figure 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// None: one step from 1/32 of the size to the whole ("FCN-32s").
    None,
    /// Those of the fourth pool, at 1/16 ("FCN-16s").
    Pool4,
    /// Those of the fourth and third, at 1/16 and 1/8 ("FCN-8s").
    Pool4And3,
}

/// A fully convolutional network on VGG (Long et al. 2014).
#[derive(Clone, Debug, PartialEq)]
pub struct FcnVgg {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// 3×3 convolutions in each of the five blocks.
    pub convs: [usize; 5],
    /// Channels of each block.
    pub widths: [usize; 5],
    /// Channels of the two convolutions that were VGG's linear layers.
    pub hidden: usize,
    /// Which scores are added on the way back up.
    pub fusion: Fusion,
    /// What the third and the fourth pool are multiplied by before they are scored: 1, or less where the whole
    /// network is trained at once instead of one fusion after the other.
    pub pool_scales: [f64; 2],
    /// Dropout behind each of the two convolutions that were VGG's linear layers.
    pub dropout: f64,
    /// Kinds of things to tell apart.
    pub classes: usize,
}

impl FcnVgg {
    /// FCN-32s: no fusion.
    pub const FCN32S: Self = Self {
        name: "fcn32s",
        input: Shape::map(3, 500, 500),
        convs: Vgg::VGG16.convs,
        widths: Vgg::WIDTHS,
        hidden: 4096,
        fusion: Fusion::None,
        pool_scales: [1.0, 1.0],
        dropout: 0.5,
        classes: VOC_CLASSES,
    };
    /// FCN-16s: the fourth pool's scores are added.
    pub const FCN16S: Self = Self { name: "fcn16s", fusion: Fusion::Pool4, ..Self::FCN32S };
    /// FCN-8s: the fourth and the third pool's scores are added.
    pub const FCN8S: Self = Self { name: "fcn8s", fusion: Fusion::Pool4And3, ..Self::FCN32S };
    /// FCN-8s with the pools scaled down, so that it can be trained in one stage.
    pub const FCN8S_ATONCE: Self = Self { name: "fcn8s_atonce", pool_scales: [0.0001, 0.01], ..Self::FCN8S };

    /// FCN-32s on a VGG of five convolutions and an eighth of the channels, for scenes of digits: to see in minutes what each
    /// fusion brings.
    pub const FCN32S_SMALL: Self = Self {
        name: "fcn32s_small",
        input: Shape::map(3, 96, 96),
        convs: [1; 5],
        widths: [8, 16, 32, 64, 64],
        hidden: 128,
        dropout: 0.1,
        classes: DIGIT_CLASSES,
        ..Self::FCN32S
    };
    /// The same with the fourth pool's scores.
    pub const FCN16S_SMALL: Self = Self { name: "fcn16s_small", fusion: Fusion::Pool4, ..Self::FCN32S_SMALL };
    /// The same with the fourth and the third pool's scores.
    pub const FCN8S_SMALL: Self =
        Self { name: "fcn8s_small", fusion: Fusion::Pool4And3, ..Self::FCN32S_SMALL };
}

/// Whether a second head on the third stage's map helps in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auxiliary {
    /// Output `aux`, in training only.
    Head,
    /// No such output.
    None,
}

/// A fully convolutional network on ResNet, as torchvision has it.
#[derive(Clone, Debug, PartialEq)]
pub struct FcnResNet {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// The backbone; its own name, input and head are not used.
    pub backbone: ResNet,
    /// Whether there is a second head.
    pub auxiliary: Auxiliary,
    /// Dropout in front of each head's last convolution.
    pub dropout: f64,
    /// Kinds of things to tell apart.
    pub classes: usize,
}

impl FcnResNet {
    /// On ResNet-50, the last two strides traded for dilation.
    pub const FCN_RESNET50: Self = Self {
        name: "fcn_resnet50",
        input: Shape::map(3, 520, 520),
        backbone: ResNet { output_stride: 8, ..ResNet::RESNET50 },
        auxiliary: Auxiliary::Head,
        dropout: 0.1,
        classes: VOC_CLASSES,
    };
    /// On ResNet-101.
    pub const FCN_RESNET101: Self = Self {
        name: "fcn_resnet101",
        backbone: ResNet { output_stride: 8, ..ResNet::RESNET101 },
        ..Self::FCN_RESNET50
    };
}
