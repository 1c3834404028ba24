//! From a name to a network that answers.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{D, DType, Device, Tensor, Var};
use zoo_data::Picture;
use zoo_layers::{Graph, Net, Shape};
use zoo_weights::{LoadReport, TensorFile};

use crate::{
    Architecture, Error, Options, Prepare, Published, Result, builtin,
    card::Card,
    fitting::fit,
    loading::{self, Anew},
};

/// An architecture chosen, and where its weights shall come from: still without any.
#[derive(Debug)]
pub struct Model {
    architecture: &'static Architecture,
    graph: Graph,
    options: Options,
    /// The file it was named by, if it was.
    file: Option<PathBuf>,
    /// Which of several networks in a file is meant.
    key: Option<String>,
    device: Device,
}

/// The model called `name`: an architecture's name, or the path of a `.safetensors` file whose metadata names
/// its architecture.
///
/// # Errors
/// A name that no architecture has; a file that can't be read or says nothing of itself.
pub fn model(name: &str) -> Result<Model> {
    let path = Path::new(name);
    if !name.ends_with(".safetensors") {
        let architecture = crate::find(name).map_err(|error| match path.is_file() {
            true => Error::NotAModel { name: name.into() },
            false => error,
        })?;
        let (graph, options) = (architecture.graph()?, Options::default());
        return Ok(Model { architecture, graph, options, file: None, key: None, device: Device::Cpu });
    }
    let card = Card::required(&TensorFile::open(path)?, path)?;
    let architecture = card.architecture(path)?;
    let graph = card.graph(architecture, path)?;
    let file = Some(path.to_path_buf());
    Ok(Model { architecture, graph, options: card.options, file, key: None, device: Device::Cpu })
}

impl Model {
    /// Which architecture it is.
    pub fn architecture(&self) -> &'static Architecture {
        self.architecture
    }

    /// What it is made of.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The same, to run on another device than the CPU.
    pub fn on(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The same with other options than the architecture's own, where a file of weights can't tell them.
    ///
    /// # Errors
    /// An option that the network does not have.
    pub fn with_options(mut self, options: Options) -> Result<Self> {
        self.graph = self.architecture.graph_for(&options)?;
        self.options = options;
        Ok(self)
    }

    /// The same, where a file of weights holds several networks, or one in several states: the one under this key.
    pub fn under(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// In what it differs from its architecture.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The same, but only the part that the named nodes, scopes or outputs need; they become the outputs.
    /// Its files may hold weights of what lies beyond.
    ///
    /// # Errors
    /// A name that the network has not.
    pub fn cut<S: AsRef<str>>(&self, names: &[S]) -> Result<Cut<'_>> {
        let graph = self.graph.cut(names)?;
        let names = Some(names.iter().map(|name| name.as_ref().to_string()).collect());
        Ok(Cut { model: self, graph, names, anew: Anew::default() })
    }

    /// The same, but the parameters of these layers or scopes are drawn from `seed`, whatever a file has: a new
    /// head on a network that has learned.
    ///
    /// ```
    /// let model = zoo::model("lenet5")?;
    /// let net = model.anew(&["fc3"], 42)?.pretrained()?;
    /// assert_eq!(net.report().newly_initialised, ["fc3.weight", "fc3.bias"]);
    /// # Ok::<(), zoo::Error>(())
    /// ```
    ///
    /// # Errors
    /// A name that no parameters have.
    pub fn anew<S: AsRef<str>>(&self, layers: &[S], seed: u64) -> Result<Cut<'_>> {
        Ok(Cut { anew: Anew::new(&self.graph, layers, seed)?, ..self.whole() })
    }

    /// That the network says what is in a picture, as opposed to what is at each place of it.
    ///
    /// # Errors
    /// [`Error::NotAClassifier`].
    pub fn check_classifies(&self) -> Result<()> {
        if self.options.no_head {
            return Err(Error::Headless { model: self.architecture.name.into() });
        }
        match self.graph.get(self.graph.main_output().node).output {
            Shape::Vector { .. } => Ok(()),
            output @ Shape::Map { .. } => Err(Error::NotAClassifier {
                model: self.architecture.name.into(),
                output: output.to_string(),
                input: self.graph.input().to_string(),
            }),
        }
    }

    /// With weights that are here: the file it was named by, those inside the program, or fetched ones.
    ///
    /// # Errors
    /// [`Error::NotHere`] and [`Error::NoWeights`] if there are none; a file that does not fit.
    pub fn pretrained(&self) -> Result<Network> {
        self.whole().pretrained()
    }

    /// The same with the weights of a tag, which must be here.
    ///
    /// # Errors
    /// An unknown tag, or one of another architecture; else as [`Model::pretrained`].
    pub fn tagged(&self, tag: &str) -> Result<Network> {
        self.whole().tagged(tag)
    }

    /// Whether [`Model::pretrained`] needs nothing but what is here.
    pub fn is_complete(&self) -> bool {
        self.file.is_some() || builtin::weights(self.architecture.name).is_some()
    }

    /// With the weights of a file, which must be exactly this network's.
    ///
    /// # Errors
    /// A file that can't be read or does not fit, by the names of its tensors.
    pub fn weights(&self, path: &Path) -> Result<Network> {
        self.whole().weights(path)
    }

    fn whole(&self) -> Cut<'_> {
        Cut { model: self, graph: self.graph.clone(), names: None, anew: Anew::default() }
    }
}

