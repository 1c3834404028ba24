//! From a picture to what a network takes.

use candle_core::{Device, Tensor};
use zoo_data::{
    Picture, Preprocess, classes, handwriting,
    preprocess::{self, Order},
};
use zoo_layers::{Graph, Shape};
use zoo_weights::{Classes, Weights};

use crate::{
    Error, Options, Result,
    card::{Card, Digit, Prepared, Preprocessing, names_fit, outputs},
    steps::{digit_steps, digit_values, is_digit, resized, whole},
};

/// The side of pictures that are taken whole.
const SMALL: usize = 64;

/// The mean of ImageNet's pictures, blue first, as pytorch-fcn takes it away (torchfcn/datasets/voc.py, `mean_bgr`).
const CAFFE_MEAN: [f32; 3] = [104.006_99, 116.668_77, 122.678_91];

/// What is in a scene of digits.
const SCENE: &[&str] = &["background", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

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
                if height == width
                    && (handwriting::SIDE..=SMALL).contains(&height)
                    && !is_map_of(graph, [height, width]) =>
            {
                let padding = (height - handwriting::SIDE) / 2;
                let input = [1, height, width];
                Preprocessing::Digit(Digit { input, padding, mean: 0.1307, std: 0.3081 })
            }
            // A class for each pixel: of the whole picture, in its own size.
            Shape::Map { channels: channels @ (1 | 3), height, width }
                if is_map_of(graph, [height, width]) =>
            {
                let side = height.max(width);
                let photo = Preprocess::imagenet(side, side).unscaled();
                Preprocessing::Photo(resized(photo, [channels, height, width]))
            }
            Shape::Map { channels: channels @ (1 | 3), height, width } => {
                let side = height.max(width);
                let nominal = Preprocess::imagenet(if side <= SMALL { 224 } else { 256 }, 224);
                Preprocessing::Photo(resized(nominal, [channels, height, width]))
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
            zoo_fcn::DIGIT_CLASSES if graph.name().starts_with("fcn") => SCENE,
            _ => &[],
        };
        Ok(Self { how, classes: names_for(graph, names) })
    }

    /// What a file says of itself.
    pub(crate) fn card(card: Card) -> Self {
        Self { how: card.preprocessing, classes: card.classes }
    }

    /// The same names with another preparation.
    pub(crate) fn with_how(self, how: Preprocessing) -> Self {
        Self { how, ..self }
    }

    /// What the publisher of weights says. Digits are laid out as all digits are.
    ///
    /// # Errors
    /// As [`Prepare::usual`].
    pub(crate) fn published(weights: &Weights, graph: &Graph) -> Result<Self> {
        let names: &[&str] = match weights.classes {
            Classes::Imagenet => classes::imagenet(),
            Classes::Voc => classes::voc(),
            Classes::Digits | Classes::Scene => return Self::usual(graph),
        };
        if graph.input().channels() != weights.preprocess.input[0] {
            return Self::usual(graph);
        }
        let how = Preprocessing::Photo(weights.preprocess);
        Ok(Self { how, classes: names_for(graph, names) })
    }

    /// The same with numbers for names where there aren't as many as the network has classes.
    pub(crate) fn named_for(mut self, graph: &Graph) -> Self {
        if !names_fit(self.classes.len(), outputs(graph)) {
            self.classes = names_for(graph, &[]);
        }
        self
    }

    /// The same for the network that was made of `theirs`: for other channels, another size, other classes.
    pub(crate) fn fitted(self, theirs: &Options, ours: &Options, graph: &Graph) -> Result<Self> {
        let Shape::Map { channels, height, width } = graph.input() else { return Ok(self) };
        let is_same = theirs.in_channels == ours.in_channels && theirs.small_stem == ours.small_stem;
        let how = match self.how {
            how if is_same && theirs.input_size == ours.input_size => how,
            Preprocessing::Photo(photo) if matches!(channels, 1 | 3) => {
                Preprocessing::Photo(resized(photo, [channels, height, width]))
            }
            Preprocessing::Digit(Digit { mean, std, .. }) => match Self::usual(graph)?.how {
                Preprocessing::Digit(digit) => Preprocessing::Digit(Digit { mean, std, ..digit }),
                other => other,
            },
            _ => Self::usual(graph)?.how,
        };
        Ok(Self { how, ..self }.named_for(graph))
    }

    /// How pictures of a data set become a network's inputs, to be learned from: as for an answer. What a data set holds as
    /// numbers, as MNIST does, is taken for a digit as it is.
    ///
    /// # Errors
    /// [`Error::NoPreparation`] for an input that is no picture, or has no size.
    pub fn pipeline(&self) -> Result<zoo_data::Pipeline> {
        let [channels, height, width] = self.input();
        let prepare = match &self.how {
            Preprocessing::Digit(digit) => digit_steps(digit),
            // A network for whole pictures learns from pieces of its nominal size.
            Preprocessing::Photo(photo) => {
                Preprocess { crop: photo.crop.or(Some(height.max(width))), ..*photo }
            }
            Preprocessing::Prepared(_) => {
                let input = format!("{channels}x{height}x{width}");
                return Err(Error::NoPreparation { model: "the network".into(), input });
            }
        };
        let handwriting = matches!(self.how, Preprocessing::Digit(_));
        Ok(zoo_data::Pipeline { handwriting, ..zoo_data::Pipeline::plain(prepare) })
    }

    /// The same with pixels as another preparation makes them, of pictures laid out as here; and whether that is another one.
    pub(crate) fn with_pixels_of(mut self, other: &Preprocessing) -> (Self, bool) {
        if let (Preprocessing::Digit(ours), Preprocessing::Digit(theirs)) = (&mut self.how, other) {
            let is_other = (ours.mean, ours.std) != (theirs.mean, theirs.std);
            (ours.mean, ours.std) = (theirs.mean, theirs.std);
            return (self, is_other);
        }
        let (Preprocessing::Photo(ours), Preprocessing::Photo(theirs)) = (&mut self.how, other) else {
            return (self, false);
        };
        let as_theirs = Preprocess { input: ours.input, resize: ours.resize, crop: ours.crop, ..*theirs };
        let is_other = ours.input[0] == theirs.input[0] && *ours != as_theirs;
        if is_other {
            *ours = as_theirs;
        }
        (self, is_other)
    }

    /// The same with pixels as Caffe's networks take them, and so pytorch-fcn's: BGR, of 0 to 255, less ImageNet's mean.
    pub(crate) fn like_caffes(mut self) -> Self {
        if let Preprocessing::Photo(photo) = &mut self.how
            && photo.input[0] == 3
        {
            *photo =
                Preprocess { scale: 255.0, mean: CAFFE_MEAN, std: [1.0; 3], channels: Order::Bgr, ..*photo };
        }
        self
    }

    /// The same, if it is for digits or other grey pictures, with another mean and deviation of their pixels, of which paper is 0
    /// and ink is 1.
    pub(crate) fn with_digits(self, mean: f64, std: f64) -> Self {
        let how = match self.how {
            Preprocessing::Digit(digit) => Preprocessing::Digit(Digit { mean, std, ..digit }),
            // As wide a range, of something else.
            Preprocessing::Photo(photo) if photo.input[0] == 1 => {
                Preprocessing::Photo(Preprocess { mean: [mean as f32; 3], std: [std as f32; 3], ..photo })
            }
            how => how,
        };
        Self { how, ..self }
    }

    /// The same for a network that itself does so much to values of 0 to 255, a factor and what is added then, and what is
    /// to be said of it if that is something else.
    pub(crate) fn rescaled(mut self, rescaling: &str) -> (Self, Option<String>) {
        let Preprocessing::Photo(photo) = &mut self.how else { return (self, None) };
        let mut numbers = rescaling.split(' ').map(|number| number.parse::<f64>().ok());
        let (Some(Some(factor)), Some(Some(offset))) = (numbers.next(), numbers.next()) else {
            return (self, None);
        };
        let (mean, std) = ((-offset / (255.0 * factor)) as f32, (1.0 / (255.0 * factor)) as f32);
        if !mean.is_finite() || !std.is_normal() {
            return (self, None);
        }
        let own = Preprocess { scale: 1.0, mean: [mean; 3], std: [std; 3], channels: Order::Rgb, ..*photo };
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        let same = photo.scale == own.scale
            && photo.channels == own.channels
            && close(&photo.mean, &own.mean)
            && close(&photo.std, &own.std);
        if same {
            return (self, None);
        }
        *photo = own;
        let said = format!(
            "has a layer of its own that scales pictures (values of 0 to 255, times {factor}, plus {offset}), and they \
             are prepared so"
        );
        (self, Some(said))
    }

    /// The same with other names of the classes. Where they are no digits', none is looked for in a picture.
    pub(crate) fn with_names(self, classes: Vec<String>) -> Self {
        let how = match self.how {
            Preprocessing::Digit(digit) if !classes.iter().all(|name| is_digit(name)) => {
                Preprocessing::Photo(whole(&digit))
            }
            how => how,
        };
        Self { how, classes }
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Channels, height and width of what it gives; of a photograph that isn't cropped, the nominal ones.
    pub fn input(&self) -> [usize; 3] {
        match &self.how {
            Preprocessing::Digit(digit) => digit.input,
            Preprocessing::Photo(photo) => photo.input,
            Preprocessing::Prepared(prepared) => prepared.input,
        }
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
            *photo = Preprocess { input: [channels, height, width], ..photo.unscaled() };
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

    /// One picture as a tensor (1, c, h, w), in its own size: normalised, neither scaled nor cropped.
    ///
    /// # Errors
    /// [`Error::NoPreparation`] of a network that takes no pictures.
    pub fn whole(&self, picture: &Picture) -> Result<Tensor> {
        let how = match &self.how {
            Preprocessing::Photo(photo) => photo.unscaled(),
            Preprocessing::Digit(digit) => digit_steps(digit).unscaled(),
            Preprocessing::Prepared(Prepared { input: [channels, height, width] }) => {
                let input = format!("{channels}x{height}x{width}");
                return Err(Error::NoPreparation { model: "the network".into(), input });
            }
        };
        let input = preprocess::apply(&how, picture)?;
        let shape = (1, how.input[0], input.height, input.width);
        Ok(Tensor::from_vec(input.values, shape, &Device::Cpu).map_err(zoo_layers::Error::from)?)
    }

    /// One picture as a tensor (1, c, h, w); `name` is what errors call it.
    ///
    /// # Errors
    /// A picture without a digit where one is wanted.
    pub fn picture(&self, picture: &Picture, name: &str) -> Result<Tensor> {
        let (values, [channels, height, width]) = match &self.how {
            Preprocessing::Digit(digit) => (digit_values(picture, name, digit)?, digit.input),
            Preprocessing::Photo(photo) => {
                let input = preprocess::apply(photo, picture)?;
                (input.values, [photo.input[0], input.height, input.width])
            }
            Preprocessing::Prepared(Prepared { input: [channels, height, width] }) => {
                let input = format!("{channels}x{height}x{width}");
                return Err(Error::NoPreparation { model: "the network".into(), input });
            }
        };
        let tensor = Tensor::from_vec(values, (1, channels, height, width), &Device::Cpu);
        Ok(tensor.map_err(zoo_layers::Error::from)?)
    }

    /// What the network sees of a picture, before its pixels become numbers: scaled and cut, a digit in its frame.
    ///
    /// # Errors
    /// As [`picture`](Self::picture).
    pub fn seen(&self, picture: &Picture, name: &str) -> Result<Picture> {
        Ok(match &self.how {
            Preprocessing::Digit(digit) => {
                // Paper is 0 and ink is 1, as a picture of black and white has them too.
                let values = digit_values(picture, name, &Digit { mean: 0.0, std: 1.0, ..digit.clone() })?;
                let [_, height, width] = digit.input;
                let pixels = values.iter().map(|value| (value * 255.0).round() as u8).collect();
                Picture::new(width, height, zoo_data::Channels::Grey, pixels)?
            }
            Preprocessing::Photo(photo) => preprocess::picture(photo, picture)?,
            Preprocessing::Prepared(Prepared { input: [channels, height, width] }) => {
                let input = format!("{channels}x{height}x{width}");
                return Err(Error::NoPreparation { model: "the network".into(), input });
            }
        })
    }
}

/// Whether a network's answer is a map of this height and width.
fn is_map_of(graph: &Graph, size: [usize; 2]) -> bool {
    let output = graph.get(graph.main_output().node).output;
    matches!(output, Shape::Map { .. }) && output.size() == size
}

/// The published names if they are as many as the classes, else their numbers.
fn names_for(graph: &Graph, names: &[&str]) -> Vec<String> {
    let count = outputs(graph);
    match names.len() == count {
        true => names.iter().map(ToString::to_string).collect(),
        false => (0..count).map(|class| class.to_string()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Prepare, Preprocessing};

    #[test]
    fn a_networks_own_scaling_is_what_its_pictures_get() {
        let graph = crate::model("mobilenet_v2_keras").unwrap().graph().unwrap();
        let published = zoo_weights::Manifest::published().unwrap();
        let published =
            Prepare::published(published.of("mobilenet_v2_keras").next().unwrap(), &graph).unwrap();
        let told = |prepare: &Prepare| {
            let Preprocessing::Photo(photo) = &prepare.how else { panic!("it takes photographs") };
            (photo.scale, photo.mean[2], photo.std[0])
        };
        // What the publisher does too is nothing to speak of: 1/127.5 and -1.
        let (same, said) = published.clone().rescaled("0.00784313725490196 -1");
        assert_eq!((told(&same), said), (told(&published), None));
        let (own, said) = published.clone().rescaled("0.00392156862745098 0");
        assert!(said.is_some_and(|said| said.contains("times 0.0039")));
        let (_, mean, std) = told(&own);
        assert!(mean == 0.0 && (std - 1.0).abs() < 1e-6, "{mean} {std}");
        for odd in ["0 1", "NaN 0", "1", "a b", "1 inf"] {
            assert_eq!(told(&published.clone().rescaled(odd).0), told(&published), "{odd}");
        }
    }
}
