//! The separable convolution, and the residual unit made of it.

use std::fmt::Display;

use zoo_layers::{Conv2d, MaxPool2d, Node, Padding, Result, Scope};

/// A depthwise separable convolution: `spatial` with one filter for each channel, then 1×1 to `out_channels`,
/// with nothing between them (section 4.7: a non-linearity there only harms). The layers are called
/// `name.conv1` and `name.pointwise`; `spatial`'s channels, groups and bias are set here.
///
/// # Errors
/// What does not fit, by node.
pub fn separable_conv(
    net: &mut Scope<'_>,
    x: Node,
    spatial: Conv2d,
    out_channels: usize,
    name: impl Display,
) -> Result<Node> {
    let channels = net.shape(x).channels();
    let spatial = Conv2d { out_channels: channels, groups: channels, ..spatial };
    let mut net = net.enter(name);
    let x = net.conv(x, spatial.kaiming().no_bias(), "conv1")?;
    net.conv(x, Conv2d::k1(out_channels).kaiming().no_bias(), "pointwise")
}

/// One unit's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    /// Channels that leave each separable convolution.
    pub widths: &'a [usize],
    /// Whether the first separable convolution has a ReLU in front.
    pub start: Start,
    /// The max pool at the end, and the shortcut's projection that goes with it.
    pub pool: Option<Pool>,
    /// Distance between the taps of the separable convolutions.
    pub dilation: usize,
}

/// What a unit begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A ReLU: every unit but the first.
    Relu,
    /// The first separable convolution: the first unit reads what a ReLU left.
    Conv,
}

/// The 3×3 max pool that ends a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// 2, or 1 where the stride was traded away.
    pub stride: usize,
    /// `Half`, or TensorFlow's `Same`.
    pub padding: Padding,
}

/// A unit: ReLU and separable convolution with its norm, two or three times, then perhaps a max pool, added to
/// the shortcut (figure 5). `rep` numbers ReLUs, convolutions and norms in their order.
///
/// # Errors
/// What does not fit, by node.
pub fn unit(net: &mut Scope<'_>, x: Node, unit: Unit<'_>) -> Result<Node> {
    let mut rep = net.enter("rep");
    let mut residual = x;
    let mut place = 0;
    for (index, &width) in unit.widths.iter().enumerate() {
        if index > 0 || unit.start == Start::Relu {
            residual = rep.relu(residual)?;
            place += 1;
        }
        residual = separable_conv(&mut rep, residual, Conv2d::k3(1).dilation(unit.dilation), width, place)?;
        residual = rep.norm(residual, place + 1)?;
        place += 2;
    }
    let Some(pool) = unit.pool else {
        return net.add(residual, x);
    };
    let window = MaxPool2d { dilation: [unit.dilation; 2], ..MaxPool2d::new(3, pool.stride) };
    residual = rep.max_pool(residual, window.padding(pool.padding), place)?;
    let out_channels = net.shape(residual).channels();
    let projection = Conv2d::k1(out_channels).kaiming().stride(pool.stride);
    let shortcut = net.conv_norm(x, projection, "skip", "skipbn")?;
    net.add(residual, shortcut)
}
