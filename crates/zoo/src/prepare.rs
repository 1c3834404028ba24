//! From a picture to what a network takes.

use candle_core::{Device, Tensor};
use zoo_data::{
    Filter, Picture, Preprocess, classes, handwriting,
    preprocess::{IMAGENET_MEAN, IMAGENET_STD, Order, Resize},
};
use zoo_layers::{Graph, Shape};
use zoo_weights::{Channels, Classes, Interpolation, Weights};

use crate::{
    Error, Result,
    card::{Card, Digit, Prepared, Preprocessing, names_fit, outputs},
};

/// The side of pictures that are taken whole.
const SMALL: usize = 64;

/// How a network wants its pictures, and what it calls its classes.
#[derive(Clone, Debug)]
pub struct Prepare {
    how: Preprocessing,
    classes: Vec<String>,
}

impl Prepare {
    /// What the field does for a network of these inputs and outputs where nobody says otherwise: one channel
    /// is a digit if the picture is as small as one; three are a photograph, scaled to 8/7 of the input, its centre
    /// cropped, and normalised with ImageNet's mean and deviation. Small pictures are taken whole: CIFAR's have the
    /// input's size. Of others no preparation is known.
    ///
    /// # Errors
    /// An input that is no picture.
    pub(crate) fn usual(graph: &Graph) -> Result<Self> {
        let how = match graph.input() {
            Shape::Map { channels: 1, height, width }
                if height == width && (handwriting::SIDE..=SMALL).contains(&height) =>
            {
                let padding = (height - handwriting::SIDE) / 2;
                let input = [1, height, width];
                Preprocessing::Digit(Digit { input, padding, mean: 0.1307, std: 0.3081 })
            }
            Shape::Map { channels: 3, height, width } if height == width => {
                let side = |side: usize| u32::try_from(side).ok();
                Preprocessing::Photo(zoo_weights::Preprocess {
                    input: [3, height, width],
                    resize: side(if height <= SMALL { height } else { height * 8 / 7 }),
                    crop: side(height),
                    interpolation: Interpolation::Bilinear,
                    scale: 1.0,
                    mean: IMAGENET_MEAN.to_vec(),
                    std: IMAGENET_STD.to_vec(),
                    channels: Channels::Rgb,
                })
            }
            Shape::Map { channels, height, width } => {
                Preprocessing::Prepared(Prepared { input: [channels, height, width] })
            }
            input => {
                return Err(Error::NoPreparation { model: graph.name().into(), input: input.to_string() });
            }
        };
        let names: &[&str] = match outputs(graph) {
            1000 => classes::imagenet(),
            21 => classes::voc(),
            _ => &[],
        };
        Ok(Self { how, classes: names_for(graph, names) })
    }

    /// What a file says of itself.
    pub(crate) fn card(card: Card) -> Self {
        Self { how: card.preprocessing, classes: card.classes }
    }

    /// What the publisher of weights says. Digits are laid out as all digits are.
    ///
    /// # Errors
    /// As [`Prepare::usual`].
    pub(crate) fn published(weights: &Weights, graph: &Graph) -> Result<Self> {
        let names: &[&str] = match weights.classes {
            Classes::Imagenet => classes::imagenet(),
            Classes::Voc => classes::voc(),
            Classes::Digits => return Self::usual(graph),
        };
        if graph.input().channels() != weights.preprocess.input[0] {
            return Self::usual(graph);
        }
        let how = Preprocessing::Photo(weights.preprocess.clone());
        Ok(Self { how, classes: names_for(graph, names) })
    }

    /// The same with numbers for names where there aren't as many as the network has classes.
    pub(crate) fn named_for(mut self, graph: &Graph) -> Self {
        if !names_fit(self.classes.len(), outputs(graph)) {
            self.classes = names_for(graph, &[]);
        }
        self
    }

    /// The same for a network with one output that decides between two classes, named by their numbers.
    pub(crate) fn binary(mut self) -> Self {
        self.classes = vec!["0".into(), "1".into()];
        self
    }

