//! Inception-v3: large windows taken apart into small ones, rows and columns.
//!
//! *Rethinking the Inception Architecture for Computer Vision*, C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens,
//! Z. Wojna, 2015, [arXiv:1512.00567](https://arxiv.org/abs/1512.00567).
//!
//! ```text
//! picture (3, 299, 299)
//!    │ Conv2d_1a 3×3, stride 2              (32, 149, 149)
//!    │ Conv2d_2a 3×3                        (32, 147, 147)        C, at 17×17:
//!    │ Conv2d_2b 3×3                        (64, 147, 147)
//!    │ maxpool1 3×3, stride 2               (64, 73, 73)           x ─┬─ 1×1 ─────────────────────────────┐
//!    │ Conv2d_3b 1×1, Conv2d_4a 3×3         (192, 71, 71)             ├─ 1×1 ─ 1×7 ─ 7×1 ─────────────────┤
//!    │ maxpool2                             (192, 35, 35)             ├─ 1×1 ─ 7×1 ─ 1×7 ─ 7×1 ─ 1×7 ─────┼─ side
//!    │ Mixed_5b, 5c, 5d   A                 (288, 35, 35)             └─ average pool ─ 1×1 ──────────────┘  by side
//!    │ Mixed_6a           B                 (768, 17, 17)
//!    │ Mixed_6b … 6e      C ── AuxLogits    (768, 17, 17)
//!    │ Mixed_7a           D                 (1280, 8, 8)
//!    │ Mixed_7b, 7c       E                 (2048, 8, 8)
//!    │ global average pool, dropout         (2048)
//!    │ fc                                   (1000)
//! logits
//! ```
//!
//! | variant | parameters | with auxiliary head | GMACs | ImageNet top-1 |
//! |---|---|---|---|---|
//! | [`inception_v3`] | 23,834,568 | 27,161,264 | 5.713 | 77.294 (torchvision, `IMAGENET1K_V1`); 78.8 (paper, table 3) |
//!
//! # What it introduced
//! GoogLeNet was hard to change: doubling its filters made it four times as expensive. This paper says which changes
//! pay. A 5×5 becomes two 3×3, a 7×7 a row and a column of seven (section 3); maps are halved by a convolution and a
//! pool side by side (section 5); the auxiliary classifier, with batch norm, turns out to be a regulariser rather
//! than a source of gradients (section 4); and targets are smoothed, so that the network does not become too sure
//! (section 7).
//!
//! # Differences from the paper
//! * This is the network of the authors' published weights, as torchvision has it: table 1 of the paper leaves out
//!   the padding that makes its sizes come out, and lists other filter counts in places.
//! * Batch norm's eps is 1e-3. Average pools count the padding, as torchvision's do; TensorFlow's don't.
//! * [`Pixels::Imagenet`] renormalises pictures that were prepared as for other networks (torchvision's
//!   `transform_input`).
//!
//! # Parameter names
//! torchvision's: `Conv2d_1a_3x3.conv`, `Conv2d_1a_3x3.bn`, `Mixed_5b.branch5x5_1.conv`, …, `AuxLogits.conv0.conv`,
//! `AuxLogits.fc`, `fc`.
//!
//! # Example
//! ```
//! use zoo_inception::{Head, InceptionV3};
//!
//! let features = InceptionV3 { head: Head::Pooled, ..InceptionV3::INCEPTION_V3 }.graph()?;
//! assert_eq!(features.layer("Mixed_6e.cat")?.output.to_string(), "768x17x17");
//! assert_eq!(features.get(features.main_output().node).output.to_string(), "2048");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod block;
mod config;
mod network;

pub use block::{conv, inception_a, inception_b, inception_c, inception_d, inception_e};
pub use config::{Auxiliary, InceptionV3, Pixels};
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// Inception-v3 as torchvision publishes it.
    inception_v3 = InceptionV3::INCEPTION_V3;
}
