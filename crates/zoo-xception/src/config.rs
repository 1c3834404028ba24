//! What distinguishes one Xception from another, and the published ones.

use zoo_layers::{Head, Padding, Shape};

/// An Xception (Chollet 2016, figure 5).
#[derive(Clone, Debug, PartialEq)]
pub struct Xception {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// Channels that leave each of the three units of the entry flow.
    pub entry: [usize; 3],
    /// Units in the middle flow, of as many channels as the entry flow ends with.
    pub middle: usize,
    /// Channels that leave the unit of the exit flow, and the two separable convolutions after it.
    pub exit: [usize; 3],
    /// Padding of the max pools: `Half` as in PyTorch, or TensorFlow's `Same`.
    pub pool_padding: Padding,
    /// What the norms add to the variance.
    pub eps: f64,
    /// Dropout in front of the classifier; 0 is none.
    pub dropout: f64,
    /// Picture pixels for one pixel of the last map: 32, or 16 or 8 with strides traded for dilation.
    pub output_stride: usize,
    /// What stands at the end.
    pub head: Head,
}

impl Xception {
    /// timm's `legacy_xception`.
    pub const XCEPTION: Self = Self {
        name: "xception",
        input: Shape::map(3, 299, 299),
        entry: [128, 256, 728],
        middle: 8,
        exit: [1024, 1536, 2048],
        pool_padding: Padding::Half,
        eps: 1e-5,
        dropout: 0.0,
        output_stride: 32,
        head: Head::Classes(1000),
    };
    /// What Keras computes: TensorFlow's "same" padding, and its eps.
    pub const XCEPTION_KERAS: Self =
        Self { name: "xception_keras", pool_padding: Padding::Same, eps: 1e-3, ..Self::XCEPTION };
}
