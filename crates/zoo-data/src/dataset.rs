//! What every data set is to those who learn from it: pictures by number, each with its class.
//!
//! [`open`](crate::open) makes one of whatever lies at a path; [`Split`](crate::Split) parts it; a
//! [`Loader`](crate::Loader) reads it on threads of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Finding, Picture, Result};

/// Pictures, each with its class. Every index is below [`len`](Self::len); beyond it, methods may panic as a slice does.
pub trait Dataset: fmt::Debug + Send + Sync {
    /// How many pictures.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the classes, in the order of the labels.
    fn classes(&self) -> &[String];

    /// Whether somebody named them, so that a name means something, and isn't only the class's number.
    fn has_named_classes(&self) -> bool {
        true
    }

    /// The index of a picture's class: below the number of classes. Of data with [masks](Self::has_masks), 0: there the
    /// classes are its pixels'.
    fn label(&self, index: usize) -> usize;

    /// What a picture is called: its path from the data's root, with `/` between folders, or a word and a number.
    /// No two pictures of a data set are called alike.
    fn name(&self, index: usize) -> String;

    /// The part to which the data itself says that a picture belongs: by folders (`train/`, `val/`, `test/`), by a
    /// table's column, by the name of a file.
    fn part(&self, index: usize) -> Option<Part> {
        let _ = index;
        None
    }

    /// The group that the data itself says must stay together (a table's column), if any.
    fn group(&self, index: usize) -> Option<String> {
        let _ = index;
        None
    }

    /// A picture as it is stored.
    ///
    /// # Errors
    /// A file that can't be read.
    fn stored(&self, index: usize) -> Result<Stored>;

    /// A picture, decoded.
    ///
    /// # Errors
    /// A file that can't be read, or is no picture.
    fn picture(&self, index: usize) -> Result<Picture> {
        match self.stored(index)? {
            Stored::File(bytes) => Picture::decode(&bytes, &self.name(index)),
            Stored::Picture(picture) => Ok(picture),
        }
    }

    /// Whether each picture has a mask, a class for each of its pixels.
    fn has_masks(&self) -> bool {
        false
    }

    /// A picture's mask: grey, of the picture's size, each value a class or [`IGNORED`](crate::mask::IGNORED).
    ///
    /// # Errors
    /// A file that can't be read, or is no mask.
    fn mask(&self, index: usize) -> Result<Option<Picture>> {
        let _ = index;
        Ok(None)
    }

    /// A picture and its mask at once, if it has one: what is made, and not read, is made once.
    ///
    /// # Errors
    /// As [`picture`](Self::picture) and [`mask`](Self::mask).
    fn masked(&self, index: usize) -> Result<Option<(Picture, Picture)>> {
        match self.mask(index)? {
            Some(mask) => Ok(Some((self.picture(index)?, mask))),
            None => Ok(None),
        }
    }

    /// What errors call a picture's mask.
    fn mask_name(&self, index: usize) -> String {
        format!("the mask of {}", self.name(index))
    }

    /// A number that another data set, or this one changed, doesn't have: of the classes' names, and of every picture
    /// its name, label, part and length; of the contents, all that lies in memory and up to 1,024 files, evenly
    /// chosen. It says nothing of places and times: a copy has the same.
    ///
    /// # Errors
    /// A file that can't be read.
    fn fingerprint(&self) -> Result<Fingerprint>;

    /// What was noticed when the data was listed: what is left out, and why.
    fn findings(&self) -> &[Finding] {
        &[]
    }
}

/// A picture as a data set holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The bytes of a file, still to be decoded.
    File(Vec<u8>),
    /// Pixels.
    Picture(Picture),
}

/// What a picture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// To learn from.
    Train,
    /// To choose by: when to stop, which rate to take.
    Validation,
    /// To be tested on, once.
    Test,
}

impl Part {
    /// All three.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Test];

    /// The part that is called so, as folders and tables call it, in whatever case: `train` and `training`; `val`,
    /// `valid`, `validation` and `dev`; `test`, `testing` and MNIST's `t10k`.
    pub fn named(name: &str) -> Option<Part> {
        Some(match name.trim().to_lowercase().as_str() {
            "train" | "training" => Part::Train,
            "val" | "valid" | "validation" | "dev" => Part::Validation,
            "test" | "testing" | "t10k" => Part::Test,
            _ => return None,
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Train => "train",
            Part::Validation => "validation",
            Part::Test => "test",
        })
    }
}

/// What tells a data set from another: SHA-256, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a [`Fingerprint`]. Each text and each number goes in with its length, so that none runs into the next.
#[derive(Debug, Default)]
pub(crate) struct Fingerprinter(Sha256);

impl Fingerprinter {
    pub(crate) fn new(classes: &[String]) -> Fingerprinter {
        let mut all = Fingerprinter::default();
        all.number(classes.len());
        classes.iter().for_each(|class| all.bytes(class.as_bytes()));
        all
    }

