//! VGG: nothing but 3×3 convolutions and 2×2 pools, up to nineteen layers deep.
//!
//! *Very Deep Convolutional Networks for Large-Scale Image Recognition*, K. Simonyan, A. Zisserman, 2014,
//! [arXiv:1409.1556](https://arxiv.org/abs/1409.1556).
//!
//! ```text
//!                                     A (vgg11)  B (vgg13)  D (vgg16)  E (vgg19)
//! picture (3, 224, 224)
//!    │ 3×3, 64 channels                   1          2          2          2       (64, 224, 224)
//!    │ max pool 2×2, stride 2                                                      (64, 112, 112)
//!    │ 3×3, 128 channels                  1          2          2          2       (128, 112, 112)
//!    │ max pool 2×2, stride 2                                                      (128, 56, 56)
//!    │ 3×3, 256 channels                  2          2          3          4       (256, 56, 56)
//!    │ max pool 2×2, stride 2                                                      (256, 28, 28)
//!    │ 3×3, 512 channels                  2          2          3          4       (512, 28, 28)
//!    │ max pool 2×2, stride 2                                                      (512, 14, 14)
//!    │ 3×3, 512 channels                  2          2          3          4       (512, 14, 14)
//!    │ max pool 2×2, stride 2                                                      (512, 7, 7)
//!    │ linear, relu, dropout                                                       (4096)
//!    │ linear, relu, dropout                                                       (4096)
//!    │ linear                                                                      (1000)
//! logits
//! ```
//! Every convolution is followed by a ReLU, in the `_bn` variants by batch norm and a ReLU.
//!
//! | variant | parameters | GMACs | ImageNet top-1 (torchvision, `IMAGENET1K_V1`) |
//! |---|---|---|---|
//! | [`vgg11`] | 132,863,336 | 7.609 | 69.020 |
//! | [`vgg13`] | 133,047,848 | 11.308 | 69.928 |
//! | [`vgg16`] | 138,357,544 | 15.470 | 71.592 |
//! | [`vgg19`] | 143,667,240 | 19.632 | 72.376 |
//! | [`vgg11_bn`] | 132,868,840 | 7.609 | 70.370 |
//! | [`vgg13_bn`] | 133,053,736 | 11.308 | 71.586 |
//! | [`vgg16_bn`] | 138,365,992 | 15.470 | 73.360 |
//! | [`vgg19_bn`] | 143,678,248 | 19.632 | 74.218 |
//!
//! # What it introduced
//! AlexNet's first filters were 11×11. Two 3×3 in a row see as much as one 5×5, three as much as a 7×7, with a
//! non-linearity after each and almost half the parameters (section 2.3). With that one brick, depth alone could be
//! studied, and it was depth that helped, up to the nineteen layers where plain networks stop gaining; ResNet goes on
//! from there. Nine tenths of the parameters of `vgg16` are in its linear layers, nearly all the arithmetic in its
//! convolutions.
//!
//! # Differences from the paper
//! * Configuration C, with 1×1 convolutions in its last blocks, and A-LRN are not here: the paper itself finds them
//!   no better than D and A (section 4.1).
//! * The `_bn` variants have batch norm (Ioffe and Szegedy 2015), behind convolutions that keep their bias.
//! * Convolutions are drawn with variance 2 / fan-out (torchvision). The paper trained A first and began the deeper
//!   ones with its layers, and notes that Glorot's initialisation does without that (section 3.1).
//! * An adaptive pool before the linear layers lets other picture sizes pass; at 224×224 it does nothing.
//!
//! # Parameter names
//! torchvision's: `features.0`, … counts convolutions, norms, ReLUs and pools; the linear layers are `classifier.0`,
//! `classifier.3` and `classifier.6`.
//!
//! # Example
//! ```
//! use zoo_vgg::{Head, Vgg};
//!
//! let features = Vgg { head: Head::None, ..Vgg::VGG16 }.graph()?;
//! assert_eq!(features.get(features.main_output().node).output.to_string(), "512x7x7");
//! assert_eq!(features.params().map(|param| param.elements()).sum::<usize>(), 14_714_688);
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod config;
mod network;

pub use config::{Classifier, Norm, Vgg};
pub use zoo_layers::Head;

zoo_layers::variants! {
    /// VGG-11, configuration A.
    vgg11 = Vgg::VGG11;
    /// VGG-13, configuration B.
    vgg13 = Vgg::VGG13;
    /// VGG-16, configuration D.
    vgg16 = Vgg::VGG16;
    /// VGG-19, configuration E.
    vgg19 = Vgg::VGG19;
    /// VGG-11 with batch norm.
    vgg11_bn = Vgg::VGG11_BN;
    /// VGG-13 with batch norm.
    vgg13_bn = Vgg::VGG13_BN;
    /// VGG-16 with batch norm.
    vgg16_bn = Vgg::VGG16_BN;
    /// VGG-19 with batch norm.
    vgg19_bn = Vgg::VGG19_BN;
}
