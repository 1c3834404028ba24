//! What distinguishes one ResNet from another, and the published ones.

use zoo_layers::{Head, Shape};

/// Which layer of a bottleneck steps over pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrideIn {
    /// The 3×3, as in every implementation since Torch's ("ResNet v1.5"): no pixel is skipped unseen.
    Conv3x3,
    /// The first 1×1, as in the paper and in Caffe's models: three of four pixels are never read.
    Conv1x1,
}

/// The residual unit (figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3×3 convolutions.
    Basic,
    /// 1×1, 3×3, 1×1, with four times the width at its end.
    Bottleneck(StrideIn),
}

impl Block {
    /// Output channels for each channel of width.
    pub const fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck(_) => 4,
        }
    }
}

/// How the picture is first reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stem {
    /// 7×7 with stride 2, then a 3×3 max pool with stride 2: for pictures of some 200 pixels.
    Imagenet,
    /// Three 3×3 of 64, 64 and 128 channels, the first with stride 2, then the same pool
    /// (SENet-154: Hu et al. 2017, appendix).
    Deep,
    /// 3×3 with stride 1 and no pool: for pictures of some 32 pixels.
    Small,
}

impl Stem {
    /// Picture pixels for one pixel that leaves it.
    pub const fn stride(self) -> usize {
        match self {
            Self::Imagenet | Self::Deep => 4,
            Self::Small => 1,
        }
    }
}

/// How the stem's max pool meets the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StemPool {
    /// One pixel of padding on each side, as in PyTorch's ResNets.
    Padded,
    /// No padding, and a last window that only partly fits is used, as in Caffe. The size is the same for a
    /// picture of 224 pixels; every window lies one pixel further to the bottom and right.
    Ceil,
}

/// A ResNet, ResNeXt or Wide ResNet with four stages (table 1 of each paper).
#[derive(Clone, Debug, PartialEq)]
pub struct ResNet {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// How the picture is first reduced.
    pub stem: Stem,
    /// The residual unit.
    pub block: Block,
    /// Units in each of the four stages (conv2_x to conv5_x).
    pub units: [usize; 4],
    /// Groups of a bottleneck's 3×3: ResNeXt's "cardinality".
    pub cardinality: usize,
    /// Channels of each group in the first stage's 3×3, for 64 nominal ones.
    pub width_per_group: usize,
    /// Picture pixels for one pixel of the last stage: 32, or 16 or 8 with strides traded for dilation. With
    /// [`Stem::Small`] 8 (or 32, which trades nothing), or 4 or 2.
    pub output_stride: usize,
    /// What stands at the end.
    pub head: Head,
}

impl ResNet {
    const fn basic(name: &'static str, units: [usize; 4]) -> Self {
        Self {
            name,
            input: Shape::map(3, 224, 224),
            stem: Stem::Imagenet,
            block: Block::Basic,
            units,
            cardinality: 1,
            width_per_group: 64,
            output_stride: 32,
            head: Head::Classes(1000),
        }
    }

    const fn bottleneck(name: &'static str, units: [usize; 4]) -> Self {
        Self { block: Block::Bottleneck(StrideIn::Conv3x3), ..Self::basic(name, units) }
    }

    /// 18 layers (He et al. 2015, table 1).
    pub const RESNET18: Self = Self::basic("resnet18", [2, 2, 2, 2]);
    /// 34 layers (table 1).
    pub const RESNET34: Self = Self::basic("resnet34", [3, 4, 6, 3]);
    /// 50 layers (table 1), with the stride in the 3×3.
    pub const RESNET50: Self = Self::bottleneck("resnet50", [3, 4, 6, 3]);
    /// 50 layers with the stride where the paper has it.
    pub const RESNET50_V1: Self =
        Self { name: "resnet50_v1", block: Block::Bottleneck(StrideIn::Conv1x1), ..Self::RESNET50 };
    /// 101 layers (table 1).
    pub const RESNET101: Self = Self::bottleneck("resnet101", [3, 4, 23, 3]);
    /// 152 layers (table 1).
    pub const RESNET152: Self = Self::bottleneck("resnet152", [3, 8, 36, 3]);
    /// ResNeXt-50: 32 groups of 4 channels (Xie et al. 2016, table 1).
    pub const RESNEXT50_32X4D: Self =
        Self { name: "resnext50_32x4d", cardinality: 32, width_per_group: 4, ..Self::RESNET50 };
    /// ResNeXt-101: 32 groups of 8 channels.
    pub const RESNEXT101_32X8D: Self =
        Self { name: "resnext101_32x8d", cardinality: 32, width_per_group: 8, ..Self::RESNET101 };
    /// ResNeXt-101: 64 groups of 4 channels (Xie et al. 2016, table 4).
    pub const RESNEXT101_64X4D: Self =
        Self { name: "resnext101_64x4d", cardinality: 64, width_per_group: 4, ..Self::RESNET101 };
    /// ResNet-50 with 3×3 convolutions of twice the width (Zagoruyko and Komodakis 2016, table 8).
    pub const WIDE_RESNET50_2: Self =
        Self { name: "wide_resnet50_2", width_per_group: 128, ..Self::RESNET50 };
    /// ResNet-101 with 3×3 convolutions of twice the width.
    pub const WIDE_RESNET101_2: Self =
        Self { name: "wide_resnet101_2", width_per_group: 128, ..Self::RESNET101 };
}

/// Where the new channels of a shortcut without parameters lie, which the paper does not say (option A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewChannels {
    /// Behind the old ones, as in the Torch code that Facebook published.
    Behind,
    /// Half of them before the old ones and half behind, as in akamaster/pytorch_resnet_cifar10: its weights fit the
    /// other network and answer something else.
    BothSides,
}

/// A CIFAR ResNet: three stages of 16, 32 and 64 channels, `6n + 2` layers (He et al. 2015, section 4.2).
#[derive(Clone, Debug, PartialEq)]
pub struct CifarResNet {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// Units in each stage: the paper's n.
    pub units: usize,
    /// Where a shortcut's new channels lie.
    pub new_channels: NewChannels,
    /// What stands at the end.
    pub head: Head,
}

impl CifarResNet {
    const fn of_depth(name: &'static str, depth: usize) -> Self {
        Self {
            name,
            input: Shape::map(3, 32, 32),
            units: (depth - 2) / 6,
            new_channels: NewChannels::Behind,
            head: Head::Classes(10),
        }
    }

    /// 20 layers, n = 3.
    pub const RESNET20: Self = Self::of_depth("resnet20_cifar", 20);
    /// 32 layers, n = 5.
    pub const RESNET32: Self = Self::of_depth("resnet32_cifar", 32);
    /// 44 layers, n = 7.
    pub const RESNET44: Self = Self::of_depth("resnet44_cifar", 44);
    /// 56 layers, n = 9.
    pub const RESNET56: Self = Self::of_depth("resnet56_cifar", 56);
    /// 110 layers, n = 18.
    pub const RESNET110: Self = Self::of_depth("resnet110_cifar", 110);
}