    pub(crate) fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len());
        self.0.update(bytes);
    }

    /// What stands about every picture, whatever holds it.
    pub(crate) fn item(&mut self, data: &dyn Dataset, index: usize) {
        self.bytes(data.name(index).as_bytes());
        self.number(data.label(index));
        self.bytes(data.part(index).map(|part| part.to_string()).unwrap_or_default().as_bytes());
        self.bytes(data.group(index).unwrap_or_default().as_bytes());
    }

    pub(crate) fn finish(self) -> Fingerprint {
        Fingerprint(self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Some pictures of a data set, in an order of their own.
#[derive(Debug, Clone)]
pub struct Subset {
    data: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The pictures at these places of `data`.
    ///
    /// # Errors
    /// [`Error::NoSuchPicture`] for a place beyond its end.
    pub fn new(data: Arc<dyn Dataset>, indices: Vec<usize>) -> Result<Subset> {
        match indices.iter().find(|&&index| index >= data.len()) {
            Some(&index) => Err(Error::NoSuchPicture { index, pictures: data.len() }),
            None => Ok(Subset { data, indices }),
        }
    }

    /// Where its pictures stand in the whole.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn classes(&self) -> &[String] {
        self.data.classes()
    }

    fn has_named_classes(&self) -> bool {
        self.data.has_named_classes()
    }

    fn label(&self, index: usize) -> usize {
        self.data.label(self.indices[index])
    }

    fn name(&self, index: usize) -> String {
        self.data.name(self.indices[index])
    }

    fn part(&self, index: usize) -> Option<Part> {
        self.data.part(self.indices[index])
    }

    fn group(&self, index: usize) -> Option<String> {
        self.data.group(self.indices[index])
    }

    fn stored(&self, index: usize) -> Result<Stored> {
        self.data.stored(self.indices[index])
    }

    fn has_masks(&self) -> bool {
        self.data.has_masks()
    }

    fn mask(&self, index: usize) -> Result<Option<Picture>> {
        self.data.mask(self.indices[index])
    }

    fn masked(&self, index: usize) -> Result<Option<(Picture, Picture)>> {
        self.data.masked(self.indices[index])
    }

    fn mask_name(&self, index: usize) -> String {
        self.data.mask_name(self.indices[index])
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        let mut all = Fingerprinter::default();
        all.bytes(self.data.fingerprint()?.0.as_bytes());
        all.number(self.indices.len());
        self.indices.iter().for_each(|&index| all.number(index));
        Ok(all.finish())
    }
}

/// How many pictures each class has, in the order of the classes.
pub fn counts(data: &dyn Dataset) -> Vec<usize> {
    let mut counts = vec![0; data.classes().len()];
    (0..data.len()).for_each(|index| counts[data.label(index)] += 1);
    counts
}

/// How many pixels of each class the masks of a data set have, in the order of the classes. A mask that can't be read is
/// none.
pub fn pixel_counts(data: &dyn Dataset) -> Vec<usize> {
    let classes = data.classes().len();
    let mut counts = vec![0; classes];
    for mask in (0..data.len()).filter_map(|index| data.mask(index).ok().flatten()) {
        let (of_mask, _) = crate::mask::counts([&mask], classes);
        counts.iter_mut().zip(of_mask).for_each(|(count, more)| *count += more);
    }
    counts
}

/// For each class the weight that makes all classes count alike: the mean count over its own, and 0 for a class without
/// pictures. The mean weight of a picture is 1.
pub fn class_weights(counts: &[usize]) -> Vec<f32> {
    let all: usize = counts.iter().sum();
    let present = counts.iter().filter(|&&count| count > 0).count();
    let weight = |&count: &usize| match count {
        0 => 0.0,
        _ => all as f32 / (present * count) as f32,
    };
    counts.iter().map(weight).collect()
}

/// Which of a network's classes each class of a data set is, by name: for judging a network on data that has some of its
/// classes, in an order of its own.
///
/// ImageNet's synsets (`n01440764`) stand for the classes that they are; a difference in case, and `_` for a blank, are
/// no difference.
///
/// # Errors
/// [`Error::UnknownClass`] names the first class that the network doesn't know, and the nearest that it does.
pub fn match_classes(data: &[String], network: &[String]) -> Result<Vec<usize>> {
    let plain = |name: &str| name.trim().replace('_', " ").to_lowercase();
    let known: BTreeMap<String, usize> =
        network.iter().enumerate().rev().map(|(index, name)| (plain(name), index)).collect();
    let find = |name: &String| {
        let exact = network.iter().position(|known| known == name);
        let synset = || {
            crate::classes::synset(name).and_then(|index| match network.get(index) {
                Some(class) if crate::classes::imagenet().get(index) == Some(&class.as_str()) => Some(index),
                _ => None,
            })
        };
        exact.or_else(synset).or_else(|| known.get(&plain(name)).copied()).ok_or_else(|| {
            Error::UnknownClass {
                class: name.clone(),
                known: network.len(),
                first: network.first().cloned().unwrap_or_default(),
            }
        })
    };
    data.iter().map(find).collect()
}
