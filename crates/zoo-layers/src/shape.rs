//! What one node yields for one picture: a map or a vector. The batch is free and never part of a shape.

use std::fmt;

/// The shape of one picture's activation, without the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A stack of feature maps, `(n, channels, height, width)` with the batch.
    Map {
        /// Number of feature maps.
        channels: usize,
        /// Rows of each map.
        height: usize,
        /// Columns of each map.
        width: usize,
    },
    /// A feature vector, `(n, features)` with the batch.
    Vector {
        /// Number of features.
        features: usize,
    },
}

impl Shape {
    /// A stack of `channels` maps of `height` by `width`.
    pub const fn map(channels: usize, height: usize, width: usize) -> Self {
        Self::Map { channels, height, width }
    }

    /// A vector of `features` values.
    pub const fn vector(features: usize) -> Self {
        Self::Vector { features }
    }

    /// Channels of a map, features of a vector.
    pub const fn channels(&self) -> usize {
        match *self {
            Self::Map { channels, .. } => channels,
            Self::Vector { features } => features,
        }
    }

    /// Height and width; a vector is a single pixel.
    pub const fn size(&self) -> [usize; 2] {
        match *self {
            Self::Map { height, width, .. } => [height, width],
            Self::Vector { .. } => [1, 1],
        }
    }

    /// Values for one picture.
    pub const fn elements(&self) -> usize {
        let [height, width] = self.size();
        self.channels().saturating_mul(height).saturating_mul(width)
    }

    /// The dimensions behind the batch.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Self::Map { channels, height, width } => vec![channels, height, width],
            Self::Vector { features } => vec![features],
        }
    }

    /// The dimensions with the batch in front.
    pub fn with_batch(&self, batch: usize) -> Vec<usize> {
        let mut dims = self.dims();
        dims.insert(0, batch);
        dims
    }

    /// The same channels at another size; a vector stays as it is.
    pub(crate) fn resized(&self, height: usize, width: usize) -> Self {
        match *self {
            Self::Map { channels, .. } => Self::Map { channels, height, width },
            vector @ Self::Vector { .. } => vector,
        }
    }
}

/// Written as `64x56x56` or `1000`.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Map { channels, height, width } => write!(f, "{channels}x{height}x{width}"),
            Self::Vector { features } => write!(f, "{features}"),
        }
    }
}
