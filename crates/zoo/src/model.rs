//! From a name to a network that answers.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use candle_core::{D, Device, Tensor};
use zoo_data::Picture;
use zoo_layers::{Graph, Mode, Net};
use zoo_weights::{KeyMap, TensorFile};

use crate::{Architecture, Error, Prepare, Published, Result, builtin, card::Card};

/// An architecture chosen, and where its weights shall come from: still without any.
#[derive(Debug)]
pub struct Model {
    architecture: &'static Architecture,
    graph: Graph,
    /// The file it was named by, if it was.
    file: Option<PathBuf>,
    device: Device,
}

/// The model called `name`: an architecture's name, or the path of a `.safetensors` file whose metadata names
/// its architecture.
///
/// # Errors
/// A name that no architecture has; a file that can't be read or says nothing of itself.
pub fn model(name: &str) -> Result<Model> {
    if !name.ends_with(".safetensors") {
        let architecture = crate::find(name)?;
        return Ok(Model { architecture, graph: architecture.graph()?, file: None, device: Device::Cpu });
    }
    let path = Path::new(name);
    let card = Card::required(&TensorFile::open(path)?, path)?;
    let architecture = crate::find(&card.architecture)?;
    let file = Some(path.to_path_buf());
    Ok(Model { architecture, graph: architecture.graph()?, file, device: Device::Cpu })
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

    /// The same, but only the part that the named nodes, scopes or outputs need; they become the outputs.
    /// Its files may hold weights of what lies beyond.
    ///
    /// # Errors
    /// A name that the network has not.
    pub fn cut<S: AsRef<str>>(&self, names: &[S]) -> Result<Cut<'_>> {
        Ok(Cut { model: self, graph: self.graph.cut(names)? })
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
        Cut { model: self, graph: self.graph.clone() }
    }
}

/// A part of a model, still without weights.
#[derive(Debug)]
pub struct Cut<'m> {
    model: &'m Model,
    graph: Graph,
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
            (None, Some(bytes)) => self.load(TensorFile::from_static(name, bytes)?, None),
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
        self.load(file, Some(Prepare::published(&weights.preprocess, weights.classes)))
    }

    /// As [`Model::weights`].
    ///
    /// # Errors
    /// As [`Model::weights`].
    pub fn weights(&self, path: &Path) -> Result<Network> {
        let file = TensorFile::open(path)?;
        let keys = KeyMap::detect(self.model.architecture.name, &file)?;
        self.load(file.with_keys(keys)?, None)
    }

    /// Loads a file; `prepare` is what its publisher says, where it says nothing of itself.
    fn load(&self, file: TensorFile, prepare: Option<Prepare>) -> Result<Network> {
        let card = Card::read(&file)?;
        let name = self.model.architecture.name;
        if let Some(card) = card.as_ref().filter(|card| card.architecture != name) {
            let (file, theirs) = (file.path().to_path_buf(), card.architecture.clone());
            return Err(Error::OtherModel { file, theirs, wanted: name.into() });
        }
        let unfit = |source| Error::Unfit { file: file.path().to_path_buf(), source };
        let tensors = self.tensors(&file)?;
        let net = self.graph.load_tensors(&tensors, &self.model.device).map_err(unfit)?;
        let prepare = match (card, prepare) {
            (Some(card), _) => Prepare::digit(card.preprocessing, card.classes),
            (None, Some(prepare)) => prepare,
            (None, None) => Prepare::usual(&self.model.graph)?,
        };
        Ok(Network { net, prepare, device: self.model.device.clone() })
    }

    /// The file's tensors without those of the same architecture that lie beyond the cut.
    fn tensors(&self, file: &TensorFile) -> Result<HashMap<String, Tensor>> {
        let shapes = |graph: &Graph| -> HashMap<String, Vec<usize>> {
            graph.params().map(|param| (param.name.clone(), param.shape.clone())).collect()
        };
        let (whole, needed) = (shapes(&self.model.graph), shapes(&self.graph));
        let beyond = |name: &str, shape: &[usize]| {
            !needed.contains_key(name) && whole.get(name).is_some_and(|wanted| wanted == shape)
        };
        let mut tensors = HashMap::new();
        for (name, tensor) in file.tensors() {
            if name.ends_with("num_batches_tracked") || beyond(name, &tensor.shape) {
                continue;
            }
            // A tensor that is not needed will be reported by its name and shape: its values don't matter.
            let values = match needed.contains_key(name) {
                true => Tensor::from_vec(tensor.to_f32()?, tensor.shape.as_ref(), &Device::Cpu),
                false => Tensor::zeros(0, candle_core::DType::F32, &Device::Cpu),
            };
            tensors.insert(name.into(), values.map_err(zoo_layers::Error::from)?);
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
}

/// What a network says of a picture: the likeliest classes, the first first.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The likeliest classes.
    pub top: Vec<Guess>,
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
        let logits = self.net.forward(&pictures, Mode::Eval)?;
        let probabilities = candle_nn::ops::softmax(&logits, D::Minus1).and_then(|p| p.to_vec2::<f32>());
        let answer = |row: Vec<f32>| {
            let mut order: Vec<usize> = (0..row.len()).collect();
            // Of equal ones the first class comes first.
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            let guess = |index| Guess { index, label: self.prepare.class(index), probability: row[index] };
            Answer { top: order.into_iter().take(top).map(guess).collect() }
        };
        Ok(probabilities.map_err(zoo_layers::Error::from)?.into_iter().map(answer).collect())
    }
}
