//! Xception: Inception's idea taken to its end, channels and pixels convolved separately.
//!
//! *Xception: Deep Learning with Depthwise Separable Convolutions*, F. Chollet, 2016,
//! [arXiv:1610.02357](https://arxiv.org/abs/1610.02357).
//!
//! ```text
//! picture (3, 299, 299)
//!    │ conv1 3×3, stride 2; conv2 3×3           (64, 147, 147)
//!    │ block1   separable ×2, max pool 3×3/2    (128, 74, 74)       a unit of the middle flow:
//!    │ block2   separable ×2, max pool 3×3/2    (256, 37, 37)
//!    │ block3   separable ×2, max pool 3×3/2    (728, 19, 19)       x ─┬─ (relu ─ separable ─ norm) ×3 ─┐
//!    │ block4 to block11   separable ×3         (728, 19, 19)          └────────────────────────────── + ─
//!    │ block12  separable ×2, max pool 3×3/2    (1024, 10, 10)
//!    │ conv3, conv4 separable                   (2048, 10, 10)      separable: 3×3 for each channel alone,
//!    │ global average pool                      (2048)                         then 1×1 over the channels
//!    │ fc                                       (1000)
//! logits
//! ```
//!
//! | variant | parameters | GMACs | ImageNet top-1 |
//! |---|---|---|---|
//! | [`xception`] | 22,855,952 | 8.357 | 79.058 (timm, `legacy_xception.tf_in1k`) |
//! | [`xception_keras`] | 22,855,952 | 8.357 | 79.0 (Keras) |
//!
//! (Keras prints 22,910,480: it counts the running statistics too.)
//!
//! # What it introduced
//! An Inception module looks at cross-channel correlations with 1×1 convolutions, and at space with several
//! larger ones, each over a segment of the channels. With as many segments as channels, the spatial part is one
//! filter for each channel: a depthwise separable convolution. At 3×3 and 728 channels it costs a ninth of a
//! plain one. The paper replaces all of Inception-v3 by a plain stack of them with residual shortcuts, of the
//! same size, and is more accurate; MobileNet is the same layer made small.
//!
//! # Differences from the paper
//! * Every convolution is followed by batch norm, as the paper says without drawing it.
//! * [`xception`] is timm's port, with PyTorch's padding of one pixel around the max pools; [`xception_keras`] is
//!   what the author's own code computes: "same" padding, which on a map of even size lies on the right and
//!   bottom alone, and norms with an eps of 1e-3. The weights are Keras' in both; only with the latter do they
//!   answer as published there. At 299 pixels the paddings differ in `block2` (74 pixels) alone.
//! * The paper has dropout of 0.5 in front of the classifier for ImageNet; neither port has it:
//!   [`Xception::dropout`].
//! * Convolutions are drawn with variance 2 / fan-out.
//!
//! # Parameter names
//! timm's (`legacy_xception`): `conv1`, `bn1`, `block1.rep.0.conv1` (a separable convolution's spatial part),
//! `block1.rep.0.pointwise`, `block1.rep.1` (its norm), …, `block1.skip`, `block1.skipbn` (the shortcut's
//! projection), `conv3.conv1`, `conv3.pointwise`, `bn3`, …, `fc`. Both variants have the same names.
//!
//! # Example
//! ```
//! use zoo_xception::{Head, Xception};
//!
//! let features = Xception { head: Head::None, output_stride: 16, ..Xception::XCEPTION }.graph()?;
//! assert_eq!(features.get(features.main_output().node).output.to_string(), "2048x19x19");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod block;
mod config;
mod network;

pub use block::{Pool, Start, Unit, separable_conv, unit};
pub use config::Xception;
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// Xception as timm computes it.
    xception = Xception::XCEPTION;
    /// Xception as Keras computes it.
    xception_keras = Xception::XCEPTION_KERAS;
}
