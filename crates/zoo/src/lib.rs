//! The architecture zoo: convolutional networks by name.
//!
//! ```
//! # let image = zoo::Picture::open("../../assets/digits/7.png")?;
//! let net = zoo::model("lenet5")?.pretrained()?;
//! let answer = net.classify(&image)?;
//! # assert_eq!(answer.top[0].label, "7");
//! # Ok::<(), zoo::Error>(())
//! ```
//!
//! [`ARCHITECTURES`] lists what there is. A [`Model`] is one of them chosen, a [`Network`] one with weights. The
//! graph behind it, with shapes, parameters and costs, is [`layers`]'.
//!
//! # Options
//! What may be chosen of any architecture is one value, [`Options`]: a [`Model`] has a method for each, a file's card
//! stores them, and weights that were learned are carried over.
//!
//! ```
//! let dir = tempfile::tempdir()?;
//! let path = dir.path().join("letters.safetensors");
//! let colour = zoo::model("lenet5")?.classes(26).in_channels(3).pretrained()?; // the head is drawn, all else carried
//! colour.save(&path)?;
//! let again = zoo::model(path.to_str().unwrap_or_default())?;
//! assert_eq!((again.options().num_classes, again.options().in_channels), (Some(26), Some(3)));
//! assert_eq!(again.graph()?.input().to_string(), "3x28x28");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Networks of one's own
//! A graph is a value, and other networks are made from it: other classes, a cut at any node, another picture size.
//!
//! ```
//! let graph = zoo::find("resnet50")?.graph()?;
//! let birds = graph.with_num_classes(200)?;
//! assert_eq!(birds.layer("fc")?.output.to_string(), "200");
//! let features = graph.cut(&["layer3"])?.at_size(320, 480)?;
//! assert_eq!(features.get(features.main_output().node).output.to_string(), "1024x20x30");
//! # Ok::<(), zoo::Error>(())
//! ```
//!
//! Where weights change their shape, a [`layers::Carry`] says how. Here a network that learned on grey pictures takes
//! colour, its first weights tiled as timm does (of three channels, one would be their sum), and then slides over
//! larger pictures:
//!
//! ```
//! use std::collections::HashMap;
//! use zoo::layers::Mode;
//! use candle_core::{DType, Device, Tensor};
//!
//! let learned = zoo::model("lenet5")?.pretrained()?;
//! let tensors: HashMap<String, Tensor> =
//!     learned.net()?.tensors().map(|(param, tensor)| (param.name.clone(), tensor.clone())).collect();
//!
//! let (colour, carry) = learned.graph().with_in_channels(3)?;
//! let tensors = carry.tensors(&tensors)?;
//! let (sliding, carry) = colour.convolutionalize()?;
//! let net = sliding.load_tensors(&carry.tensors(&tensors)?, &Device::Cpu)?;
//!
//! let page = Tensor::zeros((1, 3, 28, 60), DType::F32, &Device::Cpu)?;
//! assert_eq!(net.forward(&page, Mode::Eval)?.dims(), [1, 10, 1, 9]); // ten logits, at nine places
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What else the architectures leave to choose is in their own crates' configurations.
//!
//! ```
//! use zoo::{layers::{Head, Shape}, resnet::{ResNet, Stem}};
//!
//! // For CIFAR-10: a 3x3 stem without a pool, and the features before the classifier.
//! let net = ResNet { stem: Stem::Small, input: Shape::map(3, 32, 32), head: Head::Pooled, ..ResNet::RESNET18 };
//! let graph = net.graph()?;
//! assert_eq!(graph.layer("layer4.1.add")?.output.to_string(), "512x4x4");
//! assert_eq!(graph.get(graph.main_output().node).output.to_string(), "512");
//! // The last map itself, not pooled, at an eighth of the picture instead of a thirty-second.
//! let net = ResNet { head: Head::None, output_stride: 8, ..ResNet::RESNET18 };
//! assert_eq!(net.graph()?.layer("layer4.1.add")?.output.to_string(), "512x28x28");
//! # Ok::<(), zoo::Error>(())
//! ```

mod adapt;
mod answering;
mod build;
mod builtin;
mod card;
mod convert;
mod error;
mod fitting;
mod initial;
mod loading;
mod model;
mod network;
mod options;
mod ordered;
mod prepare;
mod published;
mod registry;
mod segmenting;
mod source;
mod steps;
mod stream;
mod three_convs;

pub use candle_core::{self as candle, Device, Tensor};
pub use convert::{Conversion, Converted};
pub use error::{Error, Result};
pub use model::{Model, model};
pub use network::{Answer, Guess, Network, check_numbers, softmax};
pub use options::Options;
pub use ordered::{Next, Ordered};
pub use prepare::Prepare;
pub use published::{KnownWeights, Published};
pub use registry::{ARCHITECTURES, Accuracy, Architecture, Family, Metric};
pub use segmenting::{SEGMENT_MEMORY, Segmentation};
pub use stream::Stream;
pub use three_convs::three_convs;
pub use zoo_data::{self as data, Picture};
pub use zoo_engine as engine;
pub use zoo_layers as layers;
pub use zoo_weights::{self as weights, Dtype, Event, FetchError, LoadReport, ManifestError};
pub use {
    zoo_alexnet as alexnet, zoo_fcn as fcn, zoo_googlenet as googlenet, zoo_inception as inception,
    zoo_lenet as lenet, zoo_mobilenet as mobilenet, zoo_resnet as resnet, zoo_senet as senet, zoo_vgg as vgg,
    zoo_xception as xception,
};

/// Short names for what is inside the program, beside the architectures' own.
const SHORT: [(&str, &str); 1] = [("digits", "fcn_digits")];

/// The architecture of that name. `digits` is short for the one that tells apart the digits in a scene, `fcn_digits`.
///
/// # Errors
/// [`Error::UnknownModel`] with the nearest names.
pub fn find(name: &str) -> Result<&'static Architecture> {
    let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    ARCHITECTURES.iter().find(|architecture| architecture.name == name).ok_or_else(|| {
        let names = ARCHITECTURES.iter().map(|architecture| architecture.name);
        Error::UnknownModel { name: name.into(), hint: zoo_layers::nearest(name, names) }
    })
}
