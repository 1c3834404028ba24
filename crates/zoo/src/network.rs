//! A network with weights, which answers.

use std::path::{Path, PathBuf};

use candle_core::{D, DType, Device, Module, Tensor};
use serde_json::Value;
use zoo_data::Picture;
use zoo_engine::Engine;
use zoo_layers::{Graph, Mode, Net};
use zoo_weights::LoadReport;

use crate::{
    Architecture, Error, Options, Prepare, Result,
    answering::Runner,
    card::{Card, KEY, outputs},
    model::classifies,
    stream::Stream,
};

/// A network with weights, which answers.
#[derive(Debug)]
pub struct Network {
    pub(crate) architecture: &'static Architecture,
    pub(crate) options: Options,
    pub(crate) runner: Runner,
    pub(crate) prepare: Prepare,
    pub(crate) report: LoadReport,
    pub(crate) file: PathBuf,
}

/// The main output for a prepared batch, by the compiled network where it answers (see [`Network::outputs`]), and never on
/// candle's tape: a part of a model of one's own that doesn't learn. One that learns is [`Network::net`].
///
/// ```
/// use candle_core::{DType, Device, Module, Tensor};
///
/// let net = zoo::model("lenet5")?.pretrained()?;
/// let features = candle_nn::seq().add(net).add_fn(|logits| logits.relu());
/// let pictures = Tensor::zeros((2, 1, 28, 28), DType::F32, &Device::Cpu)?;
/// assert_eq!(features.forward(&pictures)?.dims(), [2, 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Module for Network {
    fn forward(&self, pictures: &Tensor) -> candle_core::Result<Tensor> {
        self.main(pictures).map_err(candle_core::Error::wrap)
    }
}

/// What a network says of a picture: the likeliest classes, the first first.
///
/// A network with one output tells no classes apart by itself. If two are named for it (the first for a low score,
/// the second for a high one), their probabilities are the sigmoid's; else there is the score and no class.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The likeliest classes.
    pub top: Vec<Guess>,
    /// What a network with one output gives, as it gives it.
    pub score: Option<f32>,
}

/// A class and how likely it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// Number of the class, from 0.
    pub index: usize,
    /// Its name.
    pub label: String,
    /// Between 0 and 1; those of all classes add up to 1.
    pub probability: f32,
}

impl Network {
    /// What it is made of.
    pub fn graph(&self) -> &Graph {
        &self.runner.graph
    }

    /// The network on candle's tensors, to train it, or for anything else that candle does. It is made when it is first
    /// asked for; from then on it also gives the answers, with its weights as they are then.
    ///
    /// # Errors
    /// A file that can't be read any more; a device without room for it.
    pub fn net(&self) -> Result<&Net> {
        self.runner.net()
    }

    /// The same, to freeze parts of it.
    ///
    /// # Errors
    /// As [`Network::net`].
    pub fn net_mut(&mut self) -> Result<&mut Net> {
        self.runner.net_mut()
    }

    /// The network compiled for fast answers on a CPU, for batches of up to `n` pictures of one size (n, c, h, w), with its
    /// weights as they are now: what [`logits`](Network::logits) and the others do by themselves, for those who have
    /// numbers at hand instead of tensors, or want one engine for many threads.
    ///
    /// ```
    /// let net = zoo::model("lenet5")?.pretrained()?;
    /// let engine = net.engine([1, 1, 28, 28])?;
    /// let picture = zoo::Picture::open("../../assets/digits/7.png")?;
    /// let values = net.prepare().picture(&picture, "a seven")?.flatten_all().unwrap().to_vec1().unwrap();
    /// let logits = engine.run(&values)?.remove(0);
    /// assert!(logits.iter().all(|logit| *logit <= logits[7]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A size that the network can't take; more memory than there is.
    pub fn engine(&self, input: [usize; 4]) -> Result<Engine> {
        self.engine_with(input, zoo_engine::Options::default())
    }

    /// The same, compiled as it is asked for: with the smallest rounding errors, for example.
    ///
    /// # Errors
    /// As [`Network::engine`].
    pub fn engine_with(&self, input: [usize; 4], options: zoo_engine::Options) -> Result<Engine> {
        self.runner.engine(input, options)
    }

