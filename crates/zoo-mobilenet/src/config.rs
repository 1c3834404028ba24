//! What distinguishes one MobileNetV2 from another, and the published ones.

use zoo_layers::{Head, Padding, Shape};

/// One row of table 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// How many times wider a unit is inside: the paper's t.
    pub expansion: usize,
    /// Channels that leave each unit, before the width multiplier: c.
    pub channels: usize,
    /// Units: n.
    pub units: usize,
    /// Stride of the first one: s.
    pub stride: usize,
}

/// A MobileNetV2.
#[derive(Clone, Debug, PartialEq)]
pub struct MobileNetV2 {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// Width multiplier in percent: every number of channels is scaled by it, and rounded to a multiple of 8.
    pub width: usize,
    /// Channels of the first convolution, before the multiplier.
    pub stem: usize,
    /// The inverted residuals (table 2).
    pub stages: [Stage; 7],
    /// Channels of the last 1×1; multipliers below 100 leave it as it is (section 4).
    pub last: usize,
    /// Padding of the 3×3s with a stride: `Half` as in PyTorch, or TensorFlow's `Same`.
    pub strided_padding: Padding,
    /// What the norms add to the variance.
    pub eps: f64,
    /// Dropout in front of the classifier; 0 is none.
    pub dropout: f64,
    /// What stands at the end.
    pub head: Head,
}

impl MobileNetV2 {
    /// The paper's network (table 2), as torchvision has it.
    pub const MOBILENET_V2: Self = Self {
        name: "mobilenet_v2",
        input: Shape::map(3, 224, 224),
        width: 100,
        stem: 32,
        stages: [
            Stage { expansion: 1, channels: 16, units: 1, stride: 1 },
            Stage { expansion: 6, channels: 24, units: 2, stride: 2 },
            Stage { expansion: 6, channels: 32, units: 3, stride: 2 },
            Stage { expansion: 6, channels: 64, units: 4, stride: 2 },
            Stage { expansion: 6, channels: 96, units: 3, stride: 1 },
            Stage { expansion: 6, channels: 160, units: 3, stride: 2 },
            Stage { expansion: 6, channels: 320, units: 1, stride: 1 },
        ],
        last: 1280,
        strided_padding: Padding::Half,
        eps: 1e-5,
        dropout: 0.2,
        head: Head::Classes(1000),
    };
    /// 0.35 of the width.
    pub const MOBILENET_V2_035: Self = Self { name: "mobilenet_v2_035", width: 35, ..Self::MOBILENET_V2 };
    /// Half of the width.
    pub const MOBILENET_V2_050: Self = Self { name: "mobilenet_v2_050", width: 50, ..Self::MOBILENET_V2 };
    /// 0.75 of the width.
    pub const MOBILENET_V2_075: Self = Self { name: "mobilenet_v2_075", width: 75, ..Self::MOBILENET_V2 };
    /// 1.4 of the width.
    pub const MOBILENET_V2_140: Self = Self { name: "mobilenet_v2_140", width: 140, ..Self::MOBILENET_V2 };
    /// What Keras computes: TensorFlow's "same" padding, and its eps.
    pub const MOBILENET_V2_KERAS: Self =
        Self { name: "mobilenet_v2_keras", strided_padding: Padding::Same, eps: 1e-3, ..Self::MOBILENET_V2 };
}
