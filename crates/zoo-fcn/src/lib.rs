//! Fully convolutional networks: a class for every pixel.
//!
//! *Fully Convolutional Networks for Semantic Segmentation*, J. Long, E. Shelhamer, T. Darrell, 2014,
//! [arXiv:1411.4038](https://arxiv.org/abs/1411.4038).
//!
//! ```text
//! fcn8s                                                            fcn_resnet50
//!
//! picture (3, h, w)                                                picture (3, h, w)
//!    │ VGG-16's first three blocks                                    │ ResNet-50, the last two strides
//!    ├─ pool3 (256, h/8, w/8) ── score_pool3 ────────────┐            │ traded for dilation
//!    │ fourth block                                      │            │
//!    ├─ pool4 (512, h/16, w/16) ── score_pool4 ─┐        │            ├─ layer3 (1024, h/8, w/8)
//!    │ fifth block, pool5                       │        │            │    └ in training: aux_classifier,
//!    │ fc6 7×7, fc7 1×1 (4096, h/32, w/32)      │        │            │      upsample ── aux (21, h, w)
//!    │ score_fr (21, h/32, w/32)                │        │            │
//!    └─ upscore2 ───────────────────────────────+        │            │ layer4 (2048, h/8, w/8)
//!                               upscore_pool4 ──┴────────+            │ classifier 3×3, 1×1 (21, h/8, w/8)
//!                                              upscore8 ─┴─ logits    │ upsample
//!                                                     (21, h, w)      └─ logits (21, h, w)
//! ```
//!
//! | variant | parameters | auxiliary | GMACs | VOC 2011 mean IU | pixels right |
//! |---|---|---|---|---|---|
//! | [`fcn32s`] | 136,152,917 | - | 181.366 (500×500) | 63.63 (authors), 62.84 (pytorch-fcn) | - |
//! | [`fcn16s`] | 134,815,994 | - | 181.448 | 65.01, 64.91 | - |
//! | [`fcn8s`] | 134,489,759 | - | 181.529 | 65.51, 65.49 | - |
//! | [`fcn8s_atonce`] | 134,489,759 | - | 181.529 | 65.40, 64.74 | - |
//! | [`fcn_resnet50`] | 32,957,013 | 2,365,205 | 142.726 and 9.991 (520×520) | 60.5 (torchvision, COCO with VOC labels) | 91.4 |
//! | [`fcn_resnet101`] | 51,949,141 | 2,365,205 | 222.747 and 9.991 | 63.7 (torchvision) | 91.9 |
//! | [`fcn32s_small`] | 976,539 | - | 0.122 (96×96) | - | - |
//! | [`fcn16s_small`] | 607,478 | - | 0.127 | - | - |
//! | [`fcn8s_small`] | 516,849 | - | 0.130 | - | - |
//! | [`fcn_digits`] | 476,987 | - | 0.276 (96×96) | 89.6 on 500 scenes of digits instead (here) | - |
//!
//! # What it introduced
//! A linear layer on a 7×7 map is a 7×7 convolution with the same weights. So a classifier can be laid over a picture
//! of any size and gives a map of scores, all positions sharing their work, where patches had been classified
//! one by one. The map is 32 times smaller than the picture; a transposed convolution, which starts as
//! bilinear interpolation and learns, makes it large again. What was lost on the way down is fetched from
//! earlier layers, whose own scores are added ("skips"): 32s, 16s, 8s. Trained end to end on whole pictures, it was
//! a fifth better than anything before.
//!
//! # Differences from the paper
//! * The VGG networks are laid out as in the authors' Caffe models and in pytorch-fcn: a border of 100 pixels
//!   around the picture, pools that round up, and crops at fixed offsets that take the border off.
//! * All transposed convolutions learn; the authors fixed the last one to interpolation.
//! * The scores of `pool3` and `pool4` start at zero as the paper's, those of `score_fr` at random: if all were
//!   zero, nothing below them would learn in the first step.
//! * Dropout drops single values, as in the authors' code (pytorch-fcn drops whole maps).
//! * [`fcn8s_atonce`] multiplies the pools by 0.01 and 0.0001 and can be trained in one stage (Shelhamer et al.
//!   2016); its parameters are [`fcn8s`]'s.
//! * The networks on ResNet are torchvision's, without skips: the backbone keeps 1/8 of the size, and an auxiliary
//!   head learns with half the weight.
//! * [`fcn32s_small`], [`fcn16s_small`] and [`fcn8s_small`] have five convolutions and at most 64 channels, to show on scenes
//!   of digits in minutes what each fusion brings.
//! * [`fcn_digits`] is this project's, a small network with norms for scenes of handwritten digits, which adds features of
//!   four sizes where the paper adds scores, and joins them in Xception's residual units. Its layers are called `conv1_1` and
//!   `bn1_1` to `conv4_1` and `bn4_1`, `deeper1` and `lateral1` to `deeper3` and `lateral3`, `unit1_1` to `unit4_6` (the size
//!   and the number, with Xception's names within), and `score`.
//!
//! # Parameter names
//! pytorch-fcn's: `conv1_1`, …, `conv5_3`, `fc6`, `fc7`, `score_fr`, `score_pool4`, `score_pool3`, `upscore` (32s),
//! `upscore2` and `upscore16` (16s), `upscore2`, `upscore_pool4` and `upscore8` (8s). torchvision's:
//! `backbone.` and ResNet's, `classifier.0`, `.1`, `.4`, `aux_classifier.0`, `.1`, `.4`. What torchvision calls `out`
//! is the output `logits`, as of every network here.
//!
//! # Example
//! ```
//! use zoo_fcn::FcnResNet;
//!
//! let cats_and_dogs = FcnResNet { classes: 3, ..FcnResNet::FCN_RESNET50 }.graph()?;
//! let graph = cats_and_dogs.at_size(240, 320)?;
//! assert_eq!(graph.get(graph.main_output().node).output.to_string(), "3x240x320");
//! # Ok::<(), zoo_layers::Error>(())
//! ```

mod config;
mod digits;
mod resnet;
mod vgg;

pub use config::{Auxiliary, FcnResNet, FcnVgg, Fusion, VOC_CLASSES};
pub use digits::{DIGIT_CLASSES, FcnDigits};

zoo_layers::variants! {
    /// FCN-32s on VGG-16.
    fcn32s = FcnVgg::FCN32S;
    /// FCN-16s on VGG-16.
    fcn16s = FcnVgg::FCN16S;
    /// FCN-8s on VGG-16.
    fcn8s = FcnVgg::FCN8S;
    /// FCN-8s on VGG-16, to be trained in one stage.
    fcn8s_atonce = FcnVgg::FCN8S_ATONCE;
    /// FCN on ResNet-50.
    fcn_resnet50 = FcnResNet::FCN_RESNET50;
    /// FCN on ResNet-101.
    fcn_resnet101 = FcnResNet::FCN_RESNET101;
    /// FCN-32s on a small VGG, for scenes of digits.
    fcn32s_small = FcnVgg::FCN32S_SMALL;
    /// FCN-16s on a small VGG.
    fcn16s_small = FcnVgg::FCN16S_SMALL;
    /// FCN-8s on a small VGG.
    fcn8s_small = FcnVgg::FCN8S_SMALL;
    /// A small one, for scenes of handwritten digits.
    fcn_digits = FcnDigits::FCN_DIGITS;
}