    /// All outputs for a prepared batch (n, c, h, w), in the order of the graph's: of what was asked for by
    /// [`Model::at`](crate::Model::at), each node's.
    ///
    /// # Errors
    /// A batch that does not fit the network; answers that are no numbers.
    pub fn outputs(&self, pictures: &Tensor) -> Result<Vec<Tensor>> {
        let outputs = self.runner.outputs(pictures)?;
        for output in &outputs {
            check_numbers(output, self.graph().name(), "answers")?;
        }
        Ok(outputs)
    }

    /// Which architecture it is.
    pub fn architecture(&self) -> &'static Architecture {
        self.architecture
    }

    /// In what it differs from its architecture.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What was loaded, and what drawn, by name.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The file its weights are from; of weights inside the program, the model's name.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.runner.device
    }

    /// How it wants its pictures.
    pub fn prepare(&self) -> &Prepare {
        &self.prepare
    }

    /// What a file with these weights says of itself, under the key [`KEY`](Self::KEY): architecture, options, classes
    /// and preprocessing.
    ///
    /// # Errors
    /// None that are known.
    pub fn card(&self) -> Result<Value> {
        let (preprocessing, mut classes) = self.prepare.parts();
        let mut options = self.options.clone();
        match options.no_head || !options.at.is_empty() {
            true => classes.clear(),
            false => options.num_classes = Some(outputs(self.graph())),
        }
        let architecture = self.architecture.name.into();
        let card = Card { architecture, classes, options, preprocessing };
        card.value().map_err(|source| Error::Card { file: self.file.clone(), source })
    }

    /// The same with pictures prepared as another card of it says, under `preprocessing`: of a run that is gone on with, for
    /// example, whatever its weights were loaded from.
    ///
    /// # Errors
    /// [`Error::Card`] for what is no preparation.
    pub fn prepared_as(mut self, preprocessing: &Value) -> Result<Self> {
        let how = serde_json::from_value(preprocessing.clone());
        let how = how.map_err(|source| Error::Card { file: self.file.clone(), source })?;
        self.prepare = self.prepare.with_how(how);
        Ok(self)
    }

    /// The key of a file's metadata under which its [`card`](Self::card) stands.
    pub const KEY: &'static str = KEY;

    /// Writes a `.safetensors` file that is a model of its own: [`crate::model`] takes its path.
    ///
    /// # Errors
    /// A place that can't be written to; another ending.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.extension().is_none_or(|ending| ending != "safetensors") {
            return Err(Error::Ending { file: path.to_path_buf() });
        }
        let mut parts = Vec::new();
        for (param, tensor) in self.net()?.tensors() {
            let values =
                tensor.flatten_all().and_then(|tensor| tensor.to_dtype(DType::F32)?.to_vec1::<f32>());
            parts.push((param, values.map_err(zoo_layers::Error::from)?));
        }
        let tensors: Vec<_> = parts
            .iter()
            .map(|(param, values)| (&param.name, zoo_weights::Tensor::from_f32(&param.shape, values)))
            .collect();
        Ok(zoo_weights::save(path, &tensors, Some((KEY, &self.card()?)))?)
    }

    /// The same, if it is for digits or other grey pictures, with another mean and deviation of their pixels, of which paper is 0
    /// and ink is 1.
    #[must_use]
    pub fn with_digits(mut self, mean: f64, std: f64) -> Self {
        self.prepare = self.prepare.with_digits(mean, std);
        self
    }

    /// The five likeliest classes of one picture.
    ///
    /// ```
    /// let net = zoo::model("lenet5")?.pretrained()?;
    /// let image = zoo::Picture::open("../../assets/digits/7.png")?;
    /// let answer = net.classify(&image)?;
    /// assert_eq!(answer.top[0].label, "7");
    /// # Ok::<(), zoo::Error>(())
    /// ```
    ///
    /// # Errors
    /// A picture without a digit where one is wanted; [`Error::NotAClassifier`] of a network that answers for every
    /// pixel.
    pub fn classify(&self, picture: &Picture) -> Result<Answer> {
        classifies(self.graph(), &self.options)?;
        let picture = self.prepare.picture(picture, "the picture")?;
        let mut answers = self.answers(&picture, 5)?;
        Ok(answers.remove(0))
    }

    /// The `top` likeliest classes of each picture of a prepared batch (n, c, h, w).
    ///
    /// # Errors
    /// A batch that does not fit the network; [`Error::NotAClassifier`] of a network that answers for every pixel.
    pub fn answers(&self, pictures: &Tensor, top: usize) -> Result<Vec<Answer>> {
        let logits = self.logits(pictures)?;
        let single = logits.dims().last() == Some(&1);
        // The softmax of a single number is 1, whatever the number.
        let values = if single { Ok(logits) } else { candle_nn::ops::softmax(&logits, D::Minus1) };
        let values = values.and_then(|values| values.to_vec2::<f32>()).map_err(zoo_layers::Error::from)?;
        let answer = |row: Vec<f32>| match row.as_slice() {
            [score] if single => Answer { top: self.ranked(&self.sides(*score), top), score: Some(*score) },
            probabilities => Answer { top: self.ranked(probabilities, top), score: None },
        };
        Ok(values.into_iter().map(answer).collect())
    }

    /// What it gives for each picture of a prepared batch, one number for each class, before any softmax.
    ///
    /// # Errors
    /// As [`Network::answers`].
    pub fn logits(&self, pictures: &Tensor) -> Result<Tensor> {
        classifies(self.graph(), &self.options)?;
        let logits = self.main(pictures)?;
        match logits.rank() {
            // Dense layers as convolutions: one vector for each place.
            4 => Ok(logits
                .flatten_from(2)
                .and_then(|places| places.mean(2))
                .map_err(zoo_layers::Error::from)?),
            _ => Ok(logits),
        }
    }

    /// The main output for a prepared batch, whatever its shape.
    ///
    /// # Errors
    /// As [`Network::outputs`].
    pub fn main(&self, pictures: &Tensor) -> Result<Tensor> {
        let main = self.graph().main_output().node;
        let place = self.graph().outputs_in(Mode::Eval).position(|output| output.node == main).unwrap_or(0);
        Ok(self.outputs(pictures)?.swap_remove(place))
    }

    /// The likeliest classes of many pictures, in order, while later ones are being read on other threads: `read` makes a
    /// prepared picture (1, c, h, w) of an input, and where it can't, its error takes the answer's place. However many
    /// inputs there are, few are in memory, and none waits for company while nothing else is ready.
    ///
    /// ```
    /// use zoo::{Picture, Prepare};
    ///
    /// let net = zoo::model("lenet5")?.pretrained()?;
    /// let digits = (0..10).map(|digit| format!("../../assets/digits/{digit}.png"));
    /// let read = |path: &String, prepare: &Prepare| prepare.picture(&Picture::open(path)?, path);
    /// for next in net.stream(digits, read).top(1) {
    ///     let (path, answer) = next?;
    ///     assert!(path.contains(&format!("/{}.png", answer?.top[0].label)));
    /// }
    /// # Ok::<(), zoo::Error>(())
    /// ```
    pub fn stream<T, E, I, F>(&self, inputs: I, read: F) -> Stream<'_, T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
        I: Iterator<Item = T> + Send + 'static,
        F: Fn(&T, &Prepare) -> Result<Tensor, E> + Send + Sync + 'static,
    {
        Stream::new(self, inputs, read)
    }

    /// The probabilities of the two classes between which a single output decides; none if it isn't known to.
    fn sides(&self, score: f32) -> Vec<f32> {
        let sigmoid = |score: f32| 1.0 / (1.0 + (-score).exp());
        if self.prepare.is_binary() { vec![sigmoid(-score), sigmoid(score)] } else { Vec::new() }
    }

    /// The likeliest classes with their names. Of equal ones the first class comes first.
    fn ranked(&self, probabilities: &[f32], top: usize) -> Vec<Guess> {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let guess =
            |index| Guess { index, label: self.prepare.class(index), probability: probabilities[index] };
        order.into_iter().take(top).map(guess).collect()
    }
}

/// Probabilities of logits `(n, classes)`.
///
/// # Errors
/// candle's.
pub fn softmax(logits: &Tensor) -> Result<Tensor> {
    Ok(candle_nn::ops::softmax(logits, D::Minus1).map_err(zoo_layers::Error::from)?)
}

/// That a network's answers are numbers.
///
/// # Errors
/// [`Error::NoNumbers`] for those that are not, and for infinite ones.
pub fn check_numbers(answers: &Tensor, model: &str, what: &str) -> Result<()> {
    // A value that is no number makes the sum none, and so do infinite ones times zero.
    let sum = (answers * 0.0).and_then(|zeros| zeros.sum_all()).and_then(|sum| sum.to_dtype(DType::F32));
    match sum.and_then(|sum| sum.to_scalar::<f32>()).map_err(zoo_layers::Error::from)? == 0.0 {
        true => Ok(()),
        false => Err(Error::NoNumbers { model: model.into(), what: what.into() }),
    }
}
