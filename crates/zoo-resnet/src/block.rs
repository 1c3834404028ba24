//! The residual unit: what is added (the residual) and what is carried (the shortcut).

use zoo_layers::{Conv2d, Fan, Init, Node, PadChannels, Result, Scope, Subsample};

use crate::{Block, StrideIn};

/// A convolution drawn as the paper draws it (its reference 13: variance 2 / fan), on the side of the gradient,
/// as torchvision does.
pub(crate) fn kaiming(conv: Conv2d) -> Conv2d {
    conv.weight_init(Init::KaimingNormal(Fan::Out))
}

/// One unit's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which unit.
    pub block: Block,
    /// The stage's nominal channels: 64, 128, 256, 512.
    pub width: usize,
    /// Channels of the inner 3×3 of a bottleneck.
    pub inner: usize,
    /// Groups of that 3×3.
    pub cardinality: usize,
    /// Steps over pixels.
    pub stride: usize,
    /// Dilation of the 3×3s that keep the size.
    pub dilation: usize,
}

impl Unit {
    /// Channels that leave the unit.
    pub const fn out_channels(&self) -> usize {
        self.width * self.block.expansion()
    }
}

/// A function that adds something to the residual before it meets the shortcut: squeeze-and-excitation is one.
pub type Recalibrate = fn(&mut Scope<'_>, Node) -> Result<Node>;

/// A unit: `relu(residual(x) + shortcut(x))` (equations 1 and 2).
///
/// # Errors
/// What does not fit, by node.
pub fn unit(net: &mut Scope<'_>, x: Node, unit: Unit, recalibrate: Option<Recalibrate>) -> Result<Node> {
    let mut residual = match unit.block {
        Block::Basic => basic(net, x, unit)?,
        Block::Bottleneck(stride_in) => bottleneck(net, x, unit, stride_in)?,
    };
    if let Some(recalibrate) = recalibrate {
        residual = recalibrate(net, residual)?;
    }
    let shortcut = shortcut(net, x, unit)?;
    let sum = net.add(residual, shortcut)?;
    net.relu(sum)
}

/// 3×3, 3×3 (figure 5, left).
fn basic(net: &mut Scope<'_>, x: Node, unit: Unit) -> Result<Node> {
    let first = kaiming(Conv2d::k3(unit.width)).stride(unit.stride).dilation(unit.dilation);
    let x = net.conv_norm_act(x, first, "conv1", "bn1")?;
    net.conv_norm(x, kaiming(Conv2d::k3(unit.width)).dilation(unit.dilation), "conv2", "bn2")
}

/// 1×1, 3×3, 1×1 (figure 5, right).
fn bottleneck(net: &mut Scope<'_>, x: Node, unit: Unit, stride_in: StrideIn) -> Result<Node> {
    let [reduce, spatial] = match stride_in {
        StrideIn::Conv1x1 => [unit.stride, 1],
        StrideIn::Conv3x3 => [1, unit.stride],
    };
    let spatial =
        kaiming(Conv2d::k3(unit.inner)).stride(spatial).dilation(unit.dilation).groups(unit.cardinality);
    let x = net.conv_norm_act(x, kaiming(Conv2d::k1(unit.inner)).stride(reduce), "conv1", "bn1")?;
    let x = net.conv_norm_act(x, spatial, "conv2", "bn2")?;
    net.conv_norm(x, kaiming(Conv2d::k1(unit.out_channels())), "conv3", "bn3")
}

/// The input itself, or where its shape changes a projection: option B of section 3.3.
fn shortcut(net: &mut Scope<'_>, x: Node, unit: Unit) -> Result<Node> {
    if unit.stride == 1 && net.shape(x).channels() == unit.out_channels() {
        return Ok(x);
    }
    let projection = kaiming(Conv2d::k1(unit.out_channels())).stride(unit.stride);
    net.enter("downsample").conv_norm(x, projection, 0, 1)
}

/// A unit of the CIFAR networks: two 3×3 of `width` channels, and a shortcut without parameters: option A of
/// section 3.3 takes every `stride`-th pixel and fills the new channels with zeros.
pub(crate) fn cifar_unit(net: &mut Scope<'_>, x: Node, width: usize, stride: usize) -> Result<Node> {
    let residual = net.conv_norm_act(x, kaiming(Conv2d::k3(width)).stride(stride), "conv1", "bn1")?;
    let residual = net.conv_norm(residual, kaiming(Conv2d::k3(width)), "conv2", "bn2")?;
    let mut shortcut = x;
    if stride != 1 {
        shortcut = net.add_unnamed(Subsample { stride: [stride, stride] }, &[shortcut], "subsample")?;
    }
    let new = width.saturating_sub(net.shape(x).channels());
    if new > 0 {
        let zeros = PadChannels { before: 0, after: new };
        shortcut = net.add_unnamed(zeros, &[shortcut], "pad")?;
    }
    let sum = net.add(residual, shortcut)?;
    net.relu(sum)
}
