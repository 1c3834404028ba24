//! CIFAR-10 and CIFAR-100 in their binary form (Krizhevsky 2009).
//!
//! ```text
//! CIFAR-10:  label,               then 1024 bytes of red, of green, of blue, row by row: 32x32 pixels
//! CIFAR-100: coarse label, label, then the same
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use crate::memory::named_or_numbered;
use crate::{Channels, Error, InMemory, Part, Result, classes, shown};

/// The side of the pictures.
const SIDE: usize = 32;

/// Values of a picture.
const PIXELS: usize = 3 * SIDE * SIDE;

/// One of both data sets.
struct Form {
    /// The folder that their archive holds.
    folder: &'static str,
    /// Bytes of labels before each picture; the last one counts.
    labels: usize,
    classes: usize,
    /// The file with their names.
    names: &'static str,
    files: &'static [(&'static str, Part)],
}

const CIFAR10: Form = Form {
    folder: "cifar-10-batches-bin",
    labels: 1,
    classes: 10,
    names: "batches.meta.txt",
    files: &[
        ("data_batch_1.bin", Part::Train),
        ("data_batch_2.bin", Part::Train),
        ("data_batch_3.bin", Part::Train),
        ("data_batch_4.bin", Part::Train),
        ("data_batch_5.bin", Part::Train),
        ("test_batch.bin", Part::Test),
    ],
};

const CIFAR100: Form = Form {
    folder: "cifar-100-binary",
    labels: 2,
    classes: 100,
    names: "fine_label_names.txt",
    files: &[("train.bin", Part::Train), ("test.bin", Part::Test)],
};

/// Where CIFAR's files lie, in this folder or in the one that their archive holds; nothing if there are none.
fn find(folder: &Path) -> Option<(PathBuf, &'static Form)> {
    [&CIFAR10, &CIFAR100].into_iter().find_map(|form| {
        let folders = [folder.to_path_buf(), folder.join(form.folder)];
        let has = |folder: &PathBuf| form.files.iter().any(|(file, _)| folder.join(file).is_file());
        Some((folders.into_iter().find(has)?, form))
    })
}

/// Reads CIFAR's files from a folder; nothing if there are none. Files may be left out, as some of the batches that one
/// learns from.
///
/// # Errors
/// A file that can't be read or is no whole number of pictures, a label that is no class's.
pub fn read(folder: &Path) -> Result<Option<InMemory>> {
    let Some((folder, form)) = find(folder) else { return Ok(None) };
    let names = folder.join(form.names);
    let names = match names.is_file() {
        true => {
            let bytes = fs::read(&names).map_err(|source| Error::Io { name: shown(&names), source })?;
            classes::parse(&bytes, &shown(&names))?
        }
        false => named_or_numbered(&folder, form.classes)?,
    };
    let mut data = InMemory::new(names, (SIDE, SIDE), Channels::Rgb)?;
    for (file, part) in form.files {
        let path = folder.join(file);
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).map_err(|source| Error::Io { name: shown(&path), source })?;
        let record = form.labels + PIXELS;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            return Err(Error::CifarLength { name: shown(&path), found: bytes.len(), record });
        }
        let mut pixels = Vec::with_capacity(bytes.len());
        let mut labels = Vec::with_capacity(bytes.len() / record);
        for record in bytes.chunks_exact(record) {
            let (label, planes) = record.split_at(form.labels);
            labels.push(usize::from(label[form.labels - 1]));
            let at =
                |index: usize| [planes[index], planes[index + SIDE * SIDE], planes[index + 2 * SIDE * SIDE]];
            pixels.extend((0..SIDE * SIDE).flat_map(at));
        }
        data.add(Some(*part), file.trim_end_matches(".bin"), &pixels, &labels)?;
    }
    Ok(Some(data))
}
