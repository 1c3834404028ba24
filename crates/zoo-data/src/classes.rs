//! The names of the classes that published weights tell apart, in the order of their outputs.
//!
//! ```
//! use zoo_data::classes;
//!
//! assert_eq!((classes::imagenet().len(), classes::imagenet()[285]), (1000, "Egyptian cat"));
//! assert_eq!((classes::voc().len(), classes::voc()[15]), (21, "person"));
//! assert_eq!(classes::DIGITS[7], "7");
//! ```

use std::sync::LazyLock;

/// The digits, for the networks of MNIST.
pub const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

static IMAGENET: LazyLock<Vec<&str>> =
    LazyLock::new(|| lines(include_str!("../assets/classes/imagenet.txt")));

static VOC: LazyLock<Vec<&str>> = LazyLock::new(|| lines(include_str!("../assets/classes/voc.txt")));

/// The 1,000 classes of ImageNet (ILSVRC 2012), named as in torchvision's metadata. No name occurs twice.
pub fn imagenet() -> &'static [&'static str] {
    &IMAGENET
}

/// The 20 classes of PASCAL VOC after the background, which comes first: those of the networks for
/// segmentation.
pub fn voc() -> &'static [&'static str] {
    &VOC
}

fn lines(text: &'static str) -> Vec<&'static str> {
    text.lines().collect()
}
