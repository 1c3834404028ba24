//! What a file of weights says about itself: enough to use it without being told anything else.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zoo_data::Preprocess;
use zoo_layers::{Graph, Shape};
use zoo_weights::TensorFile;

use crate::{Architecture, Error, Options, Result};

/// The one key of our files' metadata.
pub(crate) const KEY: &str = "zoo";

/// No network here looks at larger pictures; a file that asks for one asks for memory.
const MOST_SIDE: usize = 1 << 14;

/// Nor does one tell apart more.
const MOST_CLASSES: usize = 1 << 20;

/// No camera has more.
const MOST_CHANNELS: usize = 1 << 12;

/// The part of the metadata that is needed to answer; what else stands there is for other readers.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Card {
    /// Name of the architecture.
    pub(crate) architecture: String,
    /// Name of each class. Two names for a network with one output say that it decides between them.
    pub(crate) classes: Vec<String>,
    /// In what the network differs from the architecture.
    #[serde(default)]
    pub(crate) options: Options,
    /// What is done to a picture first.
    pub(crate) preprocessing: Preprocessing,
}

/// What is done to a picture first.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "Value", untagged)]
pub(crate) enum Preprocessing {
    /// A handwritten digit, centred as MNIST's are.
    Digit(Digit),
    /// A photograph: scaled, cropped, normalised.
    Photo(Preprocess),
    /// Nothing that is known: the network takes tensors that somebody prepared.
    Prepared(Prepared),
}

/// Input for which no preparation of pictures is known, of four channels for example.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prepared {
    /// Channels, height and width of the network's input.
    pub(crate) input: [usize; 3],
}

/// How a handwritten digit is laid out.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Digit {
    /// Channels, height and width of the network's input.
    pub(crate) input: [usize; 3],
    /// Pixels of paper around a digit.
    #[serde(default)]
    pub(crate) padding: usize,
    /// Taken off each value, of which white is 1.
    pub(crate) mean: f64,
    /// What each value is divided by then.
    pub(crate) std: f64,
}

/// Photographs have a mean for each channel, what is prepared has none. (An untagged enum would tell what is wrong with neither kind.)
impl TryFrom<Value> for Preprocessing {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, serde_json::Error> {
        match value.get("mean").map(Value::is_array) {
            Some(true) => serde_json::from_value(value).map(Self::Photo),
            Some(false) => serde_json::from_value(value).map(Self::Digit),
            None => serde_json::from_value(value).map(Self::Prepared),
        }
    }
}

impl Card {
    /// Reads the card of a file; nothing if it has none.
    pub(crate) fn read(file: &TensorFile) -> Result<Option<Self>> {
        let Some(text) = file.metadata().get(KEY) else { return Ok(None) };
        let card = serde_json::from_str(text);
        card.map(Some).map_err(|source| Error::Card { file: file.path().to_path_buf(), source })
    }

    /// The card of a file that must have one: a file that is given instead of a model's name.
    pub(crate) fn required(file: &TensorFile, path: &Path) -> Result<Self> {
        Self::read(file)?.ok_or_else(|| Error::NoCard { file: path.to_path_buf() })
    }

    /// The architecture that the file is for.
    pub(crate) fn architecture(&self, path: &Path) -> Result<&'static Architecture> {
        // The name stands in the file, so it isn't the caller who is wrong.
        crate::find(&self.architecture).map_err(|_| Error::OddCard {
            file: path.to_path_buf(),
            why: format!("the architecture `{}`, which is not known here", self.architecture),
        })
    }

    /// The network that the file is for.
    pub(crate) fn graph(&self, architecture: &Architecture, path: &Path) -> Result<Graph> {
        let odd = |why: String| Error::OddCard { file: path.to_path_buf(), why };
        let Options { num_classes, in_channels, .. } = self.options;
        if let Some(classes) = num_classes.filter(|&classes| classes > MOST_CLASSES) {
            return Err(odd(format!("{classes} classes")));
        }
        if let Some(channels) = in_channels.filter(|&channels| channels > MOST_CHANNELS) {
            return Err(odd(format!("pictures of {channels} channels")));
        }
        if let Some([height, width]) =
            self.options.input_size.filter(|sides| *sides.iter().max().unwrap_or(&0) > MOST_SIDE)
        {
            return Err(odd(format!("pictures of {height}x{width}")));
        }
        let graph = architecture.graph_for(&self.options).map_err(|error| odd(error.to_string()))?;
        self.preprocessing.check(&graph).map_err(odd)?;
        Ok(graph)
    }

    /// The card as it stands in a file.
    pub(crate) fn value(&self) -> Result<Value, serde_json::Error> {
        // By way of the text, in which an f32 has its own few digits and not those of the f64 nearby.
        serde_json::from_str(&serde_json::to_string(self)?)
    }
}

impl Preprocessing {
    /// What of it can't be meant for this network, as a clause.
    fn check(&self, graph: &Graph) -> Result<(), String> {
        let wanted = graph.input();
        match self {
            Self::Digit(Digit { input: [1, height, width], padding, mean, std }) => {
                let fits = Shape::map(1, *height, *width) == wanted && *padding <= *height;
                match fits && mean.is_finite() && std.is_finite() && *std != 0.0 {
                    true => Ok(()),
                    false => Err(format!("a digit as 1x{height}x{width}, where the network takes {wanted}")),
                }
            }
            Self::Photo(photo) => {
                let [channels, height, width] = photo.input;
                let sides = [Some(height), Some(width), photo.resize, photo.crop];
                let sane = |value: &f32| value.is_finite();
                let fits = matches!(channels, 1 | 3)
                    && wanted.channels() == channels
                    && sides.into_iter().flatten().all(|side| (1..=MOST_SIDE).contains(&side))
                    && photo.mean.iter().all(sane)
                    && photo.std.iter().all(|std| sane(std) && *std != 0.0)
                    && sane(&photo.scale)
                    && photo.scale > 0.0;
                match fits {
                    true => Ok(()),
                    false => Err(format!(
                        "a photograph of {channels}x{height}x{width} scaled to {:?} and cut to {:?}, with mean {:?} \
                         and deviation {:?}",
                        photo.resize, photo.crop, photo.mean, photo.std
                    )),
                }
            }
            Self::Prepared(Prepared { input: [channels, height, width] }) => {
                match Shape::map(*channels, *height, *width) == wanted {
                    true => Ok(()),
                    false => {
                        Err(format!("input of {channels}x{height}x{width}, where the network takes {wanted}"))
                    }
                }
            }
            Self::Digit(digit) => Err(format!("a digit as {:?}, which is not one channel", digit.input)),
        }
    }
}

/// How many classes a network tells apart: of several outputs the classifier's says it.
pub(crate) fn outputs(graph: &Graph) -> usize {
    let classifier = graph.outputs().iter().find(|output| output.name == CLASSIFIER);
    graph.get(classifier.unwrap_or(graph.main_output()).node).output.channels()
}

/// What every network's classifier, or segmenter, calls its answer.
const CLASSIFIER: &str = "logits";

/// Whether so many names can stand for so many outputs: one for each, or two between which a single output decides.
pub(crate) fn names_fit(names: usize, outputs: usize) -> bool {
    names == outputs || (names, outputs) == (2, 1)
}
