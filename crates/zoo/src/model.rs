//! From a name to a network that answers.

use std::{
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use candle_core::Device;
use zoo_layers::{Graph, Shape};
use zoo_weights::{Event, TensorFile};

use crate::{
    Architecture, Error, Network, Options, Prepare, Published, Result,
    adapt::Adapted,
    answering::Runner,
    builtin,
    card::{Card, names_fit, outputs},
    fitting::fit,
    loading::{self, Anew},
    source::Source,
};

/// What a new head is drawn from unless [`Model::seed`] says otherwise.
const SEED: u64 = 42;

/// An architecture chosen, what is asked of it, and where its weights shall come from: still without any.
///
/// What was learned is carried over to what is asked: other classes get a head that is drawn anew, of first weights for
/// other channels there are sums or copies as timm makes them, dense layers become convolutions. What was drawn is in
/// the network's [`report`](Network::report).
///
/// ```
/// let model = zoo::model("resnet50")?.classes(3).in_channels(1).output_stride(16);
/// let graph = model.graph()?;
/// assert_eq!((graph.input().to_string(), graph.layer("fc")?.output.to_string()), ("1x224x224".into(), "3".into()));
/// assert_eq!(graph.layer("layer4.2.add")?.output.to_string(), "2048x14x14");
///
/// let letters = zoo::model("lenet5")?.classes(26).pretrained()?;
/// assert_eq!(letters.report().newly_initialised, ["fc3.weight", "fc3.bias"]);
/// # Ok::<(), zoo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    architecture: &'static Architecture,
    /// What is asked for.
    asked: Options,
    /// Names of the classes, where the caller has them.
    names: Option<Vec<String>>,
    /// The file it was named by, and what that says of itself.
    file: Option<(PathBuf, Options)>,
    /// Which of several networks in a file is meant.
    key: Option<String>,
    anew: Anew,
    device: Device,
}

/// The model called `name`: an architecture's name, or the path of a `.safetensors` file whose metadata names
/// its architecture.
///
/// # Errors
/// A name that no architecture has; a file that can't be read or says nothing of itself.
pub fn model(name: &str) -> Result<Model> {
    let path = Path::new(name);
    let (architecture, file) = match name.ends_with(".safetensors") {
        true => {
            let card = Card::required(&TensorFile::open(path)?, path)?;
            let architecture = card.architecture(path)?;
            card.graph(architecture, path)?;
            (architecture, Some((path.to_path_buf(), card.options)))
        }
        false => {
            let found = crate::find(name).map_err(|error| match path.is_file() {
                true => Error::NotAModel { name: name.into() },
                false => error,
            })?;
            (found, None)
        }
    };
    let anew = Anew { layers: Vec::new(), seed: SEED };
    let (asked, device) = (Options::default(), Device::Cpu);
    Ok(Model { architecture, asked, names: None, file, key: None, anew, device })
}

