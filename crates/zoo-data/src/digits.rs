//! MNIST's digits: 9,000 of them are compiled in, and anyone's own IDX files are read.
//!
//! ```
//! let (train, test) = zoo_data::digits::bundled()?;
//! assert_eq!((train.len(), test.len()), (8000, 1000));
//! assert_eq!((test.height, test.width, test.image(0).len()), (28, 28, 784));
//! assert_eq!(test.labels[0], 7);
//! # Ok::<(), zoo_data::Error>(())
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Part, Result, idx, shown};

/// Digits with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    /// The pictures one after the other, row by row, 0 the paper and 255 the ink.
    pub images: Vec<u8>,
    /// 0 to 9, one for each picture.
    pub labels: Vec<u8>,
    /// Rows of a picture.
    pub height: usize,
    /// Columns of a picture.
    pub width: usize,
}

impl Digits {
    /// How many digits.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of one digit, `height * width` of them.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.height * self.width;
        &self.images[index * size..(index + 1) * size]
    }

    /// The digits at these places, in this order: a split, a class, a sample.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Digits {
        Digits {
            images: indices.iter().flat_map(|&index| self.image(index)).copied().collect(),
            labels: indices.iter().map(|&index| self.labels[index]).collect(),
            ..*self
        }
    }

    /// Reads a part of MNIST, or of a data set in its form with ten classes, from a folder.
    ///
    /// The files are `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, or `t10k-…`, plain or with
    /// `.gz`; some tools unpack them as `train-images.idx3-ubyte`, which is found as well.
    ///
    /// # Errors
    /// A file that is missing, can't be read or isn't what its header says; labels that aren't 0 to 9, or not
    /// as many as pictures.
    pub fn read(folder: &Path, part: Part) -> Result<Digits> {
        let images = find(folder, part, "images", 3)?;
        let labels = find(folder, part, "labels", 1)?;
        Digits::from_idx((&read(&images)?, &shown(&images)), (&read(&labels)?, &shown(&labels)))
    }

    /// Joins two IDX files, each given as its bytes (gzipped or not) and the name that errors call it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_idx(images: (&[u8], &str), labels: (&[u8], &str)) -> Result<Digits> {
        let (images, images_name) = (idx::read_images(images.0, images.1)?, images.1);
        let (labels, labels_name) = (idx::read_labels(labels.0, labels.1)?, labels.1);
        if images.count != labels.len() {
            return Err(Error::CountsDiffer {
                images_name: images_name.into(),
                labels_name: labels_name.into(),
                images: images.count,
                labels: labels.len(),
            });
        }
        if let Some(index) = labels.iter().position(|&label| label > 9) {
            return Err(Error::LabelRange { name: labels_name.into(), index, label: labels[index] });
        }
        Ok(Digits { images: images.pixels, labels, height: images.height, width: images.width })
    }
}

/// The digits that are compiled in: 8,000 to train on and 1,000 to test on, all of them MNIST's own.
///
/// # Errors
/// None in a build whose assets are whole.
pub fn bundled() -> Result<(Digits, Digits)> {
    macro_rules! part {
        ($images:literal, $labels:literal) => {
            Digits::from_idx(
                (include_bytes!(concat!("../assets/mnist-10k/", $images)), $images),
                (include_bytes!(concat!("../assets/mnist-10k/", $labels)), $labels),
            )
        };
    }
    Ok((
        part!("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")?,
        part!("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")?,
    ))
}

/// The first word of a part's file names.
const fn stem(part: Part) -> &'static str {
    match part {
        Part::Train => "train",
        Part::Validation => "validation",
        Part::Test => "t10k",
    }
}

/// The first of the spellings that is there; a plain file before a gzipped one.
pub(crate) fn find(folder: &Path, part: Part, what: &str, dimensions: u8) -> Result<PathBuf> {
    // A folder that isn't there deserves a better answer than "holds no …".
    fs::read_dir(folder).map_err(|source| Error::Io { name: shown(folder), source })?;
    let stem = stem(part);
    let spellings = [
        format!("{stem}-{what}-idx{dimensions}-ubyte"),
        format!("{stem}-{what}.idx{dimensions}-ubyte"),
        format!("{stem}-{what}-idx{dimensions}-ubyte.gz"),
        format!("{stem}-{what}.idx{dimensions}-ubyte.gz"),
    ];
    let there = spellings.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let [wanted, ..] = spellings;
    there.ok_or_else(|| Error::NoIdxFile { folder: folder.into(), wanted })
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { name: shown(path), source })
}
