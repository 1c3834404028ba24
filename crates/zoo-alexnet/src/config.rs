//! What distinguishes the two AlexNets.

use zoo_layers::{Head, Padding, Shape};

/// What follows a convolution and its ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next convolution.
    Nothing,
    /// An overlapping max pool: 3×3 windows, 2 apart (section 3.4).
    Pool,
    /// Local response normalisation (section 3.3), then that pool.
    NormPool,
}

/// One of the five convolutions (section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Kernels.
    pub filters: usize,
    /// Side of a kernel.
    pub kernel_size: usize,
    /// Steps over pixels.
    pub stride: usize,
    /// Zeros around the input.
    pub padding: Padding,
    /// Groups: two where each of the paper's GPUs saw only its own maps (figure 2).
    pub groups: usize,
    /// What follows it and its ReLU.
    pub after: After,
}

impl Stage {
    const fn k3(filters: usize, groups: usize, after: After) -> Self {
        Self { filters, kernel_size: 3, stride: 1, padding: Padding::Half, groups, after }
    }

    const fn k5(filters: usize, groups: usize, after: After) -> Self {
        Self { kernel_size: 5, ..Self::k3(filters, groups, after) }
    }

    const fn k11(filters: usize, padding: Padding, after: After) -> Self {
        Self { kernel_size: 11, stride: 4, padding, ..Self::k3(filters, 1, after) }
    }
}

/// Whose conventions hold outside of the convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// torchvision's: its names, an adaptive pool to 6×6 so that other picture sizes pass, dropout *before* the two
    /// hidden linear layers, PyTorch's initialisation.
    Torchvision,
    /// The paper's: Caffe's names, dropout *after* the two hidden layers (section 4.2), initialisation of section 5.
    Paper,
}

/// An AlexNet.
#[derive(Clone, Debug, PartialEq)]
pub struct AlexNet {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// The five convolutions.
    pub stages: [Stage; 5],
    /// Whose conventions hold.
    pub edition: Edition,
    /// What stands at the end; [`Head::Pooled`] is the second hidden layer, 4096 features.
    pub head: Head,
}

impl AlexNet {
    /// torchvision's: the single stream of *One weird trick* (Krizhevsky 2014, footnote 1).
    pub const ALEXNET: Self = Self {
        name: "alexnet",
        input: Shape::map(3, 224, 224),
        stages: [
            Stage::k11(64, Padding::All(2), After::Pool),
            Stage::k5(192, 1, After::Pool),
            Stage::k3(384, 1, After::Nothing),
            Stage::k3(256, 1, After::Nothing),
            Stage::k3(256, 1, After::Pool),
        ],
        edition: Edition::Torchvision,
        head: Head::Classes(1000),
    };

    /// The paper's (Krizhevsky et al. 2012, section 3.5).
    pub const ALEXNET_PAPER: Self = Self {
        name: "alexnet_paper",
        input: Shape::map(3, 227, 227),
        stages: [
            Stage::k11(96, Padding::None, After::NormPool),
            Stage::k5(256, 2, After::NormPool),
            Stage::k3(384, 1, After::Nothing),
            Stage::k3(384, 2, After::Nothing),
            Stage::k3(256, 2, After::Pool),
        ],
        edition: Edition::Paper,
        ..Self::ALEXNET
    };
}
