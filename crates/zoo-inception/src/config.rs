//! What can be chosen of an Inception-v3.

use zoo_layers::{Head, Shape};

/// How the pictures are normalised that the network is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// As the convolutions shall see them: −1 to 1 for the published weights.
    AsTrained,
    /// By ImageNet's mean and standard deviation; the network turns them into −1 to 1 (torchvision's
    /// `transform_input`).
    Imagenet,
}

/// The classifier in the middle (section 4), which is not computed but in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auxiliary {
    /// None.
    Without,
    /// Output `aux` in training.
    Training,
}

/// An Inception-v3.
#[derive(Clone, Debug, PartialEq)]
pub struct InceptionV3 {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// How its pictures are normalised.
    pub pixels: Pixels,
    /// The classifier in the middle; without a classifier at the end, there is none.
    pub auxiliary: Auxiliary,
    /// How likely a feature is dropped before the classifier.
    pub dropout: f64,
    /// What stands at the end.
    pub head: Head,
}

impl InceptionV3 {
    /// torchvision's.
    pub const INCEPTION_V3: Self = Self {
        name: "inception_v3",
        input: Shape::map(3, 299, 299),
        pixels: Pixels::AsTrained,
        auxiliary: Auxiliary::Training,
        dropout: 0.5,
        head: Head::Classes(1000),
    };
}
