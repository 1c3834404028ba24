//! Squeeze-and-excitation networks: residual networks whose units learn which of their channels matter for the
//! picture at hand.
//!
//! *Squeeze-and-Excitation Networks*, J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu, 2017,
//! [arXiv:1709.01507](https://arxiv.org/abs/1709.01507).
//!
//! ```text
//! picture (3, 224, 224)                                             a unit of seresnet50:
//!    │ conv1 7×7, stride 2, bn1, relu          (64, 112, 112)
//!    │ maxpool 3×3, stride 2                   (64, 56, 56)         x ─┬─ 1×1 ─ 3×3 ─ 1×1 ─┬───────── × ─┐
//!    │ layer1   3 units                        (256, 56, 56)           │                   mean      │   │
//!    │ layer2   4 units, the first stride 2    (512, 28, 28)           │              (c, 1, 1)   sigmoid│
//!    │ layer3   6 units, the first stride 2    (1024, 14, 14)          │                    │      │   │
//!    │ layer4   3 units, the first stride 2    (2048, 7, 7)            │                   fc1 ─ fc2   │
//!    │ global average pool                     (2048)                  │              (c/16, 1, 1)     │
//!    │ fc                                      (1000)                  └── x or projection ─────────── + ─ relu
//! logits
//! ```
//!
//! | variant | parameters | GMACs | ImageNet top-1 (timm) |
//! |---|---|---|---|
//! | [`seresnet18`] | 11,778,592 | 1.814 | - |
//! | [`seresnet34`] | 21,958,868 | 3.664 | - |
//! | [`seresnet50`] | 28,088,024 | 4.092 | 80.012 (`a1_in1k`) |
//! | [`seresnet101`] | 49,326,872 | 7.806 | - |
//! | [`seresnet152`] | 66,821,848 | 11.520 | - |
//! | [`seresnext50_32x4d`] | 27,559,896 | 4.233 | 81.268 (`racm_in1k`) |
//! | [`seresnext101_32x4d`] | 48,955,416 | 7.975 | 80.886 (`gluon_in1k`) |
//! | [`senet154`] | 115,088,984 | 20.688 | 81.258 (`gluon_in1k`) |
//! | [`legacy_seresnet18`] | 11,778,592 | 1.814 | 71.742 |
//! | [`legacy_seresnet34`] | 21,958,868 | 3.664 | 74.788 |
//! | [`legacy_seresnet50`] | 28,088,024 | 3.860 | 77.650 |
//! | [`legacy_seresnet101`] | 49,326,872 | 7.575 | 78.370 |
//! | [`legacy_seresnet152`] | 66,821,848 | 11.289 | 78.662 |
//! | [`legacy_seresnext50_32x4d`] | 27,559,896 | 4.233 | 79.080 |
//! | [`legacy_seresnext101_32x4d`] | 48,955,416 | 7.975 | 80.274 |
//! | [`legacy_senet154`] | 115,088,984 | 20.688 | 81.320 |
//!
//! # What it introduced
//! A convolution sees a small window and mixes all channels in the same way wherever it stands. Squeeze-and-
//! excitation looks at the whole map (one mean for each channel), and answers with one factor for each channel. It
//! costs a few thousandths of the arithmetic and a tenth of the parameters, changes nothing else in the network,
//! and brought SE-ResNet-50 near ResNet-101's accuracy. SENet-154 won the last ImageNet challenge, in 2017.
//!
//! It is a function, [`squeeze_excite`], that any block of any graph can end with: GoogLeNet's for example (the
//! paper's SE-Inception, figure 2).
//!
//! ```
//! use zoo_googlenet::{Inception, Style, inception};
//! use zoo_layers::{Graph, Shape};
//! use zoo_senet::squeeze_excite;
//!
//! let widths = Inception {
//!     conv1x1: 64, reduce3x3: 96, conv3x3: 128, reduce5x5: 16, conv5x5: 32, pool_projection: 32,
//! };
//! let graph = Graph::build("se_inception", Shape::map(192, 28, 28), |net, x| {
//!     let mut module = net.enter("inception3a");
//!     let x = inception(&mut module, x, widths, Style::PAPER)?; // (n, 256, 28, 28)
//!     let x = squeeze_excite(&mut module, x, 16)?;
//!     net.output("features", x)
//! })?;
//! assert_eq!(graph.layer("inception3a.se.fc1")?.output.to_string(), "16x1x1");
//! # Ok::<(), zoo_layers::Error>(())
//! ```
//!
//! # Differences from the paper
//! * The plain names follow timm's geometry: the stride of a bottleneck is in its 3×3, and the stem's pool has
//!   one pixel of padding. The `legacy_` ones are what the authors' Caffe models compute: the stride in a
//!   bottleneck's first 1×1 (SE-ResNeXt and SENet-154 always had it in the 3×3) and a pool without padding that
//!   rounds up. Names and shapes are the same in both, so that weights of one kind load into the other without
//!   a complaint and answer something else: pick the variant that the weights were made for.
//! * The authors published no SE-ResNet-18 and -34. `legacy_seresnet18` and `legacy_seresnet34` are timm's first
//!   port, which has one more ReLU, between a unit's last norm and the squeeze; the plain ones do without it.
//!   timm rounds their squeezed widths up to multiples of 8 today, which makes 8 of 4 channels in the first stage;
//!   here they are the paper's c / 16, and timm's with [`SeNet::least_squeezed`], which `zoo` tells from a file.
//! * The two layers of the excitation are 1×1 convolutions with bias (the checkpoints'), the same numbers as the
//!   paper's fully connected ones.
//! * Convolutions are drawn with variance 2 / fan-out.
//!
//! # Parameter names
//! timm's: ResNet's, and in each unit `se.fc1` and `se.fc2`. SENet-154's stem is `conv1.0`, `conv1.1` (its
//! norm), `conv1.3`, `conv1.4`, `conv1.6`, `bn1`. The `legacy_` variants have the same names.
//!
//! # Example
//! ```
//! use zoo_senet::{Head, SeNet};
//!
//! let features = SeNet { head: Head::None, output_stride: 16, ..SeNet::SERESNET50 }.graph()?;
//! assert_eq!(features.get(features.main_output().node).output.to_string(), "2048x14x14");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod block;
mod config;
mod network;