impl Model {
    /// Which architecture it is.
    pub fn architecture(&self) -> &'static Architecture {
        self.architecture
    }

    /// The file that it was named by, which holds its weights.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// What it is made of.
    ///
    /// # Errors
    /// An option that the architecture does not have, or a value that it can't have.
    pub fn graph(&self) -> Result<Graph> {
        if let Some((path, theirs)) = &self.file {
            self.check_auxiliary(theirs, path)?;
        }
        self.architecture.graph_for(&self.options())
    }

    /// That a file without auxiliary heads is not asked for what is in one.
    fn check_auxiliary(&self, theirs: &Options, path: &Path) -> Result<()> {
        if !theirs.no_auxiliary || self.asked.at.is_empty() {
            return Ok(());
        }
        let without = self.architecture.graph_for(&Options { at: Vec::new(), ..theirs.clone() })?;
        let with = Options { at: Vec::new(), no_auxiliary: false, ..theirs.clone() };
        let with = self.architecture.graph_for(&with)?;
        let is_of_a_head = |name: &&String| without.find(name).is_err() && with.find(name).is_ok();
        let Some(node) = self.asked.at.iter().find(is_of_a_head) else { return Ok(()) };
        let part = with.cut(&[node])?;
        let own = part.params().find(|param| !without.params().any(|other| other.name == param.name));
        let head = own.and_then(|param| param.name.split('.').next()).unwrap_or(node);
        Err(Error::NoAuxiliary {
            file: path.to_path_buf(),
            model: self.architecture.name.into(),
            node: node.clone(),
            head: head.into(),
        })
    }

    /// In what it differs from its architecture: what is asked for, and what the file says that it was named by. Where pictures
    /// are too small for an auxiliary head and for nothing else, it is without one.
    pub fn options(&self) -> Options {
        match &self.file {
            Some((_, options)) => self.architecture.asked(&self.asked, options),
            None => self.architecture.asked(&self.asked, &Options::default()),
        }
    }

    /// The same to tell apart so many classes.
    #[must_use]
    pub fn classes(mut self, classes: usize) -> Self {
        self.asked.num_classes = Some(classes);
        self
    }

    /// The same to tell apart the classes of these names.
    #[must_use]
    pub fn class_names(mut self, names: Vec<String>) -> Self {
        self.asked.num_classes = Some(names.len());
        self.names = Some(names);
        self
    }

    /// The same for pictures of so many channels.
    #[must_use]
    pub fn in_channels(mut self, channels: usize) -> Self {
        self.asked.in_channels = Some(channels);
        self
    }

    /// The same for pictures of another size.
    #[must_use]
    pub fn input_size(mut self, height: usize, width: usize) -> Self {
        self.asked.input_size = Some([height, width]);
        self
    }

    /// The same with strides traded for dilation, until a pixel of the last map stands for so many of the picture.
    #[must_use]
    pub fn output_stride(mut self, stride: usize) -> Self {
        self.asked.output_stride = Some(stride);
        self
    }

    /// The same with a 3×3 stem without a pool, for pictures of 32×32.
    #[must_use]
    pub fn small_stem(mut self) -> Self {
        self.asked.small_stem = true;
        self
    }

    /// The same with dense layers as the convolutions that they are.
    #[must_use]
    pub fn convolutional(mut self) -> Self {
        self.asked.convolutional = true;
        self
    }

    /// The same without its classifier: it answers with what that would read.
    #[must_use]
    pub fn headless(mut self) -> Self {
        self.asked.no_head = true;
        self
    }

    /// The same, but only the part that the named nodes, scopes or outputs need; they become the outputs.
    /// Its files may hold weights of what lies beyond.
    #[must_use]
    pub fn at<S: AsRef<str>>(mut self, names: &[S]) -> Self {
        self.asked.at = names.iter().map(|name| name.as_ref().to_string()).collect();
        self
    }

    /// The same with all options at once, in place of what was asked before.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.asked = options;
        self
    }

    /// The same, but the parameters of these layers or scopes are drawn, whatever a file has: a new head on a network
    /// that has learned.
    ///
    /// ```
    /// let net = zoo::model("lenet5")?.anew(&["fc3"]).seed(7).pretrained()?;
    /// assert_eq!(net.report().newly_initialised, ["fc3.weight", "fc3.bias"]);
    /// # Ok::<(), zoo::Error>(())
    /// ```
    #[must_use]
    pub fn anew<S: AsRef<str>>(mut self, layers: &[S]) -> Self {
        self.anew.layers = layers.iter().map(|layer| layer.as_ref().to_string()).collect();
        self
    }

    /// The same, with another number that everything drawn is drawn from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.anew.seed = seed;
        self
    }

    /// The same, to run on another device than the CPU.
    #[must_use]
    pub fn on(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The same, where a file of weights holds several networks, or one in several states: the one under this key.
    #[must_use]
    pub fn under(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// That the network says what is in a picture, as opposed to what is at each place of it.
    ///
    /// # Errors
    /// [`Error::Headless`], [`Error::NotAClassifier`]; as [`Model::graph`].
    pub fn check_classifies(&self) -> Result<()> {
        classifies(&self.graph()?, &self.options())
    }

    /// With fresh weights, drawn from the [`seed`](Model::seed).
    ///
    /// # Errors
    /// As [`Model::graph`]; names of classes that aren't one for each.
    pub fn fresh(&self) -> Result<Network> {
        let graph = self.graph()?;
        let prepare = self.named(Prepare::usual(&graph)?, &graph)?;
        let report = zoo_weights::LoadReport {
            newly_initialised: graph.params().map(|param| param.name.clone()).collect(),
            ..Default::default()
        };
        let source =
            Source { file: None, drawn: BTreeSet::new(), anew: self.anew.clone(), carries: Vec::new() };
        Ok(self.network(graph, source, self.options(), prepare, report))
    }

    /// With weights that are here: the file it was named by, those inside the program, or fetched ones.
    ///
    /// # Errors
    /// [`Error::NotHere`] and [`Error::NoWeights`] if there are none; a file that does not fit.
    pub fn pretrained(&self) -> Result<Network> {
        let name = self.architecture.name;
        match (&self.file, builtin::weights(name)) {
            (Some((path, _)), _) => self.weights(path),
            (None, Some(bytes)) => self.load_file(TensorFile::from_static(name, bytes)?),
            (None, None) => {
                let published = Published::new(true)?;
                let Some(first) = published.of(name).into_iter().next() else {
                    return Err(Error::NoWeights { model: name.into() });
                };
                self.load_published(&published, &first.tag)
            }
        }
    }

    /// The same, with weights fetched from their publisher if they are not here. `progress` is told of the transfer.
    ///
    /// ```no_run
    /// let net = zoo::model("resnet18")?.classes(3).pretrained_or_fetch(&mut |_| {})?;
    /// # Ok::<(), zoo::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::pretrained`]; no network, or no source that gives them.
    pub fn pretrained_or_fetch(&self, progress: &mut dyn FnMut(Event<'_>)) -> Result<Network> {
        match self.pretrained() {
            Err(Error::NotHere { tag, .. }) => {
                let published = Published::new(false)?;
                published.fetch(&tag, progress)?;
                self.load_published(&published, &tag)
            }
            other => other,
        }
    }

    /// The same with the weights of a tag, which must be here.
    ///
    /// # Errors
    /// An unknown tag, or one of another architecture; else as [`Model::pretrained`].
    pub fn tagged(&self, tag: &str) -> Result<Network> {
        self.load_published(&Published::new(true)?, tag)
    }

    /// Whether [`Model::pretrained`] needs nothing but what is here.
    pub fn is_complete(&self) -> bool {
        self.file.is_some() || builtin::weights(self.architecture.name).is_some()
    }

    /// With the weights of a file, which must be exactly this network's, but for what is asked to differ.
    ///
    /// # Errors
    /// A file that can't be read or does not fit, by the names of its tensors.
    pub fn weights(&self, path: impl AsRef<Path>) -> Result<Network> {
        let path = path.as_ref();
        self.load_file(TensorFile::open_key(path, self.key.as_deref())?)
    }

    fn load_published(&self, published: &Published, tag: &str) -> Result<Network> {
        let weights = published.find(tag)?;
        let name = self.architecture.name;
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
        let prepare = Prepare::published(weights, &self.architecture.graph()?)?;
        self.load(file, &Options::default(), prepare)
    }

    fn load_file(&self, file: TensorFile) -> Result<Network> {
        let name = self.architecture.name;
        match Card::read(&file)? {
            Some(card) if card.architecture != name => {
                let (file, theirs) = (file.path().to_path_buf(), card.architecture);
                Err(Error::OtherModel { file, theirs, wanted: name.into() })
            }
            Some(card) => {
                card.graph(self.architecture, file.path())?;
                let options = card.options.clone();
                self.load(file, &options, Prepare::card(card))
            }
            None => {
                let fitted = fit(self.architecture, &self.untold(), file, &self.anew.layers)?;
                self.load(fitted.file, &fitted.options, fitted.prepare)
            }
        }
    }

    /// The options that the shapes of a file can't tell, and that are therefore the caller's: the others are told.
    fn untold(&self) -> Options {
        let &Options { output_stride, centred_shortcut, .. } = &self.asked;
        Options { output_stride, centred_shortcut, ..Options::default() }
    }

    /// Loads a file, whose network has these options, into the network that is asked for.
    fn load(&self, file: TensorFile, theirs: &Options, prepare: Prepare) -> Result<Network> {
        self.check_auxiliary(theirs, file.path())?;
        let Adapted { source: learned, graph, options, mut drawn, carries } =
            Adapted::new(self.architecture, theirs, &self.asked)?;
        self.anew.check(&graph)?;
        drawn.extend(graph.params().map(|param| &param.name).filter(|name| self.anew.draws(name)).cloned());
        let wanted: HashMap<&str, &[usize]> =
            learned.params().map(|param| (param.name.as_str(), param.shape.as_slice())).collect();
        // The network's own names, and their shapes as the file should have them.
        let needed: Vec<(&str, &[usize])> = graph
            .params()
            .map(|param| {
                let name = param.name.as_str();
                (name, wanted.get(name).copied().unwrap_or(&param.shape))
            })
            .collect();
        let has_new_head = self.asked.num_classes.is_some();
        if has_new_head && let Some(head) = loading::missing_head(&needed, &graph, &file) {
            drawn.extend(head);
        }
        let mut report = loading::compare(&needed, &learned, &file, |name| drawn.contains(name));
        if !report.newly_initialised.is_empty() && self.anew.layers.is_empty() {
            let drawn: Vec<&str> = report.newly_initialised.iter().map(String::as_str).collect();
            report.notes.push(format!("has nothing for {}, drawn anew", drawn.join(", ")));
        }
        let report = loading::strict(report, &graph, &file)?;
        let prepare = self.named(prepare.fitted(theirs, &options, &graph)?, &graph)?;
        let source = Source { file: Some(file), drawn, anew: self.anew.clone(), carries };
        source.check(&graph)?;
        Ok(self.network(graph, source, options, prepare, report))
    }

    /// With the caller's names of the classes.
    fn named(&self, prepare: Prepare, graph: &Graph) -> Result<Prepare> {
        match &self.names {
            Some(names) if !names_fit(names.len(), outputs(graph)) => Err(Error::ClassNames {
                file: PathBuf::from(self.architecture.name),
                names: names.len(),
                classes: outputs(graph),
            }),
            Some(names) => Ok(prepare.with_names(names.clone())),
            None => Ok(prepare),
        }
    }

    fn network(
        &self,
        graph: Graph,
        source: Source,
        options: Options,
        prepare: Prepare,
        report: zoo_weights::LoadReport,
    ) -> Network {
        let file = source.file.as_ref().map_or(Path::new(self.architecture.name), TensorFile::path);
        let file = file.to_path_buf();
        let runner = Runner::new(graph, source, self.device.clone());
        Network { architecture: self.architecture, options, runner, prepare, report, file }
    }
}

/// That a network says what is in a picture.
pub(crate) fn classifies(graph: &Graph, options: &Options) -> Result<()> {
    if options.no_head {
        return Err(Error::Headless { model: graph.name().into() });
    }
    match graph.get(graph.main_output().node).output {
        Shape::Vector { .. } => Ok(()),
        Shape::Map { .. } if options.convolutional && options.at.is_empty() => Ok(()),
        output @ Shape::Map { .. } => Err(Error::NotAClassifier {
            model: graph.name().into(),
            output: output.to_string(),
            input: graph.input().to_string(),
        }),
    }
}
