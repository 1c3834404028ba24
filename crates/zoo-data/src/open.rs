//! Whatever data lies at a path.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::{Dataset, Error, ImageFolder, InMemory, MaskFolder, Result, Table, cifar, shown};

/// Opens the data at `path`, whatever it is:
///
/// | at the path | is |
/// |---|---|
/// | a `.csv` or `.tsv` file | [`Table`] |
/// | a folder with MNIST's IDX files, plain or gzipped | [`InMemory`], in the parts `train` and `test` |
/// | a folder with CIFAR's binary files, or with the folder of them | [`InMemory`], in the parts `train` and `test` |
/// | a folder with `JPEGImages` and `SegmentationClass`, or with `images` and `masks` | [`MaskFolder`] |
/// | a folder with `train`, `val` or `test`, and in each `images` and `masks` | [`MaskFolder`], in parts |
/// | a folder with a folder for each class | [`ImageFolder`] |
/// | a folder with `train`, `val` or `test`, and in each a folder for each class | [`ImageFolder`], in parts |
///
/// # Errors
/// A path that can't be read, or holds nothing of this kind; whatever is wrong with what it holds; pictures of one class, of
/// which nothing can be learned.
pub fn open(path: &Path) -> Result<Arc<dyn Dataset>> {
    let data = open_any(path)?;
    match data.classes().len() {
        found @ 0..2 if !data.has_masks() => Err(Error::TooFewClasses {
            folder: path.into(),
            found,
            why: crate::finding::told(data.findings()),
        }),
        _ => Ok(data),
    }
}

/// The same where one class is enough: pictures that a network which tells more apart is judged by.
///
/// # Errors
/// As [`open`], but for pictures of one class.
pub fn open_any(path: &Path) -> Result<Arc<dyn Dataset>> {
    let kind = fs::metadata(path).map_err(|source| Error::Io { name: shown(path), source })?;
    if kind.is_file() {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        return match ending.as_deref() {
            Some("csv" | "tsv") => Ok(Arc::new(Table::read(path)?)),
            _ => Err(Error::NoDataset { path: path.into() }),
        };
    }
    match InMemory::idx(path) {
        Err(Error::NoIdxFile { .. }) => {}
        found => return Ok(Arc::new(found?)),
    }
    if let Some(found) = cifar::read(path)? {
        return Ok(Arc::new(found));
    }
    if let Some(found) = MaskFolder::find(path)? {
        return Ok(Arc::new(found));
    }
    match ImageFolder::read(path) {
        // Where nothing was found that could be named.
        Err(Error::TooFewClasses { found: 0, why, .. }) if why.is_empty() => {
            Err(Error::NoDataset { path: path.into() })
        }
        found => Ok(Arc::new(found?)),
    }
}
