//! Data sets that have a public address.
//!
//! The data are in `data.toml`, which is made for reading.

use serde::Deserialize;

use crate::manifest::RawSource;
use crate::{ManifestError, Source};

/// The list as it is compiled in.
const PUBLISHED: &str = include_str!("../data.toml");

/// Data sets that can be fetched.
#[derive(Clone, Debug)]
pub struct DataSets {
    /// In the list's order.
    pub sets: Vec<DataSet>,
}

/// One data set.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// What it is called here: `fashion-mnist`.
    pub name: String,
    /// What it shows, and how much of it.
    pub note: String,
    /// The terms that its publisher names, or that there are none.
    pub licence: String,
    /// Its files.
    pub files: Vec<DataFile>,
    /// The names of its classes, where its files don't have them.
    pub classes: Vec<String>,
    /// What its archive unpacks to, if it comes as one.
    pub unpacked: Option<String>,
}

/// A file of a data set.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Its name.
    pub name: String,
    /// Where it is, in the order to try.
    pub sources: Vec<Source>,
}

impl DataSets {
    /// The list that this crate carries.
    ///
    /// # Errors
    /// [`ManifestError`] if it is broken, which a test rules out.
    pub fn published() -> Result<Self, ManifestError> {
        Self::parse(PUBLISHED)
    }

    /// Reads a list and checks it.
    ///
    /// # Errors
    /// [`ManifestError::Syntax`] and [`ManifestError::Entry`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let raw: Raw = toml::from_str(text).map_err(|error| ManifestError::Syntax(error.to_string()))?;
        let checked = |set: RawSet| {
            let name = set.name.clone();
            set.checked().map_err(|why| ManifestError::Entry { tag: name, why })
        };
        Ok(Self { sets: raw.data.into_iter().map(checked).collect::<Result<_, _>>()? })
    }

    /// The data set of a name.
    ///
    /// ```
    /// let sets = zoo_weights::DataSets::published()?;
    /// assert_eq!(sets.find("mnist").map(|set| set.files.len()), Some(4));
    /// # Ok::<_, zoo_weights::ManifestError>(())
    /// ```
    pub fn find(&self, name: &str) -> Option<&DataSet> {
        self.sets.iter().find(|set| set.name == name)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    data: Vec<RawSet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSet {
    name: String,
    note: String,
    licence: String,
    #[serde(default)]
    classes: Vec<String>,
    unpacked: Option<String>,
    /// Before each file's name.
    bases: Vec<String>,
    files: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    name: String,
    md5: Option<String>,
    sha256: Option<String>,
}

impl RawSet {
    fn checked(self) -> Result<DataSet, String> {
        if self.files.is_empty() || self.bases.is_empty() {
            return Err("has no file, or no address".into());
        }
        let is_archive =
            self.files.iter().all(|file| [".tgz", ".tar.gz"].iter().any(|end| file.name.ends_with(end)));
        if self.unpacked.is_some() != is_archive {
            return Err("says what an archive unpacks to, and is none, or doesn't and is one".into());
        }
        let Self { name, note, licence, classes, unpacked, bases, files } = self;
        let file = |RawFile { name, md5, sha256 }: RawFile| {
            if md5.is_none() && sha256.is_none() {
                return Err(format!("has no checksum of {name}"));
            }
            let source =
                |base: &String| RawSource::at(format!("{base}{name}"), sha256.clone(), md5.clone()).checked();
            let sources = bases.iter().map(source).collect::<Result<Vec<_>, String>>()?;
            Ok(DataFile { name, sources })
        };
        let files = files.into_iter().map(file).collect::<Result<_, String>>()?;
        Ok(DataSet { name, note, licence, files, classes, unpacked })
    }
}
