//! The manifest: which weights are published, where, and how a picture is prepared for them.
//!
//! The data are in `weights.toml`, which is made for reading.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zoo_base::preprocess::Preprocess;

use crate::KeyMap;

/// The manifest as it is compiled in.
const PUBLISHED: &str = include_str!("../weights.toml");

/// Published weights, in the manifest's order.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Every tag; the first of an architecture is its default.
    pub weights: Vec<Weights>,
}

/// One set of trained weights.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `architecture.training`, as timm names it: `resnet50.tv_in1k`.
    pub tag: String,
    /// What a reader of the list should know.
    pub note: Option<String>,
    /// SPDX expression of the licence they are published under.
    pub licence: String,
    /// How a picture is prepared.
    pub preprocess: Preprocess,
    /// What the outputs are called.
    pub classes: Classes,
    /// Published accuracy.
    pub accuracy: Accuracy,
    /// Where they are, in the order to try; none where they are compiled into the program.
    pub sources: Vec<Source>,
}

/// Published accuracies in percent; `None` where no source has the figure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// The right class comes first.
    pub top1: Option<f64>,
    /// The right class is among the first five.
    pub top5: Option<f64>,
    /// Mean intersection over union, of segmentation.
    pub miou: Option<f64>,
    /// Pixels that get their class, of segmentation.
    pub pixel_accuracy: Option<f64>,
    /// Who published the figures.
    pub source: Option<String>,
}

/// A file that has the weights.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub place: Place,
    /// What its publisher says of its content.
    pub digest: Option<Digest>,
    /// Its size in MiB, to about a thousandth.
    pub mib: Option<f64>,
    /// From the file's names to the architecture's.
    pub keys: KeyMap,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file of a repository of the Hugging Face Hub.
    Hub {
        /// `owner/name`.
        repo: String,
        /// A commit, or a branch where none is published.
        revision: String,
        /// The path inside the repository.
        file: String,
    },
    /// Any other address.
    Url(String),
}

/// A checksum, in lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// The first digits, or all 64.
    Sha256(String),
    /// All 32; for files whose publisher gives no better.
    Md5(String),
}

impl std::fmt::Display for Digest {
    /// `SHA-256 0676ba61…`: enough to be looked up.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, digits) = match self {
            Self::Sha256(digits) => ("SHA-256", digits),
            Self::Md5(digits) => ("MD5", digits),
        };
        let more = if digits.len() > 8 { "…" } else { "" };
        write!(f, "{kind} {digits:.8}{more}")
    }
}

/// A set of class names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Classes {
    /// The 1000 of ImageNet's challenge.
    Imagenet,
    /// The 20 of Pascal VOC after the background.
    Voc,
    /// 0 to 9.
    Digits,
    /// The digits after the background.
    Scene,
}

impl Classes {
    /// The name the manifest gives the set.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imagenet => "imagenet",
            Self::Voc => "voc",
            Self::Digits => "digits",
            Self::Scene => "scene",
        }
    }
}

/// Why a text is no manifest, or a name not in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The text is not the TOML that a manifest is.
    #[error("the manifest cannot be read: {0}")]
    Syntax(String),
    /// An entry contradicts the rules.
    #[error("the manifest's entry `{tag}` {why}")]
    Entry {
        /// The entry's tag.
        tag: String,
        /// What is wrong with it.
        why: String,
    },
    /// No entry has the name.
    #[error("no weights are published as `{name}`{}; `Manifest::published` has all tags", did_you_mean(.near))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest tags and architectures.
        near: Vec<String>,
    },
}

impl Manifest {
    /// The manifest that this crate carries.
    ///
    /// # Errors
    /// [`ManifestError`] if it is broken, which a test rules out.
    pub fn published() -> Result<Self, ManifestError> {
        Self::parse(PUBLISHED)
    }

    /// Reads a manifest and checks it.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] and [`ManifestError::Entry`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let raw: Raw = toml::from_str(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        let mut weights: Vec<Weights> = Vec::with_capacity(raw.weights.len());
        for entry in raw.weights {
            let tag = entry.tag.clone();
            let fault = |why: String| ManifestError::Entry { tag: tag.clone(), why };
            if weights.iter().any(|other| other.tag == tag) {
                return Err(fault("stands there twice".into()));
            }
            weights.push(entry.checked(&raw.preprocess).map_err(fault)?);
        }
        Ok(Self { weights })
    }

    /// The weights of a tag, or the default ones of an architecture.
    ///
    /// ```
    /// let manifest = zoo_weights::Manifest::published()?;
    /// assert_eq!(manifest.find("resnet50")?.tag, "resnet50.tv_in1k");
    /// # Ok::<_, zoo_weights::ManifestError>(())
    /// ```
    ///
    /// # Errors
    /// [`ManifestError::Unknown`] with the nearest names.
    pub fn find(&self, name: &str) -> Result<&Weights, ManifestError> {
        let found = self.weights.iter().find(|weights| weights.tag == name);
        found.or_else(|| self.of(name).next()).ok_or_else(|| self.unknown(name))
    }

    /// All weights of an architecture, its default first.
    pub fn of<'a, 'm>(&'a self, model: &'m str) -> impl Iterator<Item = &'a Weights> + use<'a, 'm> {
        self.weights.iter().filter(move |weights| weights.model() == model)
    }

    /// The weights whose published file lies at `path`, by the file's name; in the hub's cache, where all files
    /// have the same name, by the repository's.
    pub fn of_file(&self, path: &Path) -> Option<(&Weights, &Source)> {
        self.weights.iter().find_map(|weights| {
            let source = weights.sources.iter().find(|source| source.is_at(path))?;
            Some((weights, source))
        })
    }

    fn unknown(&self, name: &str) -> ManifestError {
        let known = self.weights.iter().flat_map(|weights| [weights.tag.as_str(), weights.model()]);
        let near = zoo_base::nearest(name, known).into_iter().map(String::from).collect();
        ManifestError::Unknown { name: name.to_string(), near }
    }
}

