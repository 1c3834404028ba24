//! GoogLeNet: modules that look at a map through several windows at once, with a ninth of AlexNet's parameters.
//!
//! *Going Deeper with Convolutions*, C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan,
//! V. Vanhoucke, A. Rabinovich, 2014, [arXiv:1409.4842](https://arxiv.org/abs/1409.4842).
//!
//! ```text
//! picture (3, 224, 224)
//!    │ conv1 7×7, stride 2                  (64, 112, 112)
//!    │ maxpool1 3×3, stride 2               (64, 56, 56)          an inception module:
//!    │ conv2 1×1, conv3 3×3                 (192, 56, 56)
//!    │ maxpool2                             (192, 28, 28)          x ─┬─ 1×1 ─────────────┐
//!    │ inception3a, 3b                      (480, 28, 28)             ├─ 1×1 ─ 3×3 ───────┤
//!    │ maxpool3                             (480, 14, 14)             ├─ 1×1 ─ 5×5 ───────┼─ side by side
//!    │ inception4a ── aux1 (training)       (512, 14, 14)             └─ max pool ─ 1×1 ──┘
//!    │ inception4b, 4c, 4d ── aux2          (528, 14, 14)
//!    │ inception4e                          (832, 14, 14)
//!    │ maxpool4                             (832, 7, 7)
//!    │ inception5a, 5b                      (1024, 7, 7)
//!    │ global average pool, dropout         (1024)
//!    │ fc                                   (1000)
//! logits
//! ```
//!
//! | variant | parameters | with auxiliary heads | GMACs | ImageNet |
//! |---|---|---|---|---|
//! | [`googlenet`] | 6,624,904 | 13,004,888 | 1.498 | top-1 69.778 (torchvision, `IMAGENET1K_V1`) |
//! | [`googlenet_paper`] | 6,998,552 | 13,378,280 | 1.583 | top-5 89.93 (paper, table 3, one network, one crop) |
//!
//! # What it introduced
//! A larger network had meant more parameters and more arithmetic in proportion. The module lets 1×1, 3×3 and 5×5
//! convolutions share the work, so that the next layer finds features of every scale, and puts cheap 1×1 convolutions
//! in front of the expensive ones (an idea of Network in Network, Lin et al. 2013): twenty-two layers deep with a
//! ninth of AlexNet's parameters (the paper says a twelfth). Global average pooling replaces the hidden linear layers,
//! where AlexNet and VGG keep nearly all of theirs. Two classifiers on 4a and 4d feed gradients to the middle of the
//! network while it trains; their losses count 0.3 each (section 5).
//!
//! # Differences from the paper
//! * [`googlenet`] is torchvision's: batch norm (eps 1e-3) instead of biases and local response normalisation; 3×3
//!   instead of 5×5 in every module's third branch, an oversight that its weights were trained with; a 2×2 last max
//!   pool; dropout of 0.2 instead of 0.4; adaptive pools in front of the auxiliary classifiers. The published
//!   auxiliary heads were never trained.
//! * [`googlenet_paper`] has biases, true 5×5, the paper's pools and normalisation, whose constants and whose
//!   initialisation are those of the Caffe reproduction: the paper gives none.
//! * [`Pixels::Imagenet`] renormalises pictures that were prepared as for other networks (torchvision's
//!   `transform_input`).
//!
//! # Parameter names
//! torchvision's, in both: `conv1.conv`, `conv1.bn`, `inception3a.branch1.conv`, `inception3a.branch2.0.conv`
//! (reduction), `inception3a.branch2.1.conv`, …, `inception3a.branch4.1.conv` (pool projection), `aux1.conv.conv`,
//! `aux1.fc1`, `aux1.fc2`, `fc`. The variant of the paper has `.conv.bias` and no `.bn`.
//!
//! # Example
//! ```
//! use zoo_googlenet::{GoogLeNet, Pixels};
//!
//! let graph = GoogLeNet { pixels: Pixels::Imagenet, ..GoogLeNet::GOOGLENET }.graph()?;
//! let names: Vec<&str> = graph.outputs().iter().map(|output| output.name.as_str()).collect();
//! assert_eq!(names, ["logits", "aux1", "aux2"]);
//! assert_eq!(graph.layer("inception3a.cat")?.output.to_string(), "256x28x28");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod block;
mod config;
mod network;

pub use block::{conv, inception};
pub use config::{AuxPool, Auxiliary, GoogLeNet, Inception, MODULES, Norm, Pixels, Style, Widest};
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// GoogLeNet as torchvision publishes it.
    googlenet = GoogLeNet::GOOGLENET;
    /// GoogLeNet as the paper has it.
    googlenet_paper = GoogLeNet::GOOGLENET_PAPER;
}
