//! From any file of weights to one that says what it is.

use std::fs;
use std::path::Path;

use serde_json::Value;
use zoo_layers::{Graph, Param, is_within};
use zoo_weights::{Dtype, Format, LoadReport, Manifest, Tensor, TensorFile};

use crate::{
    Architecture, Error, Options, Prepare, Result,
    build::auxiliary,
    card::{Card, KEY, names_fit, outputs},
    fitting::{Fitted, fit, is_headless},
    loading::{self, Anew},
};

/// What is wanted of a conversion.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let (from, to) = (dir.path().join("net.safetensors"), dir.path().join("half.safetensors"));
/// # std::fs::copy("assets/lenet5.safetensors", &from)?;
/// use zoo::Conversion;
///
/// let half = Conversion { dtype: Some(zoo::Dtype::F16), ..Conversion::default() };
/// assert_eq!(half.run(&from, &to)?.model, "lenet5");
/// let net = zoo::model(to.to_str().unwrap())?.pretrained()?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Conversion {
    /// The architecture, or the tag whose preprocessing and classes it has; for files that don't say.
    pub model: Option<String>,
    /// A name for each class.
    pub classes: Option<Vec<String>>,
    /// The type to store; every tensor's own if none is given.
    pub dtype: Option<Dtype>,
    /// Layers to be drawn anew instead of read.
    pub anew: Vec<String>,
    /// What they are drawn from.
    pub seed: u64,
    /// Which of several networks in the file is meant, or which state of one: a dict's key, or what names begin with.
    pub key: Option<String>,
    /// In what the network differs from its architecture, where the file can't tell; it goes over what a file says.
    pub options: Options,
}

/// What was converted.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The architecture.
    pub model: &'static str,
    /// The tag it was published under, if that is known.
    pub tag: Option<String>,
    /// How many classes it tells apart; none without a classifier.
    pub classes: Option<usize>,
    /// In what it differs from its architecture.
    pub options: Options,
    /// What was loaded, what drawn, and what was chosen.
    pub report: LoadReport,
    /// What names and shapes don't tell, and was assumed of a file that nobody published: other conventions would fit
    /// too, and compute something else.
    pub assumed: Vec<String>,
}