pub use block::squeeze_excite;
pub use config::{Residual, SeNet};
pub use zoo_layers::Head;
pub use zoo_resnet::{Block, Stem, StemPool, StrideIn};

zoo_layers::variants! {
    /// SE-ResNet-18.
    seresnet18 = SeNet::SERESNET18;
    /// SE-ResNet-34.
    seresnet34 = SeNet::SERESNET34;
    /// SE-ResNet-50, the stride in the 3×3.
    seresnet50 = SeNet::SERESNET50;
    /// SE-ResNet-101, the stride in the 3×3.
    seresnet101 = SeNet::SERESNET101;
    /// SE-ResNet-152, the stride in the 3×3.
    seresnet152 = SeNet::SERESNET152;
    /// SE-ResNeXt-50, 32 groups of 4.
    seresnext50_32x4d = SeNet::SERESNEXT50_32X4D;
    /// SE-ResNeXt-101, 32 groups of 4.
    seresnext101_32x4d = SeNet::SERESNEXT101_32X4D;
    /// SENet-154.
    senet154 = SeNet::SENET154;
    /// SE-ResNet-18 of timm's first port.
    legacy_seresnet18 = SeNet::LEGACY_SERESNET18;
    /// SE-ResNet-34 of timm's first port.
    legacy_seresnet34 = SeNet::LEGACY_SERESNET34;
    /// SE-ResNet-50 in the Caffe geometry.
    legacy_seresnet50 = SeNet::LEGACY_SERESNET50;
    /// SE-ResNet-101 in the Caffe geometry.
    legacy_seresnet101 = SeNet::LEGACY_SERESNET101;
    /// SE-ResNet-152 in the Caffe geometry.
    legacy_seresnet152 = SeNet::LEGACY_SERESNET152;
    /// SE-ResNeXt-50 with Caffe's pool.
    legacy_seresnext50_32x4d = SeNet::LEGACY_SERESNEXT50_32X4D;
    /// SE-ResNeXt-101 with Caffe's pool.
    legacy_seresnext101_32x4d = SeNet::LEGACY_SERESNEXT101_32X4D;
    /// SENet-154 with Caffe's pool.
    legacy_senet154 = SeNet::LEGACY_SENET154;
}
