//! Residual networks: layers that learn what to add to their input.
//!
//! *Deep Residual Learning for Image Recognition*, K. He, X. Zhang, S. Ren, J. Sun, 2015,
//! [arXiv:1512.03385](https://arxiv.org/abs/1512.03385). Also here, as differences from it: ResNeXt
//! ([Xie et al. 2016](https://arxiv.org/abs/1611.05431)) and Wide ResNet
//! ([Zagoruyko and Komodakis 2016](https://arxiv.org/abs/1605.07146)).
//!
//! ```text
//! picture (3, 224, 224)
//!    │ conv1 7×7, stride 2, bn1, relu          (64, 112, 112)
//!    │ maxpool 3×3, stride 2                   (64, 56, 56)
//!    │ layer1   3 units                        (256, 56, 56)        a unit of resnet50:
//!    │ layer2   4 units, the first stride 2    (512, 28, 28)
//!    │ layer3   6 units, the first stride 2    (1024, 14, 14)       x ─┬─ 1×1 ─ 3×3 ─ 1×1 ─┐
//!    │ layer4   3 units, the first stride 2    (2048, 7, 7)            └── x or projection ─ + ─ relu
//!    │ global average pool                     (2048)
//!    │ fc                                      (1000)
//! logits
//! ```
//!
//! | variant | parameters | GMACs | ImageNet top-1 (torchvision, `IMAGENET1K_V1`) |
//! |---|---|---|---|
//! | [`resnet18`] | 11,689,512 | 1.814 | 69.758 |
//! | [`resnet34`] | 21,797,672 | 3.664 | 73.314 |
//! | [`resnet50`] | 25,557,032 | 4.089 | 76.130 |
//! | [`resnet50_v1`] | 25,557,032 | 3.858 | 75.3 (the authors' Caffe model, one crop) |
//! | [`resnet101`] | 44,549,160 | 7.801 | 77.374 |
//! | [`resnet152`] | 60,192,808 | 11.514 | 78.312 |
//! | [`resnext50_32x4d`] | 25,028,904 | 4.230 | 77.618 |
//! | [`resnext101_32x8d`] | 88,791,336 | 16.414 | 79.312 |
//! | [`resnext101_64x4d`] | 83,455,272 | 15.460 | 83.246 |
//! | [`wide_resnet50_2`] | 68,883,240 | 11.398 | 78.468 |
//! | [`wide_resnet101_2`] | 126,886,696 | 22.753 | 78.848 |
//! | [`resnet20_cifar`] | 269,722 | 0.041 | CIFAR-10: 91.25 (paper, table 6) |
//! | [`resnet32_cifar`] | 464,154 | 0.069 | 92.49 |
//! | [`resnet44_cifar`] | 658,586 | 0.097 | 92.83 |
//! | [`resnet56_cifar`] | 853,018 | 0.125 | 93.03 |
//! | [`resnet110_cifar`] | 1,727,962 | 0.253 | 93.57 |
//!
//! # What it introduced
//! Beyond some twenty layers, plain networks (VGG's kind) got worse on the *training* set too: not overfitting,
//! but optimisation. A unit whose input is carried past it by a shortcut can do nothing by learning zeros, and
//! the gradient reaches every unit undiminished. Depth went from 19 to 152 with less arithmetic than VGG-16.
//! ResNeXt splits a bottleneck's 3×3 into groups, more of them instead of wider ones; Wide ResNet widens the 3×3
//! instead of stacking more.
//!
//! # Differences from the paper
//! * The stride of a bottleneck is in its 3×3, as in torchvision, whose checkpoints these are: it costs 6 %
//!   more arithmetic and gains half a point. [`resnet50_v1`] has it in the first 1×1, as the paper.
//! * A shortcut whose shape changes is a projection (option B) in the ImageNet networks and has no parameters
//!   (option A) in the CIFAR ones, as the paper's. The paper does not say where option A's zeros lie: here they
//!   are the last channels, as in the Torch code that Facebook published beside it; [`NewChannels::BothSides`] has
//!   them on both sides, as a much-copied port to PyTorch.
//! * Convolutions are drawn with variance 2 / fan-out, not fan-in (torchvision).
//!
//! # Parameter names
//! torchvision's: `conv1`, `bn1`, `layer1.0.conv1`, `layer1.0.bn1`, …, `layer1.0.downsample.0` (projection),
//! `layer1.0.downsample.1` (its norm), `fc`. The CIFAR networks follow the same scheme with three stages.
//!
//! # Example
//! ```
//! use zoo_resnet::{Head, ResNet};
//!
//! let features = ResNet { head: Head::None, output_stride: 8, ..ResNet::RESNET50 }.graph()?;
//! assert_eq!(features.main_output().name, "features");
//! assert_eq!(features.get(features.main_output().node).output.to_string(), "2048x28x28");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod block;
mod config;
mod network;

pub use block::{Recalibrate, Unit, unit};
pub use config::{Block, CifarResNet, NewChannels, ResNet, Stem, StemPool, StrideIn};
pub use network::{Stages, stages, stem};
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// ResNet-18.
    resnet18 = ResNet::RESNET18;
    /// ResNet-34.
    resnet34 = ResNet::RESNET34;
    /// ResNet-50, the stride in the 3×3.
    resnet50 = ResNet::RESNET50;
    /// ResNet-50 with the stride in the first 1×1, as the paper has it.
    resnet50_v1 = ResNet::RESNET50_V1;
    /// ResNet-101.
    resnet101 = ResNet::RESNET101;
    /// ResNet-152.
    resnet152 = ResNet::RESNET152;
    /// ResNeXt-50, 32 groups of 4.
    resnext50_32x4d = ResNet::RESNEXT50_32X4D;
    /// ResNeXt-101, 32 groups of 8.
    resnext101_32x8d = ResNet::RESNEXT101_32X8D;
    /// ResNeXt-101, 64 groups of 4.
    resnext101_64x4d = ResNet::RESNEXT101_64X4D;
    /// Wide ResNet-50-2.
    wide_resnet50_2 = ResNet::WIDE_RESNET50_2;
    /// Wide ResNet-101-2.
    wide_resnet101_2 = ResNet::WIDE_RESNET101_2;
    /// The CIFAR ResNet of 20 layers.
    resnet20_cifar = CifarResNet::RESNET20;
    /// The CIFAR ResNet of 32 layers.
    resnet32_cifar = CifarResNet::RESNET32;
    /// The CIFAR ResNet of 44 layers.
    resnet44_cifar = CifarResNet::RESNET44;
    /// The CIFAR ResNet of 56 layers.
    resnet56_cifar = CifarResNet::RESNET56;
    /// The CIFAR ResNet of 110 layers.
    resnet110_cifar = CifarResNet::RESNET110;
}