impl Conversion {
    /// Reads `from`, which must be exactly a network's weights, and writes `to`: safetensors whose metadata names
    /// the architecture, its options, classes and preprocessing. `to` is written as a whole or not at all.
    ///
    /// # Errors
    /// A file that can't be read, does not say whose weights it holds, or does not fit; a place that can't be
    /// written to.
    pub fn run(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Converted> {
        let (from, to) = (from.as_ref(), to.as_ref());
        check_names(from, to)?;
        let file = TensorFile::open_key(from, self.key.as_deref())?;
        let card = Card::read(&file)?;
        let (architecture, tag) = self.chosen(card.as_ref(), from)?;
        architecture.graph_for(&self.options)?;
        let Source { file, mut options, prepare, tag, foreign } = match card {
            Some(card) => {
                card.graph(architecture, from)?;
                let options = self.options.over(&card.options);
                Source { file, options, prepare: Prepare::card(card), tag: None, foreign: false }
            }
            None => self.source(architecture, tag, file)?,
        };
        let mut graph = self.graph(architecture, &mut options, &file)?;
        let anew = Anew { layers: self.anew.clone(), seed: self.seed };
        anew.check(&graph)?;
        let compared =
            |graph: &Graph| loading::compare(&loading::params(graph), graph, &file, |name| anew.draws(name));
        let mut report = compared(&graph);
        // Weights without a classifier are a network of their own: one that gives features.
        if self.anew.is_empty() && is_headless(&graph, &report) {
            let missing = report.missing.join(", ");
            options.no_head = true;
            graph = architecture.graph_for(&options)?;
            report = compared(&graph);
            report.notes.push(format!(
                "has no classifier ({missing}), and becomes a network that gives features; one can be drawn"
            ));
        }
        if options.no_auxiliary && foreign {
            report.notes.push("has no auxiliary heads, which only training needs; they can be drawn".into());
        }
        let report = loading::strict(report, &graph, &file)?;
        let metadata = self.metadata(architecture, &graph, &file, &options, prepare, tag.clone(), &report)?;
        self.write(&graph, &file, &anew, to, &metadata)?;
        let classes = (!options.no_head).then(|| outputs(&graph));
        let mut assumed = if foreign && tag.is_none() { architecture.assumed(&options) } else { Vec::new() };
        let averages = architecture.name.ends_with("_keras") || options.mean_classifier;
        if averages && foreign && is_undescribed(&file) && !options.no_head {
            assumed.push("a head behind the mean of each map".into());
        }
        Ok(Converted { model: architecture.name, tag, classes, options, report, assumed })
    }

    /// What is known of a file that says nothing of itself, but whose tag the caller may have named.
    fn source(&self, architecture: &Architecture, tag: Option<String>, file: TensorFile) -> Result<Source> {
        let Fitted { file, options, graph, prepare, tag: known } =
            fit(architecture, &self.options, file, &self.anew)?;
        let prepare = match &tag {
            Some(tag) => Prepare::published(Manifest::published()?.find(tag)?, &graph)?,
            None => prepare,
        };
        Ok(Source { file, options, prepare, tag: tag.or(known), foreign: true })
    }

    /// The architecture, and the tag if the caller named one.
    fn chosen(&self, card: Option<&Card>, from: &Path) -> Result<(&'static Architecture, Option<String>)> {
        let manifest = Manifest::published()?;
        let asked = match &self.model {
            Some(name) if name.contains('.') => {
                let weights = manifest.find(name)?;
                Some((crate::find(weights.model())?, Some(weights.tag.clone())))
            }
            Some(name) => Some((crate::find(name)?, None)),
            None => None,
        };
        match (card, asked) {
            (Some(card), Some((asked, _))) if asked.name != card.architecture => Err(Error::OtherModel {
                file: from.to_path_buf(),
                theirs: card.architecture.clone(),
                wanted: asked.name.into(),
            }),
            (Some(card), _) => Ok((card.architecture(from)?, None)),
            (None, Some(asked)) => Ok(asked),
            (None, None) => match manifest.of_file(from) {
                Some((weights, _)) => Ok((crate::find(weights.model())?, None)),
                None => Err(Error::Nameless { file: from.to_path_buf() }),
            },
        }
    }

    /// The network: for as many classes as are named for a new head, with what is to be drawn.
    fn graph(&self, architecture: &Architecture, options: &mut Options, file: &TensorFile) -> Result<Graph> {
        if let (Some(names), false) = (&self.classes, self.anew.is_empty()) {
            let other = Options { num_classes: Some(names.len()), ..options.clone() };
            // A network whose classes can't be changed is compared as it is.
            if architecture.graph_for(&other).is_ok() {
                *options = other;
            }
        }
        let full =
            architecture.graph_for(&Options { no_head: false, no_auxiliary: false, ..options.clone() })?;
        let drawn = |param: &str| self.anew.iter().any(|layer| is_within(param, layer));
        options.no_auxiliary &= !auxiliary(&full).iter().any(|param| drawn(param));
        options.no_head &= !loading::classifier(&full)
            .is_some_and(|layer| layer.params.iter().any(|param| drawn(&param.name)));
        let graph = architecture.graph_for(options)?;
        match &self.classes {
            Some(names) if !names_fit(names.len(), outputs(&graph)) => Err(Error::ClassNames {
                file: file.path().to_path_buf(),
                names: names.len(),
                classes: outputs(&graph),
            }),
            _ => Ok(graph),
        }
    }

    /// What the new file says of itself: what the old one said, else what is known of it.
    #[expect(clippy::too_many_arguments, reason = "all that a card is made of, once")]
    fn metadata(
        &self,
        architecture: &Architecture,
        graph: &Graph,
        file: &TensorFile,
        options: &Options,
        prepare: Prepare,
        tag: Option<String>,
        report: &LoadReport,
    ) -> Result<Value> {
        let unwritable = |source| Error::Card { file: file.path().to_path_buf(), source };
        let prepare = if options.no_head { prepare } else { prepare.named_for(graph) };
        let (preprocessing, mut classes) = prepare.parts();
        if options.no_head {
            classes.clear();
        }
        if let Some(names) = &self.classes {
            classes.clone_from(names);
        }
        let num_classes = if options.no_head { options.num_classes } else { Some(outputs(graph)) };
        let options = Options { num_classes, ..options.clone() };
        let card = Card { architecture: architecture.name.into(), classes, options, preprocessing };
        let new = card.value().map_err(unwritable)?;
        // What else an old file said, how it was trained for example, is kept.
        let mut value = match file.metadata().get(KEY) {
            Some(text) => serde_json::from_str(text).map_err(unwritable)?,
            None => Value::Object(serde_json::Map::new()),
        };
        if let (Value::Object(value), Value::Object(new)) = (&mut value, new) {
            value.extend(new);
            value.extend(tag.map(|tag| ("weights".to_string(), Value::String(tag))));
            if !report.newly_initialised.is_empty() {
                // Nobody trained these: a reader of the file should know.
                value.insert("drawn".into(), report.newly_initialised.clone().into());
            }
        }
        Ok(value)
    }

    fn write(
        &self,
        graph: &Graph,
        file: &TensorFile,
        anew: &Anew,
        to: &Path,
        metadata: &Value,
    ) -> Result<()> {
        let unusable = |name: &str, source| {
            let (file, name) = (file.path().to_path_buf(), name.to_string());
            Error::Tensor { file, name, source }
        };
        let params: Vec<&Param> = graph.params().collect();
        let tensor = |at: usize| -> Result<Tensor<'_>> {
            let Param { name, shape, .. } = params[at];
            let read = match anew.draws(name) {
                true => {
                    let values =
                        anew.sample(params[at])?.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>());
                    let values = values.map_err(zoo_layers::Error::from)?;
                    let bytes = Tensor::from_f32(shape, &values).bytes.into_owned();
                    Some(Tensor { dtype: Dtype::F32, shape: shape.into(), bytes: bytes.into() })
                }
                false => file.read(name).map_err(|source| unusable(name, source))?,
            };
            // That it is there, and of this shape, the report has told; else its bytes are too few, and that is told.
            let read =
                read.unwrap_or(Tensor { dtype: Dtype::F32, shape: shape.into(), bytes: Vec::new().into() });
            loading::check_finite(file, name, read.not_finite(), shape.iter().product())?;
            let float = matches!(read.dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64);
            let dtype = self.dtype.unwrap_or(if float { read.dtype } else { Dtype::F32 });
            read.into_dtype(dtype).map_err(|source| unusable(name, source))
        };
        // Once before anything is written, so that a pipe gets the whole or nothing; one tensor is in memory at a time.
        let mut described = Vec::with_capacity(params.len());
        for (at, param) in params.iter().enumerate() {
            described.push((param.name.as_str(), tensor(at)?.dtype, param.shape.clone()));
        }
        zoo_weights::save_each(to, &described, Some((KEY, metadata)), tensor)
    }
}

/// A file under its architecture's names, and what is known of it.
struct Source {
    file: TensorFile,
    options: Options,
    prepare: Prepare,
    /// The tag it was published under, or whose preprocessing it has.
    tag: Option<String>,
    /// Whether it says nothing of itself.
    foreign: bool,
}

/// Whether it is Keras' and has weights alone, without the description of the model.
fn is_undescribed(file: &TensorFile) -> bool {
    file.format() == Format::Keras && !file.metadata().contains_key("activation")
}

/// That the two files are two, and the new one will be known as a model.
fn check_names(from: &Path, to: &Path) -> Result<()> {
    if to.extension().is_none_or(|ending| ending != "safetensors") {
        return Err(Error::Ending { file: to.to_path_buf() });
    }
    match (fs::canonicalize(from), fs::canonicalize(to)) {
        (Ok(one), Ok(other)) if one == other => Err(Error::SameFile { file: from.to_path_buf() }),
        _ => Ok(()),
    }
}