    /// What a file with these weights will say of itself.
    pub(crate) fn parts(&self) -> (Preprocessing, Vec<String>) {
        (self.how.clone(), self.classes.clone())
    }

    /// The name of each class.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What is done to a picture, as a file's card has it. For pictures of another size than the network's own they are
    /// neither scaled nor cropped.
    ///
    /// # Errors
    /// None is known.
    pub fn to_json(&self, input: Shape) -> serde_json::Result<serde_json::Value> {
        let mut how = self.how.clone();
        if let (Preprocessing::Photo(photo), Shape::Map { channels, height, width }) = (&mut how, input)
            && photo.input != [channels, height, width]
        {
            *photo = zoo_weights::Preprocess {
                input: [channels, height, width],
                resize: None,
                crop: None,
                ..photo.clone()
            };
        }
        // By way of the text, in which an f32 has its own few digits.
        serde_json::from_str(&serde_json::to_string(&how)?)
    }

    /// The name of a class; its number if it has none.
    pub fn class(&self, index: usize) -> String {
        self.classes.get(index).cloned().unwrap_or_else(|| index.to_string())
    }

    /// Whether it names the two classes between which a network with one output decides.
    pub(crate) fn is_binary(&self) -> bool {
        self.classes.len() == 2
    }

    /// One picture as a tensor (1, c, h, w); `name` is what errors call it.
    ///
    /// # Errors
    /// A picture without a digit where one is wanted.
    pub fn picture(&self, picture: &Picture, name: &str) -> Result<Tensor> {
        let (values, [channels, height, width]) = match &self.how {
            Preprocessing::Digit(digit) => (digit_values(picture, name, digit)?, digit.input),
            Preprocessing::Photo(photo) => {
                let input = steps(photo).apply(picture)?;
                (input.values, [3, input.height, input.width])
            }
            Preprocessing::Prepared(Prepared { input: [channels, height, width] }) => {
                let input = format!("{channels}x{height}x{width}");
                return Err(Error::NoPreparation { model: "the network".into(), input });
            }
        };
        let tensor = Tensor::from_vec(values, (1, channels, height, width), &Device::Cpu);
        Ok(tensor.map_err(zoo_layers::Error::from)?)
    }
}

/// The published names if they are as many as the classes, else their numbers.
fn names_for(graph: &Graph, names: &[&str]) -> Vec<String> {
    let count = outputs(graph);
    match names.len() == count {
        true => names.iter().map(ToString::to_string).collect(),
        false => (0..count).map(|class| class.to_string()).collect(),
    }
}

/// The steps from a decoded photograph to numbers.
fn steps(photo: &zoo_weights::Preprocess) -> Preprocess {
    let three = |values: &[f32]| [0, 1, 2].map(|i| values.get(i).copied().unwrap_or_default());
    Preprocess {
        resize: photo.resize.map_or(Resize::Keep, |side| Resize::ShortSide(side as usize)),
        filter: match photo.interpolation {
            Interpolation::Bilinear => Filter::Bilinear,
            Interpolation::Bicubic => Filter::Bicubic,
        },
        crop: photo.crop.map(|side| (side as usize, side as usize)),
        divisor: 255.0 / photo.scale,
        mean: three(&photo.mean),
        std: three(&photo.std),
        order: match photo.channels {
            Channels::Rgb => Order::Rgb,
            Channels::Bgr => Order::Bgr,
        },
    }
}

/// A digit of 28×28 in its frame of paper.
fn digit_values(picture: &Picture, name: &str, digit: &Digit) -> Result<Vec<f32>> {
    let pixels = handwriting::prepare(picture, name)?;
    let [_, height, width] = digit.input;
    let side = handwriting::SIDE;
    let level = |value: u8| ((f64::from(value) / 255.0 - digit.mean) / digit.std) as f32;
    let mut values = vec![level(0); height * width];
    for (y, row) in pixels.chunks_exact(side).enumerate() {
        for (x, value) in row.iter().enumerate() {
            let place = (y + digit.padding) * width + x + digit.padding;
            if let Some(target) = values.get_mut(place) {
                *target = level(*value);
            }
        }
    }
    Ok(values)
}
