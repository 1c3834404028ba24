//! What can go wrong.

use zoo_layers::Shape;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a picture can't be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A class that the network does not know.
    #[error("`{model}` has no class {class}; its {classes} classes are 0 to {}", classes.saturating_sub(1))]
    UnknownClass {
        /// The network's name.
        model: String,
        /// The class asked for.
        class: usize,
        /// How many there are.
        classes: usize,
    },
    /// A layer that gives no map, so that there is no place in the picture to light.
    #[error("`{node}` gives {shape}, which is no map of several pixels; {}", other.as_ref().map_or(
        "this network has none".into(),
        |other| format!("`{other}` gives one"),
    ))]
    NoMap {
        /// The layer asked for.
        node: String,
        /// What it gives.
        shape: Shape,
        /// A layer that would do.
        other: Option<String>,
    },
    /// A layer that the answer does not depend on.
    #[error("the answer of `{model}` does not depend on `{node}`; name a layer on the way to `{output}`")]
    Beside {
        /// The network's name.
        model: String,
        /// The layer asked for.
        node: String,
        /// The main output.
        output: String,
    },
    /// A network without a convolution has no filters.
    #[error("`{model}` has no convolution, so there are no filters to show")]
    NoFilters {
        /// The network's name.
        model: String,
    },
    /// Values that are not numbers can't be shown.
    #[error("{what} holds values that are no finite numbers; the weights or the picture are broken")]
    NotFinite {
        /// What holds them.
        what: String,
    },
    /// A number that makes no sense.
    #[error("{what} is {value}; it must be {wanted}")]
    Option {
        /// What is set.
        what: &'static str,
        /// To what.
        value: String,
        /// What it can be.
        wanted: String,
    },
    /// The network can't be run.
    #[error(transparent)]
    Layers(#[from] zoo_layers::Error),
    /// A computation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A picture can't be made.
    #[error(transparent)]
    Data(#[from] zoo_data::Error),
    /// A picture can't be encoded.
    #[error("the picture can't be encoded: {0}")]
    Png(#[from] image::ImageError),
}
