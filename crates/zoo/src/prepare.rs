//! From a picture to what a network takes.

use candle_core::{Device, Tensor};
use zoo_data::{Picture, Preprocess, classes, handwriting};
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
                    1000 => classes::imagenet().iter().map(ToString::to_string).collect(),
                    21 => classes::voc().iter().map(ToString::to_string).collect(),
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
