//! MobileNetV2: a network for telephones, thin where it is carried and wide where it computes.
//!
//! *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, M. Sandler, A. Howard, M. Zhu, A. Zhmoginov,
//! L.-C. Chen, 2018, [arXiv:1801.04381](https://arxiv.org/abs/1801.04381).
//!
//! ```text
//! picture (3, 224, 224)
//!    │ features.0    3×3, stride 2, relu6     (32, 112, 112)
//!    │ features.1    1 unit                   (16, 112, 112)       a unit:
//!    │ features.2    2 units, stride 2        (24, 56, 56)
//!    │ features.4    3 units, stride 2        (32, 28, 28)         x ─┬─ 1×1 to 6c, relu6
//!    │ features.7    4 units, stride 2        (64, 14, 14)            │  3×3 for each channel, relu6
//!    │ features.11   3 units                  (96, 14, 14)            │  1×1 to c, linear ─┐
//!    │ features.14   3 units, stride 2        (160, 7, 7)             └────────────────── + ─
//!    │ features.17   1 unit                   (320, 7, 7)             (the shortcut: where the shape stays)
//!    │ features.18   1×1, relu6               (1280, 7, 7)
//!    │ global average pool, dropout           (1280)
//!    │ classifier.1                           (1000)
//! logits
//! ```
//!
//! | variant | parameters | GMACs | ImageNet top-1 |
//! |---|---|---|---|
//! | [`mobilenet_v2`] | 3,504,872 | 0.301 | 71.878 (torchvision, `IMAGENET1K_V1`) |
//! | [`mobilenet_v2_035`] | 1,677,128 | 0.059 | - |
//! | [`mobilenet_v2_050`] | 1,968,680 | 0.097 | 65.928 (timm, `lamb_in1k`) |
//! | [`mobilenet_v2_075`] | 2,636,424 | 0.209 | - |
//! | [`mobilenet_v2_140`] | 6,108,776 | 0.582 | 76.528 (timm, `ra_in1k`) |
//! | [`mobilenet_v2_keras`] | 3,504,872 | 0.301 | 71.3 (Keras) |
//!
//! (Keras prints 3,538,984: it counts the running statistics too.)
//!
//! # What it introduced
//! A residual unit the other way round. ResNet's bottleneck narrows in order to compute cheaply; with separable
//! convolutions the 3×3 is cheap anyway, so the unit widens six times for it, and carries the narrow tensor. The
//! last 1×1 has no ReLU: in few channels a ReLU destroys what it cuts off ("linear bottleneck"). What must be
//! kept in memory between units is a sixth of what is computed with.
//!
//! # Differences from the paper
//! * Widths that are scaled are rounded to multiples of 8, as in the authors' code.
//! * [`mobilenet_v2_keras`] is what Keras computes: TensorFlow's "same" padding in the 3×3s with a stride, which
//!   on a map of even size lies on the right and bottom alone, and norms with an eps of 1e-3. Names and shapes are
//!   the same as in [`mobilenet_v2`].
//! * Dropout of 0.2 in front of the classifier, and torchvision's initial weights: variance 2 / fan-out, and 0.01
//!   as the classifier's standard deviation.
//!
//! # Parameter names
//! torchvision's: `features.0.0`, `features.0.1` (its norm), `features.1.conv.0.0`, …; in a unit `conv.0.0` and
//! `conv.0.1` widen, `conv.1.0` and `conv.1.1` are the 3×3, `conv.2` and `conv.3` narrow (in `features.1`, which
//! does not widen, each one less); `features.18.0`, `classifier.1`.
//!
//! # Example
//! ```
//! use zoo_mobilenet::{Head, MobileNetV2};
//!
//! let graph = MobileNetV2 { head: Head::Classes(2), width: 60, ..MobileNetV2::MOBILENET_V2 }.graph()?;
//! assert_eq!(graph.get(graph.find("features.17")?).output.to_string(), "192x7x7");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod block;
mod config;
mod network;

pub use block::{Unit, inverted_residual};
pub use config::{MobileNetV2, Stage};
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// MobileNetV2.
    mobilenet_v2 = MobileNetV2::MOBILENET_V2;
    /// MobileNetV2 of 0.35 times the width.
    mobilenet_v2_035 = MobileNetV2::MOBILENET_V2_035;
    /// MobileNetV2 of half the width.
    mobilenet_v2_050 = MobileNetV2::MOBILENET_V2_050;
    /// MobileNetV2 of 0.75 times the width.
    mobilenet_v2_075 = MobileNetV2::MOBILENET_V2_075;
    /// MobileNetV2 of 1.4 times the width.
    mobilenet_v2_140 = MobileNetV2::MOBILENET_V2_140;
    /// MobileNetV2 as Keras computes it.
    mobilenet_v2_keras = MobileNetV2::MOBILENET_V2_KERAS;
}
