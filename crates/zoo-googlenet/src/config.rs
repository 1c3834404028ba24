//! What distinguishes the two GoogLeNets, and table 1 of the paper.

use zoo_layers::{Head, LocalResponseNorm, Shape};

/// What follows each convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Nothing but its own bias and the ReLU, as in the paper.
    None,
    /// Batch norm with an eps of 1e-3, then the ReLU (Ioffe and Szegedy 2015).
    Batch,
}

/// The kernel of the module's widest convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widest {
    /// 5×5, as in the paper.
    K5,
    /// 3×3: an oversight in torchvision's port, which its weights were trained with.
    K3,
}

/// How an inception module makes its convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// What follows each convolution.
    pub norm: Norm,
    /// The kernel of the widest.
    pub widest: Widest,
}

impl Style {
    /// As torchvision: batch norm, 3×3.
    pub const TORCHVISION: Self = Self { norm: Norm::Batch, widest: Widest::K3 };
    /// As the paper: biases, 5×5.
    pub const PAPER: Self = Self { norm: Norm::None, widest: Widest::K5 };
}

/// A row of table 1: the output channels of a module's six convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inception {
    /// "#1×1": the first branch.
    pub conv1x1: usize,
    /// "#3×3 reduce": the 1×1 in front of the 3×3.
    pub reduce3x3: usize,
    /// "#3×3".
    pub conv3x3: usize,
    /// "#5×5 reduce": the 1×1 in front of the 5×5.
    pub reduce5x5: usize,
    /// "#5×5".
    pub conv5x5: usize,
    /// "pool proj": the 1×1 behind the max pool.
    pub pool_projection: usize,
}

impl Inception {
    /// Channels that leave the module.
    pub const fn out_channels(&self) -> usize {
        self.conv1x1 + self.conv3x3 + self.conv5x5 + self.pool_projection
    }
}

/// The nine modules of table 1, with their names: the first figure is the stage.
#[rustfmt::skip]
pub const MODULES: [(&str, Inception); 9] = [
    ("3a", Inception { conv1x1:  64, reduce3x3:  96, conv3x3: 128, reduce5x5: 16, conv5x5:  32, pool_projection:  32 }),
    ("3b", Inception { conv1x1: 128, reduce3x3: 128, conv3x3: 192, reduce5x5: 32, conv5x5:  96, pool_projection:  64 }),
    ("4a", Inception { conv1x1: 192, reduce3x3:  96, conv3x3: 208, reduce5x5: 16, conv5x5:  48, pool_projection:  64 }),
    ("4b", Inception { conv1x1: 160, reduce3x3: 112, conv3x3: 224, reduce5x5: 24, conv5x5:  64, pool_projection:  64 }),
    ("4c", Inception { conv1x1: 128, reduce3x3: 128, conv3x3: 256, reduce5x5: 24, conv5x5:  64, pool_projection:  64 }),
    ("4d", Inception { conv1x1: 112, reduce3x3: 144, conv3x3: 288, reduce5x5: 32, conv5x5:  64, pool_projection:  64 }),
    ("4e", Inception { conv1x1: 256, reduce3x3: 160, conv3x3: 320, reduce5x5: 32, conv5x5: 128, pool_projection: 128 }),
    ("5a", Inception { conv1x1: 256, reduce3x3: 160, conv3x3: 320, reduce5x5: 32, conv5x5: 128, pool_projection: 128 }),
    ("5b", Inception { conv1x1: 384, reduce3x3: 192, conv3x3: 384, reduce5x5: 48, conv5x5: 128, pool_projection: 128 }),
];

/// How the auxiliary classifiers bring a map to 4×4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuxPool {
    /// A 5×5 average pool with stride 3, as in the paper: 14×14 becomes 4×4, another size does not fit.
    Window,
    /// The means of 4×4 regions of whatever size.
    Adaptive,
}

/// The two classifiers in the middle, which help training (section 5) and are not computed otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auxiliary {
    /// None.
    Without,
    /// Outputs `aux1` and `aux2` in training.
    Training(AuxPool),
}

/// How the pictures are normalised that the network is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// As the convolutions shall see them: −1 to 1 for the published weights.
    AsTrained,
    /// By ImageNet's mean and standard deviation; the network turns them into −1 to 1 (torchvision's
    /// `transform_input`).
    Imagenet,
}

/// A GoogLeNet.
#[derive(Clone, Debug, PartialEq)]
pub struct GoogLeNet {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// How its pictures are normalised.
    pub pixels: Pixels,
    /// How convolutions are made.
    pub style: Style,
    /// Normalisation after the first pool and before the second.
    pub response_norm: Option<LocalResponseNorm>,
    /// Windows of the last max pool, stride 2.
    pub last_pool: usize,
    /// The classifiers in the middle; without a classifier at the end, there are none.
    pub auxiliary: Auxiliary,
    /// How likely a feature is dropped before the classifier.
    pub dropout: f64,
    /// What stands at the end.
    pub head: Head,
}

impl GoogLeNet {
    /// torchvision's.
    pub const GOOGLENET: Self = Self {
        name: "googlenet",
        input: Shape::map(3, 224, 224),
        pixels: Pixels::AsTrained,
        style: Style::TORCHVISION,
        response_norm: None,
        last_pool: 2,
        auxiliary: Auxiliary::Training(AuxPool::Adaptive),
        dropout: 0.2,
        head: Head::Classes(1000),
    };

    /// The paper's (table 1). The paper names the normalisation but no constants: these are the ones of the Caffe
    /// reproduction, whose alpha of 1e-4 is divided by the 5 channels.
    pub const GOOGLENET_PAPER: Self = Self {
        name: "googlenet_paper",
        style: Style::PAPER,
        response_norm: Some(LocalResponseNorm { size: 5, alpha: 2e-5, beta: 0.75, k: 1.0 }),
        last_pool: 3,
        auxiliary: Auxiliary::Training(AuxPool::Window),
        dropout: 0.4,
        ..Self::GOOGLENET
    };
}
