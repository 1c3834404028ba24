//! What distinguishes one VGG from another: table 1 of the paper.

use zoo_layers::{Head, Shape};

/// What stands between a convolution and its ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Nothing, as in the paper.
    None,
    /// Batch norm, which is younger than the paper (torchvision's `_bn`).
    Batch,
}

/// What reads the last map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classifier {
    /// Two hidden linear layers and the classifier, as in the paper.
    Hidden,
    /// The mean over the map and one linear layer, `classifier`: what is usually trained on a network that learned on
    /// other pictures.
    Mean,
}

/// A VGG.
#[derive(Clone, Debug, PartialEq)]
pub struct Vgg {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// 3×3 convolutions in each of the five blocks; a 2×2 max pool ends each block.
    pub convs: [usize; 5],
    /// What stands between a convolution and its ReLU.
    pub norm: Norm,
    /// What reads the last map.
    pub classifier: Classifier,
    /// What stands at the end; [`Head::Pooled`] is the second hidden layer, 4096 features, or the mean, 512.
    pub head: Head,
}

impl Vgg {
    /// Channels of the five blocks, in every configuration (table 1).
    pub const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

    const fn configuration(name: &'static str, convs: [usize; 5]) -> Self {
        let (input, head) = (Shape::map(3, 224, 224), Head::Classes(1000));
        Self { name, input, convs, norm: Norm::None, classifier: Classifier::Hidden, head }
    }

    const fn batch_norm(name: &'static str, plain: &Self) -> Self {
        Self { norm: Norm::Batch, ..Self::configuration(name, plain.convs) }
    }

    /// Configuration A: 8 convolutions and 3 linear layers (table 1).
    pub const VGG11: Self = Self::configuration("vgg11", [1, 1, 2, 2, 2]);
    /// Configuration B: 10 convolutions.
    pub const VGG13: Self = Self::configuration("vgg13", [2, 2, 2, 2, 2]);
    /// Configuration D: 13 convolutions.
    pub const VGG16: Self = Self::configuration("vgg16", [2, 2, 3, 3, 3]);
    /// Configuration E: 16 convolutions.
    pub const VGG19: Self = Self::configuration("vgg19", [2, 2, 4, 4, 4]);
    /// Configuration A with batch norm.
    pub const VGG11_BN: Self = Self::batch_norm("vgg11_bn", &Self::VGG11);
    /// Configuration B with batch norm.
    pub const VGG13_BN: Self = Self::batch_norm("vgg13_bn", &Self::VGG13);
    /// Configuration D with batch norm.
    pub const VGG16_BN: Self = Self::batch_norm("vgg16_bn", &Self::VGG16);
    /// Configuration E with batch norm.
    pub const VGG19_BN: Self = Self::batch_norm("vgg19_bn", &Self::VGG19);
}
