//! The inverted residual: wide inside, narrow where it is carried.

use zoo_layers::{Activation, Conv2d, Node, Padding, Result, Scope};

/// One unit's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// How many times wider the unit is inside.
    pub expansion: usize,
    /// Channels that leave it.
    pub out_channels: usize,
    /// Steps over pixels.
    pub stride: usize,
    /// Padding of its 3×3.
    pub padding: Padding,
}

/// Convolution, norm and ReLU6, named `name.0` and `name.1`.
///
/// # Errors
/// What does not fit, by node.
pub(crate) fn conv_norm_relu6(net: &mut Scope<'_>, x: Node, conv: Conv2d, name: usize) -> Result<Node> {
    let x = net.enter(name).conv_norm(x, conv.kaiming(), 0, 1)?;
    net.activation(x, Activation::Relu6)
}

/// A unit: 1×1 that widens, 3×3 with one filter for each channel, 1×1 that narrows and stays linear (table 1);
/// with the shortcut where the shape stays (figure 3b). An expansion of 1 has no first 1×1.
///
/// # Errors
/// What does not fit, by node.
pub fn inverted_residual(net: &mut Scope<'_>, x: Node, unit: Unit) -> Result<Node> {
    let in_channels = net.shape(x).channels();
    let wide = in_channels.saturating_mul(unit.expansion);
    let mut conv = net.enter("conv");
    let mut y = x;
    let mut place = 0;
    if unit.expansion != 1 {
        y = conv_norm_relu6(&mut conv, y, Conv2d::k1(wide), place)?; // (n, t · c, h, w)
        place += 1;
    }
    let spatial = Conv2d::k3(wide).groups(wide).stride(unit.stride).padding(unit.padding);
    y = conv_norm_relu6(&mut conv, y, spatial, place)?; // (n, t · c, h / s, w / s)
    y = conv.conv_norm(y, Conv2d::k1(unit.out_channels).kaiming(), place + 1, place + 2)?;
    match unit.stride == 1 && in_channels == unit.out_channels {
        true => net.add(x, y),
        false => Ok(y),
    }
}
