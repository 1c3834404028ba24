//! The five modules, A to E in torchvision's letters, and the convolution that they are made of. Each is a list of
//! branches that read the same map and are put side by side.

use std::fmt::Display;

use zoo_layers::{AvgPool2d, BatchNorm2d, Conv2d, Init, MaxPool2d, Node, Padding, Result, Scope};

/// A convolution called `name.conv`, without bias, its norm `name.bn` with an eps of 1e-3, and a ReLU.
///
/// # Errors
/// What does not fit, by node.
pub fn conv(net: &mut Scope<'_>, x: Node, conv: Conv2d, name: impl Display) -> Result<Node> {
    drawn(net, x, conv, 0.1, name)
}

/// The same with another initial standard deviation.
pub(crate) fn drawn(
    net: &mut Scope<'_>,
    x: Node,
    conv: Conv2d,
    std: f64,
    name: impl Display,
) -> Result<Node> {
    let mut net = net.enter(name);
    net.set_norm(BatchNorm2d::new().eps(1e-3));
    net.conv_norm_act(x, conv.weight_init(Init::TruncatedNormal { std }), "conv", "bn")
}

/// 3×3 without padding, every second pixel: halves a map.
fn halving(out_channels: usize) -> Conv2d {
    Conv2d::k3(out_channels).stride(2).padding(Padding::None)
}

/// One row of `taps`.
fn row(out_channels: usize, taps: usize) -> Conv2d {
    Conv2d::new(out_channels, [1, taps])
}

/// One column of `taps`.
fn column(out_channels: usize, taps: usize) -> Conv2d {
    Conv2d::new(out_channels, [taps, 1])
}

/// The mean of each pixel's neighbourhood, then 1×1.
fn pooled(net: &mut Scope<'_>, x: Node, out_channels: usize) -> Result<Node> {
    let x = net.avg_pool(x, AvgPool2d::new(3, 1).padding(Padding::All(1)), "branch_pool.avgpool")?;
    conv(net, x, Conv2d::k1(out_channels), "branch_pool")
}

/// A, at 35×35: GoogLeNet's module with two 3×3 for its 5×5 (figure 5; the 5×5 branch that is left is narrow).
/// `(n, c, h, w)` becomes `(n, 224 + pool_channels, h, w)`.
///
/// # Errors
/// What does not fit, by node.
pub fn inception_a(net: &mut Scope<'_>, x: Node, pool_channels: usize) -> Result<Node> {
    let ones = conv(net, x, Conv2d::k1(64), "branch1x1")?;

    let fives = conv(net, x, Conv2d::k1(48), "branch5x5_1")?;
    let fives = conv(net, fives, Conv2d::k5(64), "branch5x5_2")?;

    let threes = conv(net, x, Conv2d::k1(64), "branch3x3dbl_1")?;
    let threes = conv(net, threes, Conv2d::k3(96), "branch3x3dbl_2")?;
    let threes = conv(net, threes, Conv2d::k3(96), "branch3x3dbl_3")?;

    let pool = pooled(net, x, pool_channels)?;
    net.concat(&[ones, fives, threes, pool])
}

/// B, from 35×35 to 17×17: convolutions and a pool in parallel, so that neither the pool loses what the convolutions
/// would have seen nor these cost four times as much (figure 10). `(n, c, h, w)` becomes `(n, c + 480, h/2, w/2)`.
///
/// # Errors
/// What does not fit, by node.
pub fn inception_b(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let threes = conv(net, x, halving(384), "branch3x3")?;

    let double = conv(net, x, Conv2d::k1(64), "branch3x3dbl_1")?;
    let double = conv(net, double, Conv2d::k3(96), "branch3x3dbl_2")?;
    let double = conv(net, double, halving(96), "branch3x3dbl_3")?;

    let pool = net.max_pool(x, MaxPool2d::new(3, 2), "branch_pool")?;
    net.concat(&[threes, double, pool])
}

/// C, at 17×17: a 7×7 as a row and a column (figure 6, n = 7), once and twice, through `width` channels.
/// `(n, c, h, w)` becomes `(n, 768, h, w)`.
///
/// # Errors
/// What does not fit, by node.
pub fn inception_c(net: &mut Scope<'_>, x: Node, width: usize) -> Result<Node> {
    let ones = conv(net, x, Conv2d::k1(192), "branch1x1")?;

    let sevens = conv(net, x, Conv2d::k1(width), "branch7x7_1")?;
    let sevens = conv(net, sevens, row(width, 7), "branch7x7_2")?;
    let sevens = conv(net, sevens, column(192, 7), "branch7x7_3")?;

    let double = conv(net, x, Conv2d::k1(width), "branch7x7dbl_1")?;
    let double = conv(net, double, column(width, 7), "branch7x7dbl_2")?;
    let double = conv(net, double, row(width, 7), "branch7x7dbl_3")?;
    let double = conv(net, double, column(width, 7), "branch7x7dbl_4")?;
    let double = conv(net, double, row(192, 7), "branch7x7dbl_5")?;

    let pool = pooled(net, x, 192)?;
    net.concat(&[ones, sevens, double, pool])
}

/// D, from 17×17 to 8×8, as B. `(n, c, h, w)` becomes `(n, c + 512, h/2, w/2)`.
///
/// # Errors
/// What does not fit, by node.
pub fn inception_d(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let threes = conv(net, x, Conv2d::k1(192), "branch3x3_1")?;
    let threes = conv(net, threes, halving(320), "branch3x3_2")?;

    let sevens = conv(net, x, Conv2d::k1(192), "branch7x7x3_1")?;
    let sevens = conv(net, sevens, row(192, 7), "branch7x7x3_2")?;
    let sevens = conv(net, sevens, column(192, 7), "branch7x7x3_3")?;
    let sevens = conv(net, sevens, halving(192), "branch7x7x3_4")?;

    let pool = net.max_pool(x, MaxPool2d::new(3, 2), "branch_pool")?;
    net.concat(&[threes, sevens, pool])
}

/// E, at 8×8: row and column side by side instead of one after the other, for many channels of few pixels (figure 7).
/// `(n, c, h, w)` becomes `(n, 2048, h, w)`.
///
/// # Errors
/// What does not fit, by node.
pub fn inception_e(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let ones = conv(net, x, Conv2d::k1(320), "branch1x1")?;

    let threes = conv(net, x, Conv2d::k1(384), "branch3x3_1")?;
    let threes =
        [conv(net, threes, row(384, 3), "branch3x3_2a")?, conv(net, threes, column(384, 3), "branch3x3_2b")?];

    let double = conv(net, x, Conv2d::k1(448), "branch3x3dbl_1")?;
    let double = conv(net, double, Conv2d::k3(384), "branch3x3dbl_2")?;
    let double = [
        conv(net, double, row(384, 3), "branch3x3dbl_3a")?,
        conv(net, double, column(384, 3), "branch3x3dbl_3b")?,
    ];

    let pool = pooled(net, x, 192)?;
    net.concat(&[ones, threes[0], threes[1], double[0], double[1], pool])
}
