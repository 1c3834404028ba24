//! AlexNet: the network that won ImageNet by learning its features from pixels.
//!
//! *ImageNet Classification with Deep Convolutional Neural Networks*, A. Krizhevsky, I. Sutskever, G. Hinton, 2012,
//! [NeurIPS 25](https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks).
//! torchvision publishes the single stream of *One weird trick for parallelizing convolutional neural networks*,
//! A. Krizhevsky, 2014, [arXiv:1404.5997](https://arxiv.org/abs/1404.5997).
//!
//! ```text
//! alexnet_paper                                                       alexnet
//! picture (3, 227, 227)                                               picture (3, 224, 224)
//!    │ conv1 11×11, stride 4, relu          (96, 55, 55)                 │ features.0 11×11, stride 4   (64, 55, 55)
//!    │ norm1; pool1 3×3, stride 2           (96, 27, 27)                 │ features.2 pool              (64, 27, 27)
//!    │ conv2 5×5, two groups, relu          (256, 27, 27)                │ features.3 5×5               (192, 27, 27)
//!    │ norm2; pool2                         (256, 13, 13)                │ features.5 pool              (192, 13, 13)
//!    │ conv3 3×3, relu                      (384, 13, 13)                │ features.6 3×3               (384, 13, 13)
//!    │ conv4 3×3, two groups, relu          (384, 13, 13)                │ features.8 3×3               (256, 13, 13)
//!    │ conv5 3×3, two groups, relu          (256, 13, 13)                │ features.10 3×3              (256, 13, 13)
//!    │ pool5                                (256, 6, 6)                  │ features.12 pool, avgpool    (256, 6, 6)
//!    │ fc6, relu, dropout                   (4096)                       │ classifier.1, relu           (4096)
//!    │ fc7, relu, dropout                   (4096)                       │ classifier.4, relu           (4096)
//!    │ fc8                                  (1000)                       │ classifier.6                 (1000)
//! logits                                                              logits
//! ```
//!
//! | variant | parameters | GMACs | ImageNet top-1 |
//! |---|---|---|---|
//! | [`alexnet`] | 61,100,840 | 0.714 | 56.522 (torchvision, `IMAGENET1K_V1`) |
//! | [`alexnet_paper`] | 60,965,224 | 0.724 | 59.3 (paper, table 2, one network) |
//!
//! # What it introduced
//! Until 2012 features were designed and only the classifier was learned. Krizhevsky trained eight layers from pixels
//! on two GPUs and made fifteen errors in a hundred where the next best made twenty-six. ReLUs instead of tanh made
//! that affordable (section 3.1), dropout kept 60 million parameters from learning the pictures by heart (4.2), local
//! response normalisation and overlapping pools took nearly two per cent more (3.3, 3.4). Two groups of channels that
//! meet only in the third convolution and the linear layers were a way to fit two small GPUs; grouped convolutions
//! come from there.
//!
//! # Differences from the paper
//! * [`alexnet_paper`]: the paper says 224×224, but its 55×55 first maps need 227×227. It runs on one machine; where
//!   the two GPUs did not see each other there are two groups, and normalisation crosses their border, as in Caffe's
//!   reference model.
//! * [`alexnet`] has no groups and no normalisation, 64, 192, 384, 256, 256 filters, and padding of 2 in the first
//!   convolution; an adaptive pool lets other picture sizes pass. Dropout is before the hidden layers instead of
//!   after them, and weights start as PyTorch's do.
//!
//! # Parameter names
//! [`alexnet`]: torchvision's, `features.0` to `features.10` and `classifier.1`, `.4`, `.6`. [`alexnet_paper`]:
//! Caffe's, `conv1` to `conv5` and `fc6` to `fc8`.
//!
//! # Example
//! ```
//! use zoo_alexnet::{AlexNet, Head};
//!
//! let graph = AlexNet { head: Head::Classes(10), ..AlexNet::ALEXNET_PAPER }.graph()?;
//! assert_eq!(graph.layer("pool5")?.output.to_string(), "256x6x6");
//! assert_eq!(graph.layer("conv2")?.params[0].shape, [256, 48, 5, 5]);
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod config;
mod network;

pub use config::{After, AlexNet, Edition, Stage};
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// AlexNet as torchvision publishes it.
    alexnet = AlexNet::ALEXNET;
    /// AlexNet as the paper has it.
    alexnet_paper = AlexNet::ALEXNET_PAPER;
}