/// A part of a model, or one with layers to be drawn anew; still without weights.
#[derive(Debug)]
pub struct Cut<'m> {
    model: &'m Model,
    graph: Graph,
    /// The nodes it was cut at, if it was.
    names: Option<Vec<String>>,
    anew: Anew,
}

impl Cut<'_> {
    /// As [`Model::pretrained`].
    ///
    /// # Errors
    /// As [`Model::pretrained`].
    pub fn pretrained(&self) -> Result<Network> {
        let name = self.model.architecture.name;
        match (&self.model.file, builtin::weights(name)) {
            (Some(path), _) => self.weights(path),
            (None, Some(bytes)) => self.load_carded(TensorFile::from_static(name, bytes)?),
            (None, None) => {
                let published = Published::new(true)?;
                let Some(first) = published.of(name).into_iter().next() else {
                    return Err(Error::NoWeights { model: name.into() });
                };
                self.load_published(&published, &first.tag)
            }
        }
    }

    /// As [`Model::tagged`].
    ///
    /// # Errors
    /// As [`Model::tagged`].
    pub fn tagged(&self, tag: &str) -> Result<Network> {
        self.load_published(&Published::new(true)?, tag)
    }

    fn load_published(&self, published: &Published, tag: &str) -> Result<Network> {
        let weights = published.find(tag)?;
        let name = self.model.architecture.name;
        if weights.model() != name {
            let (file, theirs) = (PathBuf::from(&weights.tag), weights.model().to_string());
            return Err(Error::OtherModel { file, theirs, wanted: name.into() });
        }
        if weights.built_in() {
            return self.pretrained();
        }
        let Some(here) = published.locate(weights) else {
            return Err(Error::NotHere { model: name.into(), tag: weights.tag.clone() });
        };
        let file = TensorFile::open(&here.path)?.with_keys(here.keys)?;
        let prepare = Prepare::published(weights, &self.model.graph)?;
        self.load(&self.graph, &self.model.graph, &file, prepare)
    }

    /// As [`Model::weights`].
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub fn weights(&self, path: &Path) -> Result<Network> {
        let file = TensorFile::open_key(path, self.model.key.as_deref())?;
        if Card::read(&file)?.is_some() {
            return self.load_carded(file);
        }
        let fitted = fit(self.model.architecture, &self.model.options, file, &self.anew.layers)?;
        let part = self.part(&fitted.graph)?;
        self.load(&part, &fitted.graph, &fitted.file, fitted.prepare)
    }

    /// The part of a whole network that this is.
    fn part(&self, whole: &Graph) -> Result<Graph> {
        match &self.names {
            Some(names) => Ok(whole.cut(names)?),
            None => Ok(whole.clone()),
        }
    }

    /// Loads a file that says what it is.
    fn load_carded(&self, file: TensorFile) -> Result<Network> {
        let name = self.model.architecture.name;
        let Some(card) = Card::read(&file)? else {
            return self.load(&self.graph, &self.model.graph, &file, Prepare::usual(&self.model.graph)?);
        };
        if card.architecture != name {
            let (file, theirs) = (file.path().to_path_buf(), card.architecture);
            return Err(Error::OtherModel { file, theirs, wanted: name.into() });
        }
        let whole = card.graph(self.model.architecture, file.path())?;
        let part = self.part(&whole)?;
        self.load(&part, &whole, &file, Prepare::card(card))
    }

    /// Loads a part of a network from a file under its names.
    fn load(&self, graph: &Graph, whole: &Graph, file: &TensorFile, prepare: Prepare) -> Result<Network> {
        let report = loading::compare(graph, whole, file, &self.anew);
        let report = loading::strict(report, graph, file)?;
        let net = graph.load_tensors(&self.tensors(graph, file)?, &self.model.device)?;
        let device = self.model.device.clone();
        Ok(Network { net, prepare, device, report, file: file.path().to_path_buf() })
    }

    /// The network's tensors: the file's, and those that are drawn. They are variables already, since what a network
    /// loads becomes one, and is copied if it is none.
    fn tensors(&self, graph: &Graph, file: &TensorFile) -> Result<HashMap<String, Tensor>> {
        let mut tensors = HashMap::new();
        for param in graph.params() {
            let tensor = if self.anew.draws(&param.name) {
                self.anew.sample(param)?
            } else {
                let values = file.values(&param.name).map_err(|source| {
                    let (file, name) = (file.path().to_path_buf(), param.name.clone());
                    Error::Tensor { file, name, source }
                })?;
                // That it is there, and of this shape, the report has told.
                let Some(values) = values else { continue };
                let wrong = values.iter().filter(|value| !value.is_finite()).count();
                loading::check_finite(file, &param.name, wrong, values.len())?;
                let variable = Var::from_vec(values, param.shape.as_slice(), &Device::Cpu);
                variable.map_err(zoo_layers::Error::from)?.into_inner()
            };
            tensors.insert(param.name.clone(), tensor);
        }
        Ok(tensors)
    }
}

