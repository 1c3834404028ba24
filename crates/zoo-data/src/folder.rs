//! Pictures in folders, a folder for each class: the form in which most data sets of one's own come.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use zoo_base::random;

use crate::{Error, Result, shown};

/// The endings of the files that count as pictures, in lower case.
const ENDINGS: [&str; 14] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "pbm", "pgm", "ppm", "pnm"];

/// A data set of pictures, each with its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFolder {
    /// The names of the classes, sorted: those of the sub-folders that hold pictures.
    pub classes: Vec<String>,
    /// The pictures, class by class, sorted by path within each.
    pub items: Vec<Item>,
    /// What could not be taken.
    pub left_out: Vec<LeftOut>,
}

/// A picture and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The picture's file.
    pub path: PathBuf,
    /// The index of its class.
    pub class: usize,
}

/// Something in a folder of pictures that can't be taken, and why.
///
/// ```
/// use zoo_data::{LeftOut, Why};
///
/// let pipe = LeftOut { path: "photos/b.png".into(), why: Why::Irregular };
/// assert_eq!(pipe.to_string(), "photos/b.png: is no regular file, and is left out");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it can't be taken.
    pub why: Why,
}

/// Why something in a folder can't be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is called like a picture, and is a pipe, a socket or a device: one might wait for ever for what it gives.
    Irregular,
    /// What the operating system said when it was looked at.
    Unreadable(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(&self.path);
        match &self.why {
            Why::Irregular => write!(f, "{path}: is no regular file, and is left out"),
            Why::Unreadable(why) => write!(f, "{path}: {why}; check that it may be read"),
        }
    }
}

/// One of the things that were found in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A picture by its ending, and a regular file.
    Picture(PathBuf),
    /// What can't be taken.
    LeftOut(LeftOut),
}

impl Found {
    fn path(&self) -> &Path {
        match self {
            Found::Picture(path) => path,
            Found::LeftOut(left_out) => &left_out.path,
        }
    }
}

impl ImageFolder {
    /// Lists a folder with a sub-folder for each class. Pictures may lie deeper in a class's folder; what is
    /// no picture by its ending, and what is hidden (`.…`), is left out; so is, by name, what can't be read.
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// A folder that can't be read, or with pictures of fewer than two classes.
    pub fn read(folder: &Path) -> Result<ImageFolder> {
        let mut data = ImageFolder { classes: Vec::new(), items: Vec::new(), left_out: Vec::new() };
        for entry in entries(folder).map_err(unreadable(folder))?.into_iter().filter(|entry| entry.is_dir()) {
            let class = data.classes.len();
            let before = data.items.len();
            collect(&entry, &mut Vec::new(), &mut |found| match found {
                Found::Picture(path) => data.items.push(Item { path, class }),
                Found::LeftOut(left_out) => data.left_out.push(left_out),
            });
            if data.items.len() > before {
                data.classes.push(name_of(&entry));
            }
        }
        if data.classes.len() < 2 {
            return Err(Error::TooFewClasses { folder: folder.into(), found: data.classes.len() });
        }
        Ok(data)
    }

    /// Splits the data into a part to learn from and a part of about `share` to be tested on, by `seed`.
    ///
    /// Items of the same key go to the same side, so that a network isn't tested on what it has all but seen:
    /// another shot of the same scene, another drawing of the same thing. Of each class, the same share is
    /// held out, to the nearest whole group, and never all of it. Which side a group goes to depends on the
    /// seed and its key alone as far as the share allows, so that adding pictures moves few others.
    ///
    /// ```no_run
    /// # use zoo_data::ImageFolder;
    /// let data = ImageFolder::read("emoji".as_ref())?;
    /// // `google-1f600.png` and `twitter-1f600.png` show the same face.
    /// let face = |path: &std::path::Path| {
    ///     let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    ///     name.split_once('-').map_or(name.clone(), |(_, face)| face.to_string())
    /// };
    /// let (train, test) = data.split(0.2, 7, face);
    /// # Ok::<(), zoo_data::Error>(())
    /// ```
    pub fn split(&self, share: f64, seed: u64, key: impl Fn(&Path) -> String) -> (ImageFolder, ImageFolder) {
        let mut parts = [Vec::new(), Vec::new()];
        for class in 0..self.classes.len() {
            let keyed = self.items.iter().filter(|item| item.class == class);
            let keyed: Vec<(u64, String, &Item)> = keyed
                .map(|item| (key(&item.path), item))
                .map(|(key, item)| (hash(seed, key.as_bytes()), key, item))
                .collect();
            // Groups in the order of their hashes: the first ones are held out.
            let mut groups: Vec<(u64, &str)> =
                keyed.iter().map(|(hash, key, _)| (*hash, key.as_str())).collect();
            groups.sort_unstable();
            groups.dedup();
            let wanted = (groups.len() as f64 * share.clamp(0.0, 1.0)).round() as usize;
            let held_out = &groups[..wanted.min(groups.len().saturating_sub(1))];
            for (hash, key, item) in &keyed {
                let side = usize::from(held_out.binary_search(&(*hash, key.as_str())).is_ok());
                parts[side].push((*item).clone());
            }
        }
        let part = |items| ImageFolder { items, ..self.clone() };
        let [train, test] = parts.map(part);
        (train, test)
    }
}

/// Every picture in a folder and the folders in it, by its ending, sorted by path; and in its place what can't be
/// read, or is called like a picture and is none.
///
/// # Errors
/// If the folder itself can't be read.
pub fn pictures(folder: &Path) -> Result<Vec<Found>> {
    entries(folder).map_err(unreadable(folder))?;
    let mut all = Vec::new();
    collect(folder, &mut Vec::new(), &mut |found| all.push(found));
    all.sort_by(|a, b| a.path().cmp(b.path()));
    Ok(all)
}

/// Whether a file counts as a picture by its ending.
pub fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Hands every picture in a folder to `found`, and what can't be taken. A link back to one of the folders `within`
/// which this one lies would lead round for ever, and is left out.
fn collect(folder: &Path, within: &mut Vec<PathBuf>, found: &mut impl FnMut(Found)) {
    let lost = |path: &Path, source: io::Error| {
        Found::LeftOut(LeftOut { path: path.into(), why: Why::Unreadable(source.to_string()) })
    };
    let place = match folder.canonicalize() {
        Ok(place) if within.contains(&place) => return,
        Ok(place) => place,
        Err(source) => return found(lost(folder, source)),
    };
    let paths = match entries(folder) {
        Ok(paths) => paths,
        Err(source) => return found(lost(folder, source)),
    };
    within.push(place);
    for path in paths {
        match path.metadata() {
            Ok(kind) if kind.is_dir() => collect(&path, within, found),
            _ if !is_picture(&path) => {}
            Ok(kind) if kind.is_file() => found(Found::Picture(path)),
            Ok(_) => found(Found::LeftOut(LeftOut { path, why: Why::Irregular })),
            Err(source) => found(lost(&path, source)),
        }
    }
    within.pop();
}

fn unreadable(folder: &Path) -> impl FnOnce(io::Error) -> Error {
    let name = shown(folder);
    |source| Error::Io { name, source }
}

/// What lies in a folder and isn't hidden, sorted.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !name_of(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// FNV-1a over the bytes, scattered, under a seed.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    random::mix(random::fnv1a(random::FNV_START ^ random::mix(seed), bytes))
}
