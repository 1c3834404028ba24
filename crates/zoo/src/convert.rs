//! From any file of weights to one that says what it is.

use std::fs;
use std::path::Path;

use serde_json::Value;
use zoo_layers::Graph;
use zoo_weights::{Dtype, LoadReport, Manifest, Tensor, TensorFile};

use crate::{
    Architecture, Error, Prepare, Result,
    card::{Card, KEY, Options, names_fit, outputs},
    loading::{self, Anew, Described},
};

/// What is wanted of a conversion.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let (from, to) = (dir.path().join("net.safetensors"), dir.path().join("half.safetensors"));
/// # std::fs::copy("assets/lenet5.safetensors", &from)?;
/// use zoo::Conversion;
///
/// let half = Conversion { dtype: Some(zoo_weights::Dtype::F16), ..Conversion::default() };
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
}

/// What was converted.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The architecture.
    pub model: &'static str,
    /// The tag it was published under, if that is known.
    pub tag: Option<String>,
    /// How many classes it tells apart.
    pub classes: usize,
    /// What was loaded, and what drawn.
    pub report: LoadReport,
}

impl Conversion {
    /// Reads `from`, which must be exactly a network's weights, and writes `to`: safetensors whose metadata names
    /// the architecture, its options, classes and preprocessing. `to` is written as a whole or not at all.
    ///
    /// # Errors
    /// A file that can't be read, does not say whose weights it holds, or does not fit; a place that can't be
    /// written to.
    pub fn run(&self, from: &Path, to: &Path) -> Result<Converted> {
        check_names(from, to)?;
        let file = TensorFile::open(from)?;
        let card = Card::read(&file)?;
        let (architecture, tag) = self.chosen(card.as_ref(), from)?;
        let plain = match &card {
            Some(card) => card.graph(architecture, from)?,
            None => architecture.graph()?,
        };
        let described = match (&card, tag) {
            (Some(_), _) => None,
            (None, tag) => Some(described(architecture, tag, &plain, &file)?),
        };
        let file = match &described {
            Some(known) => file.with_keys(known.keys)?,
            None => file,
        };
        let graph = self.graph(plain, &file)?;
        let anew = Anew::new(&graph, &self.anew, self.seed)?;
        let report = loading::strict(loading::compare(&graph, &graph, &file, &anew), &graph, &file)?;
        let tag = described.as_ref().and_then(|known| known.tag.clone());
        let metadata = self.metadata(architecture, &graph, &file, described, card)?;
        self.write(&graph, &file, &anew, to, &metadata)?;
        Ok(Converted { model: architecture.name, tag, classes: outputs(&graph), report })
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

    /// The network for as many classes as are wanted, or as the file has.
    fn graph(&self, plain: Graph, file: &TensorFile) -> Result<Graph> {
        let own = outputs(&plain);
        let wanted = match &self.classes {
            Some(names) if !self.anew.is_empty() => Some(names.len()),
            _ => classes_of(&plain, file),
        };
        let graph = match wanted {
            // A network whose classes can't be changed is compared as it is.
            Some(classes) if classes != own => plain.with_num_classes(classes).unwrap_or(plain),
            _ => plain,
        };
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
    fn metadata(
        &self,
        architecture: &Architecture,
        graph: &Graph,
        file: &TensorFile,
        described: Option<Described>,
        card: Option<Card>,
    ) -> Result<Value> {
        let unwritable = |source| Error::Card { file: file.path().to_path_buf(), source };
        let tag = described.as_ref().and_then(|known| known.tag.clone());
        let prepare = match (described, card) {
            (Some(known), _) => known.prepare,
            (None, Some(card)) => Prepare::card(card),
            (None, None) => Prepare::usual(graph)?,
        };
        let (preprocessing, mut classes) = prepare.named_for(graph).parts();
        if let Some(names) = &self.classes {
            classes.clone_from(names);
        }
        let options = Options { num_classes: Some(outputs(graph)) };
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
        let mut drawn = Vec::new();
        for param in graph.params().filter(|param| anew.draws(&param.name)) {
            let values = anew.sample(param)?.flatten_all().and_then(|tensor| tensor.to_vec1::<f32>());
            drawn.push((param, values.map_err(zoo_layers::Error::from)?));
        }
        let drawn: Vec<(&str, Tensor<'_>)> = drawn
            .iter()
            .map(|(param, values)| (param.name.as_str(), Tensor::from_f32(&param.shape, values)))
            .collect();
        let mut sources = Vec::new();
        for param in graph.params() {
            let new = drawn.iter().find(|(name, _)| *name == param.name).map(|(_, tensor)| tensor.clone());
            // That it is there, and of this shape, the report has told.
            let Some(tensor) = new.or_else(|| file.get(&param.name)) else { continue };
            sources.push((param.name.as_str(), tensor));
        }
        let mut tensors = Vec::with_capacity(sources.len());
        for (name, tensor) in &sources {
            let float = matches!(tensor.dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64);
            let dtype = self.dtype.unwrap_or(if float { tensor.dtype } else { Dtype::F32 });
            tensors.push((*name, tensor.cast(dtype).map_err(|source| unusable(name, source))?));
        }
        Ok(zoo_weights::save(to, &tensors, Some((KEY, metadata)))?)
    }
}

/// What is known of a file that says nothing of itself, but whose tag the caller may have named.
fn described(
    architecture: &Architecture,
    tag: Option<String>,
    graph: &Graph,
    file: &TensorFile,
) -> Result<Described> {
    let known = loading::describe(architecture.name, graph, file)?;
    let Some(tag) = tag else { return Ok(known) };
    let prepare = Prepare::published(Manifest::published()?.find(&tag)?, graph)?;
    Ok(Described { prepare, tag: Some(tag), ..known })
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

/// How many classes a file's classifier tells apart, if it has the network's.
fn classes_of(graph: &Graph, file: &TensorFile) -> Option<usize> {
    let weight = loading::classifier(graph)?.params.first()?;
    let found = file.get(&weight.name)?;
    (found.shape.len() == weight.shape.len()).then(|| found.shape.first().copied()).flatten()
}