/// A network with weights, which answers.
#[derive(Debug)]
pub struct Network {
    net: Net,
    prepare: Prepare,
    device: Device,
    report: LoadReport,
    file: PathBuf,
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
    /// The network itself.
    pub fn net(&self) -> &Net {
        &self.net
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
        &self.device
    }

    /// How it wants its pictures.
    pub fn prepare(&self) -> &Prepare {
        &self.prepare
    }

    /// The five likeliest classes of one picture.
    ///
    /// ```
    /// let net = zoo::model("lenet5")?.pretrained()?;
    /// let image = zoo::Picture::open(std::path::Path::new("../../assets/digits/7.png"))?;
    /// let answer = net.classify(&image)?;
    /// assert_eq!(answer.top[0].label, "7");
    /// # Ok::<(), zoo::Error>(())
    /// ```
    ///
    /// # Errors
    /// A picture without a digit where one is wanted.
    pub fn classify(&self, picture: &Picture) -> Result<Answer> {
        let picture = self.prepare.picture(picture, "the picture")?;
        let mut answers = self.answers(&picture, 5)?;
        Ok(answers.remove(0))
    }

    /// The `top` likeliest classes of each picture of a prepared batch (n, c, h, w).
    ///
    /// # Errors
    /// A batch that does not fit the network.
    pub fn answers(&self, pictures: &Tensor, top: usize) -> Result<Vec<Answer>> {
        let pictures = pictures.to_device(&self.device).map_err(zoo_layers::Error::from)?;
        let logits = self.net.answer(&pictures)?;
        check_numbers(&logits, self.net.graph().name(), "answers")?;
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