impl Weights {
    /// The architecture that they are for: what stands before the tag's first dot.
    pub fn model(&self) -> &str {
        self.tag.split('.').next().unwrap_or(&self.tag)
    }

    /// Whether they are compiled into the program instead of fetched.
    pub fn built_in(&self) -> bool {
        self.sources.is_empty()
    }

    /// Where they are, if no file of theirs is here.
    pub fn absence(&self) -> &'static str {
        if self.built_in() { "is inside the program" } else { "is not here" }
    }
}

impl Source {
    /// The name of the file, without its folders.
    pub fn file_name(&self) -> &str {
        let (Place::Hub { file: path, .. } | Place::Url(path)) = &self.place;
        path.rsplit('/').next().unwrap_or(path)
    }

    /// Whether a path is that of this source's file, where fetching puts it.
    fn is_at(&self, path: &Path) -> bool {
        match &self.place {
            Place::Url(_) => path.ends_with(self.file_name()),
            Place::Hub { repo, file, .. } => {
                let folder = format!("models--{}", repo.replace('/', "--"));
                path.ends_with(file) && path.iter().any(|part| part == folder.as_str())
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    preprocess: BTreeMap<String, Preprocess>,
    weights: Vec<RawWeights>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWeights {
    tag: String,
    note: Option<String>,
    licence: String,
    preprocess: String,
    classes: Classes,
    top1: Option<f64>,
    top5: Option<f64>,
    miou: Option<f64>,
    pixel_accuracy: Option<f64>,
    accuracy_source: Option<String>,
    sources: Vec<RawSource>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSource {
    hub: Option<String>,
    revision: Option<String>,
    file: Option<String>,
    url: Option<String>,
    sha256: Option<String>,
    md5: Option<String>,
    mib: Option<f64>,
    #[serde(default)]
    keys: KeyMap,
}

impl RawWeights {
    fn checked(self, preprocess: &BTreeMap<String, Preprocess>) -> Result<Weights, String> {
        let Some((model, training)) = self.tag.split_once('.') else {
            return Err("has no dot between architecture and training".into());
        };
        if model.is_empty() || training.is_empty() {
            return Err("has nothing on one side of the dot".into());
        }
        let preprocess = preprocess
            .get(&self.preprocess)
            .cloned()
            .ok_or_else(|| format!("names the preprocessing `{}`, which is not there", self.preprocess))?;
        let sources = self.sources.into_iter().map(RawSource::checked).collect::<Result<_, _>>()?;
        Ok(Weights {
            tag: self.tag,
            note: self.note,
            licence: self.licence,
            preprocess,
            classes: self.classes,
            accuracy: Accuracy {
                top1: self.top1,
                top5: self.top5,
                miou: self.miou,
                pixel_accuracy: self.pixel_accuracy,
                source: self.accuracy_source,
            },
            sources,
        })
    }
}

impl RawSource {
    /// An address with a checksum.
    pub(crate) fn at(url: String, sha256: Option<String>, md5: Option<String>) -> Self {
        Self { url: Some(url), sha256, md5, ..Self::default() }
    }

    pub(crate) fn checked(self) -> Result<Source, String> {
        let place = match (self.hub, self.revision, self.file, self.url) {
            (Some(repo), Some(revision), Some(file), None) => Place::Hub { repo, revision, file },
            (None, None, None, Some(url)) => Place::Url(url),
            _ => return Err("has a source that is neither hub, revision and file, nor url".into()),
        };
        let digest = match (self.sha256, self.md5) {
            (Some(digits), None) if is_hex(&digits, 8..=64) => Some(Digest::Sha256(digits)),
            (None, Some(digits)) if is_hex(&digits, 32..=32) => Some(Digest::Md5(digits)),
            (None, None) => None,
            _ => return Err("has a source whose checksum is not one, or two".into()),
        };
        Ok(Source { place, digest, mib: self.mib, keys: self.keys })
    }
}

fn is_hex(digits: &str, len: std::ops::RangeInclusive<usize>) -> bool {
    len.contains(&digits.len()) && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) }
}

#[cfg(test)]
mod tests;
