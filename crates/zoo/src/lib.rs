//! The architecture zoo: convolutional networks by name.
//!
//! ```
//! let architecture = zoo::find("resnet50")?;
//! let graph = architecture.graph()?;
//! assert_eq!(graph.input().to_string(), "3x224x224");
//! # Ok::<(), zoo::Error>(())
//! ```

mod error;
mod registry;
mod three_convs;
mod weights;

pub use error::{Error, Result};
pub use registry::{ARCHITECTURES, Accuracy, Architecture, Family};
pub use three_convs::three_convs;
pub use weights::{KnownWeights, weights_of};

/// The architecture of that name.
///
/// # Errors
/// [`Error::UnknownModel`] with the nearest names.
pub fn find(name: &str) -> Result<&'static Architecture> {
    ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| {
        let names = ARCHITECTURES.iter().map(|architecture| architecture.name);
        Error::UnknownModel { name: name.into(), hint: zoo_layers::nearest(name, names) }
    })
}
