//! From a picture to what a network takes.

use candle_core::{Device, Tensor};
use zoo_data::{
    Filter, Picture, Preprocess, classes, handwriting,
    preprocess::{Order, Resize},
};
use zoo_layers::{Graph, Shape};

use crate::{Error, Result, card::Preprocessing};

/// How a network wants its pictures, and what it calls its classes.
#[derive(Clone, Debug)]
pub struct Prepare {
    how: How,
    classes: Vec<String>,
}

#[derive(Clone, Debug)]
enum How {
    /// A handwritten digit, centred as MNIST's are.
    Digit(Preprocessing),
    /// A photograph: scaled, cropped, normalised.
    Photo(Preprocess),
}

impl Prepare {
    /// What the field does for a network of these inputs and outputs where nobody says otherwise: one channel
    /// is a digit; three are a photograph, scaled to 8/7 of the input, its centre cropped, and normalised with
    /// ImageNet's mean and deviation.
    ///
    /// # Errors
    /// An input that is neither.
    pub(crate) fn usual(graph: &Graph) -> Result<Self> {
        let outputs = graph.get(graph.main_output().node).output.channels();
        let number = |count: usize| (0..count).map(|class| class.to_string()).collect();
        match graph.input() {
            Shape::Map { channels: 1, height, width } if height == width && height >= handwriting::SIDE => {
                let padding = (height - handwriting::SIDE) / 2;
                let how = Preprocessing { input: [1, height, width], padding, mean: 0.1307, std: 0.3081 };
                Ok(Self { how: How::Digit(how), classes: number(outputs) })
            }
            Shape::Map { channels: 3, height, width } if height == width => {
                let classes = match outputs {
                    1000 => owned(classes::imagenet()),
                    21 => owned(classes::voc()),
                    other => number(other),
                };
                let how = How::Photo(Preprocess::imagenet(height * 8 / 7, height));
                Ok(Self { how, classes })
            }
            input => Err(Error::NoPreparation { model: graph.name().into(), input: input.to_string() }),
        }
    }

    pub(crate) fn digit(preprocessing: Preprocessing, classes: Vec<String>) -> Self {
        Self { how: How::Digit(preprocessing), classes }
    }

    /// What the publisher of weights says.
    pub(crate) fn published(preprocess: &zoo_weights::Preprocess, classes: zoo_weights::Classes) -> Self {
        let three = |values: &[f32]| [0, 1, 2].map(|i| values.get(i).copied().unwrap_or_default());
        let photo = Preprocess {
            resize: preprocess.resize.map_or(Resize::Keep, |side| Resize::ShortSide(side as usize)),
            filter: match preprocess.interpolation {
                zoo_weights::Interpolation::Bilinear => Filter::Bilinear,
                zoo_weights::Interpolation::Bicubic => Filter::Bicubic,
            },
            crop: preprocess.crop.map(|side| (side as usize, side as usize)),
            divisor: 255.0 / preprocess.scale,
            mean: three(&preprocess.mean),
            std: three(&preprocess.std),
            order: match preprocess.channels {
                zoo_weights::Channels::Rgb => Order::Rgb,
                zoo_weights::Channels::Bgr => Order::Bgr,
            },
        };
        let classes = match classes {
            zoo_weights::Classes::Imagenet => owned(classes::imagenet()),
            zoo_weights::Classes::Voc => owned(classes::voc()),
            zoo_weights::Classes::Digits => owned(&classes::DIGITS),
        };
        Self { how: How::Photo(photo), classes }
    }

    /// The name of a class; its number if it has none.
    pub fn class(&self, index: usize) -> String {
        self.classes.get(index).cloned().unwrap_or_else(|| index.to_string())
    }

    /// One picture as a tensor (1, c, h, w); `name` is what errors call it.
    ///
    /// # Errors
    /// A picture without a digit where one is wanted.
    pub fn picture(&self, picture: &Picture, name: &str) -> Result<Tensor> {
        let (values, [channels, height, width]) = match &self.how {
            How::Digit(digit) => (digit_values(picture, name, digit)?, digit.input),
            How::Photo(photo) => {
                let input = photo.apply(picture)?;
                (input.values, [3, input.height, input.width])
            }
        };
        let tensor = Tensor::from_vec(values, (1, channels, height, width), &Device::Cpu);
        Ok(tensor.map_err(zoo_layers::Error::from)?)
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A digit of 28×28 in its frame of paper.
fn digit_values(picture: &Picture, name: &str, digit: &Preprocessing) -> Result<Vec<f32>> {
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
