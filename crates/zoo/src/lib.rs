//! The architecture zoo: convolutional networks by name.
//!
//! ```
//! # let image = zoo::Picture::open(std::path::Path::new("../../assets/digits/7.png"))?;
//! let net = zoo::model("lenet5")?.pretrained()?;
//! let answer = net.classify(&image)?;
//! # assert_eq!(answer.top[0].label, "7");
//! # Ok::<(), zoo::Error>(())
//! ```
//!
//! [`ARCHITECTURES`] lists what there is. A [`Model`] is one of them chosen, a [`Network`] one with weights. The
//! graph behind it, with shapes, parameters and costs, is `zoo_layers`'.

mod builtin;
mod card;
mod convert;
mod error;
mod loading;
mod model;
mod prepare;
mod registry;
mod three_convs;
mod weights;

pub use convert::{Conversion, Converted};
pub use error::{Error, Result};
pub use model::{Answer, Cut, Guess, Model, Network, model};
pub use prepare::Prepare;
pub use registry::{ARCHITECTURES, Accuracy, Architecture, Family};
pub use three_convs::three_convs;
pub use weights::{KnownWeights, Published};
pub use zoo_data::Picture;

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
