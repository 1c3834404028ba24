//! The residual unit: what is added (the residual) and what is carried (the shortcut).

use zoo_layers::{Conv2d, Node, PadChannels, Result, Scope, Subsample};

use crate::{Block, NewChannels, StrideIn};

/// One unit's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which unit.
    pub block: Block,
    /// The stage's nominal channels: 64, 128, 256, 512.
    pub width: usize,
    /// Channels of the first 1×1 of a bottleneck.
    pub reduced: usize,
    /// Channels of the inner 3×3 of a bottleneck.
    pub inner: usize,
    /// Groups of that 3×3.
    pub cardinality: usize,
    /// Kernel of the shortcut's projection: 1, or 3 in SENet-154.
    pub projection: usize,
    /// Steps over pixels.
    pub stride: usize,
    /// Dilation before and behind the layer with the stride. They differ where that stride was traded away.
    pub dilation: [usize; 2],
}

impl Unit {
    /// The unit of the stage with so many nominal channels, before any stride: `width_per_group` is the channels
    /// of each of the `cardinality` groups for 64 nominal ones.
    pub const fn plain(block: Block, width: usize, cardinality: usize, width_per_group: usize) -> Self {
        let inner = (width.saturating_mul(width_per_group) / 64).saturating_mul(cardinality);
        Self { block, width, reduced: inner, inner, cardinality, projection: 1, stride: 1, dilation: [1, 1] }
    }

    /// Channels that leave the unit.
    pub const fn out_channels(&self) -> usize {
        self.width * self.block.expansion()
    }
}

/// A function that adds something to the residual before it meets the shortcut: squeeze-and-excitation is one.
pub type Recalibrate<'a> = &'a dyn Fn(&mut Scope<'_>, Node) -> Result<Node>;

/// A unit: `relu(residual(x) + shortcut(x))` (equations 1 and 2).
///
/// # Errors
/// What does not fit, by node.
pub fn unit(net: &mut Scope<'_>, x: Node, unit: Unit, recalibrate: Option<Recalibrate<'_>>) -> Result<Node> {
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
    let [before, behind] = unit.dilation;
    let first = Conv2d::k3(unit.width).kaiming().stride(unit.stride).dilation(before);
    let x = net.conv_norm_act(x, first, "conv1", "bn1")?;
    net.conv_norm(x, Conv2d::k3(unit.width).kaiming().dilation(behind), "conv2", "bn2")
}

/// 1×1, 3×3, 1×1 (figure 5, right).
fn bottleneck(net: &mut Scope<'_>, x: Node, unit: Unit, stride_in: StrideIn) -> Result<Node> {
    let [before, behind] = unit.dilation;
    let (reduce, spatial, dilation) = match stride_in {
        StrideIn::Conv1x1 => (unit.stride, 1, behind),
        StrideIn::Conv3x3 => (1, unit.stride, before),
    };
    let reduce = Conv2d::k1(unit.reduced).kaiming().stride(reduce);
    let spatial =
        Conv2d::k3(unit.inner).kaiming().stride(spatial).dilation(dilation).groups(unit.cardinality);
    let x = net.conv_norm_act(x, reduce, "conv1", "bn1")?;
    let x = net.conv_norm_act(x, spatial, "conv2", "bn2")?;
    net.conv_norm(x, Conv2d::k1(unit.out_channels()).kaiming(), "conv3", "bn3")
}

/// The input itself, or where its shape changes a projection: option B of section 3.3.
fn shortcut(net: &mut Scope<'_>, x: Node, unit: Unit) -> Result<Node> {
    if unit.stride == 1 && net.shape(x).channels() == unit.out_channels() {
        return Ok(x);
    }
    let projection = Conv2d::new(unit.out_channels(), [unit.projection; 2]).kaiming();
    let projection = projection.stride(unit.stride).dilation(unit.dilation[0]);
    net.enter("downsample").conv_norm(x, projection, 0, 1)
}

/// A unit of the CIFAR networks: two 3×3 of `width` channels, and a shortcut without parameters: option A of
/// section 3.3 takes every `stride`-th pixel and fills the new channels with zeros.
pub(crate) fn cifar_unit(
    net: &mut Scope<'_>,
    x: Node,
    width: usize,
    stride: usize,
    new_channels: NewChannels,
) -> Result<Node> {
    let residual = net.conv_norm_act(x, Conv2d::k3(width).kaiming().stride(stride), "conv1", "bn1")?;
    let residual = net.conv_norm(residual, Conv2d::k3(width).kaiming(), "conv2", "bn2")?;
    let mut shortcut = x;
    if stride != 1 {
        shortcut = net.add_unnamed(Subsample { stride: [stride, stride] }, &[shortcut], "subsample")?;
    }
    let new = width.saturating_sub(net.shape(x).channels());
    if new > 0 {
        let before = if new_channels == NewChannels::BothSides { new / 2 } else { 0 };
        let zeros = PadChannels { before, after: new - before };
        shortcut = net.add_unnamed(zeros, &[shortcut], "pad")?;
    }
    let sum = net.add(residual, shortcut)?;
    net.relu(sum)
}
