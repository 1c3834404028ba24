//! What distinguishes one SENet from another, and the published ones.

use zoo_layers::{Head, Shape};
use zoo_resnet::{Block, Stem, StemPool, StrideIn};

/// What squeeze-and-excitation reads of a basic unit's residual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Residual {
    /// What leaves the last norm (figure 3).
    Signed,
    /// That behind a ReLU, so that the unit can only add: timm's legacy SE-ResNet-18 and -34.
    Rectified,
}

/// An SE-ResNet, an SE-ResNeXt or SENet-154.
#[derive(Clone, Debug, PartialEq)]
pub struct SeNet {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// How the picture is first reduced.
    pub stem: Stem,
    /// How the stem's pool meets the border.
    pub pool: StemPool,
    /// The residual unit, and where a bottleneck has its stride.
    pub block: Block,
    /// Units in each of the four stages.
    pub units: [usize; 4],
    /// Groups of a bottleneck's 3×3.
    pub cardinality: usize,
    /// Channels of each group in the first stage's 3×3, for 64 nominal ones.
    pub width_per_group: usize,
    /// The 3×3's channels for each channel of the first 1×1: 2 in SENet-154, else 1.
    pub reduce_first: usize,
    /// Kernel of the projections behind the first stage: 3 in SENet-154, else 1.
    pub projection: usize,
    /// What is squeezed.
    pub residual: Residual,
    /// Channels for each channel of the squeezed vector: the paper's r.
    pub reduction: usize,
    /// The squeezed vector has at least so many channels: 1. timm's modern networks have 8, which matters where
    /// 64 channels are squeezed: in the first stage of SE-ResNet-18 and -34.
    pub least_squeezed: usize,
    /// Dropout in front of the classifier: 0.2 in SENet-154, else 0, which is none.
    pub dropout: f64,
    /// Picture pixels for one pixel of the last stage: 32, or 16 or 8 with strides traded for dilation. With
    /// [`Stem::Small`] 8 (or 32, which trades nothing), or 4 or 2.
    pub output_stride: usize,
    /// What stands at the end.
    pub head: Head,
}

impl SeNet {
    const fn basic(name: &'static str, units: [usize; 4]) -> Self {
        Self {
            name,
            input: Shape::map(3, 224, 224),
            stem: Stem::Imagenet,
            pool: StemPool::Padded,
            block: Block::Basic,
            units,
            cardinality: 1,
            width_per_group: 64,
            reduce_first: 1,
            projection: 1,
            residual: Residual::Signed,
            reduction: 16,
            least_squeezed: 1,
            dropout: 0.0,
            output_stride: 32,
            head: Head::Classes(1000),
        }
    }

    const fn bottleneck(name: &'static str, units: [usize; 4]) -> Self {
        Self { block: Block::Bottleneck(StrideIn::Conv3x3), ..Self::basic(name, units) }
    }

    /// SE-ResNet-18, timm's geometry.
    pub const SERESNET18: Self = Self::basic("seresnet18", [2, 2, 2, 2]);
    /// SE-ResNet-34.
    pub const SERESNET34: Self = Self::basic("seresnet34", [3, 4, 6, 3]);
    /// SE-ResNet-50 (Hu et al. 2017, table 1) with the stride in the 3×3.
    pub const SERESNET50: Self = Self::bottleneck("seresnet50", [3, 4, 6, 3]);
    /// SE-ResNet-101.
    pub const SERESNET101: Self = Self::bottleneck("seresnet101", [3, 4, 23, 3]);
    /// SE-ResNet-152.
    pub const SERESNET152: Self = Self::bottleneck("seresnet152", [3, 8, 36, 3]);
    /// SE-ResNeXt-50: 32 groups of 4 channels (table 1).
    pub const SERESNEXT50_32X4D: Self =
        Self { name: "seresnext50_32x4d", cardinality: 32, width_per_group: 4, ..Self::SERESNET50 };
    /// SE-ResNeXt-101: 32 groups of 4 channels.
    pub const SERESNEXT101_32X4D: Self =
        Self { name: "seresnext101_32x4d", cardinality: 32, width_per_group: 4, ..Self::SERESNET101 };
    /// SENet-154, which won the ImageNet challenge of 2017 (appendix): 64 groups of 4 channels, first 1×1s of
    /// half the width, 3×3 projections, a stem of three 3×3, dropout.
    pub const SENET154: Self = Self {
        name: "senet154",
        stem: Stem::Deep,
        cardinality: 64,
        width_per_group: 4,
        reduce_first: 2,
        projection: 3,
        dropout: 0.2,
        ..Self::SERESNET152
    };

    /// SE-ResNet-18 in the geometry of timm's first port.
    pub const LEGACY_SERESNET18: Self = Self {
        name: "legacy_seresnet18",
        pool: StemPool::Ceil,
        residual: Residual::Rectified,
        ..Self::SERESNET18
    };
    /// SE-ResNet-34 in the geometry of timm's first port.
    pub const LEGACY_SERESNET34: Self = Self {
        name: "legacy_seresnet34",
        pool: StemPool::Ceil,
        residual: Residual::Rectified,
        ..Self::SERESNET34
    };
    /// SE-ResNet-50 in the geometry of the authors' Caffe models.
    pub const LEGACY_SERESNET50: Self = Self {
        name: "legacy_seresnet50",
        pool: StemPool::Ceil,
        block: Block::Bottleneck(StrideIn::Conv1x1),
        ..Self::SERESNET50
    };
    /// SE-ResNet-101 in the geometry of the authors' Caffe models.
    pub const LEGACY_SERESNET101: Self = Self {
        name: "legacy_seresnet101",
        pool: StemPool::Ceil,
        block: Block::Bottleneck(StrideIn::Conv1x1),
        ..Self::SERESNET101
    };
    /// SE-ResNet-152 in the geometry of the authors' Caffe models.
    pub const LEGACY_SERESNET152: Self = Self {
        name: "legacy_seresnet152",
        pool: StemPool::Ceil,
        block: Block::Bottleneck(StrideIn::Conv1x1),
        ..Self::SERESNET152
    };
    /// SE-ResNeXt-50 with the authors' pool; the stride was always in its 3×3.
    pub const LEGACY_SERESNEXT50_32X4D: Self =
        Self { name: "legacy_seresnext50_32x4d", pool: StemPool::Ceil, ..Self::SERESNEXT50_32X4D };
    /// SE-ResNeXt-101 with the authors' pool.
    pub const LEGACY_SERESNEXT101_32X4D: Self =
        Self { name: "legacy_seresnext101_32x4d", pool: StemPool::Ceil, ..Self::SERESNEXT101_32X4D };
    /// SENet-154 with the authors' pool.
    pub const LEGACY_SENET154: Self =
        Self { name: "legacy_senet154", pool: StemPool::Ceil, ..Self::SENET154 };
}
