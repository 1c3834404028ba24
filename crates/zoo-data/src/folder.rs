//! Pictures in folders, a folder for each class: the form in which most data sets of one's own come.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use crate::dataset::Fingerprinter;
use crate::{Dataset, Error, Finding, Fingerprint, Part, Result, Stored, classes, picture, shown};

/// The endings of the files that count as pictures, in lower case.
const ENDINGS: [&str; 14] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "pbm", "pgm", "ppm", "pnm"];

/// The endings of pictures that telephones and browsers write, and that aren't read.
const UNREAD: [&str; 4] = ["heic", "heif", "avif", "jxl"];

/// Pictures in folders, a folder for each class; perhaps below a folder for each part (`train/cats/1.jpg`).
#[derive(Debug, Clone)]
pub struct ImageFolder {
    root: PathBuf,
    classes: Vec<String>,
    items: Vec<Item>,
    findings: Vec<Finding>,
}

/// A picture and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The picture's file.
    pub path: PathBuf,
    /// The index of its class.
    pub class: usize,
    /// Its part, if the folders say so.
    pub part: Option<Part>,
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
    /// It is a picture of a kind that isn't read.
    Format,
    /// It has the mask that another picture, whose name differs in its ending alone, has already.
    Twin(PathBuf),
    /// What the operating system said when it was looked at.
    Unreadable(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = shown(&self.path);
        match &self.why {
            Why::Irregular => write!(f, "{path}: is no regular file, and is left out"),
            Why::Format => {
                write!(
                    f,
                    "{path}: pictures of this kind aren't read, and it is left out; save it as JPEG or PNG"
                )
            }
            Why::Twin(other) => {
                write!(
                    f,
                    "{path}: its mask is that of {}, and it is left out; rename one of both",
                    shown(other)
                )
            }
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
    /// Lists a folder with a sub-folder for each class, or with `train`, `val` and `test` in which these lie. Pictures
    /// may lie deeper in a class's folder; what is no picture by its ending, and what is hidden (`.…`), is left out; so
    /// is, by name, what can't be read. Nothing is opened yet.
    ///
    /// Classes come in the order of their names, of numbers in that of the numbers. Where all folders are called as
    /// ImageNet's synsets (`n01440764`), the classes get ImageNet's names, in its order.
    ///
    /// # Errors
    /// A folder that can't be read, pictures of no class, two classes that differ in case alone.
    pub fn read(folder: &Path) -> Result<ImageFolder> {
        let folders = folders_in(folder)?;
        let mut findings = Vec::new();
        let mut found: Vec<(String, Option<Part>, PathBuf)> = Vec::new();
        match parts_of(&folders)? {
            Some(parts) => {
                for (path, part) in folders.iter().zip(parts) {
                    match part {
                        Some(part) => found.extend(
                            folders_in(path)?.into_iter().map(|class| (name_of(&class), Some(part), class)),
                        ),
                        None => findings.push(Finding::NoPart { folder: name_of(path) }),
                    }
                }
            }
            None => found.extend(folders.into_iter().map(|class| (name_of(&class), None, class))),
        }

        let mut pictures = Vec::new();
        let mut names = BTreeSet::new();
        for (class, part, path) in &found {
            let before = pictures.len();
            collect(path, &mut Vec::new(), &mut |found| match found {
                Found::Picture(path) => pictures.push((class, *part, path)),
                Found::LeftOut(left_out) => findings.push(Finding::LeftOut(left_out)),
            });
            if pictures.len() > before {
                names.insert(class.as_str());
            }
        }
        for (class, ..) in &found {
            let finding = Finding::EmptyClass { class: class.clone() };
            if !names.contains(class.as_str()) && !findings.contains(&finding) {
                findings.push(finding);
            }
        }
        if names.is_empty() {
            return Err(Error::TooFewClasses {
                folder: folder.into(),
                found: names.len(),
                why: crate::finding::told(&findings),
            });
        }
        let names = classes::ordered(names.into_iter().map(String::from).collect(), &shown(folder))?;
        let places: HashMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let item = |(class, part, path): (&String, Option<Part>, PathBuf)| Item {
            class: places.get(class.as_str()).copied().unwrap_or_default(),
            path,
            part,
        };
        let mut items: Vec<Item> = pictures.into_iter().map(item).collect();
        items.sort_by_key(|item| (item.part, item.class));
        let classes = classes::of_synsets(&names).unwrap_or(names);
        Ok(ImageFolder { root: folder.into(), classes, items, findings })
    }

    /// The pictures: part by part, class by class, sorted by path within each.
    pub fn items(&self) -> &[Item] {
        &self.items
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.items.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.items[index].class
    }

    fn name(&self, index: usize) -> String {
        name_within(&self.root, &self.items[index].path)
    }

    fn part(&self, index: usize) -> Option<Part> {
        self.items[index].part
    }

    fn stored(&self, index: usize) -> Result<Stored> {
        Ok(Stored::File(picture::read(&self.items[index].path)?))
    }

    fn fingerprint(&self) -> Result<Fingerprint> {
        of_files(self, |index| &self.items[index].path)
    }

    fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

/// The fingerprint of pictures that are files.
pub(crate) fn of_files<'a>(data: &dyn Dataset, path: impl Fn(usize) -> &'a Path) -> Result<Fingerprint> {
    const READ: usize = 1024;
    let mut all = Fingerprinter::new(data.classes());
    let step = data.len().div_ceil(READ).max(1);
    for index in 0..data.len() {
        let path = path(index);
        all.item(data, index);
        // What can't be read is left out where it is needed; if it can be read one day, the data is another.
        all.number(fs::metadata(path).map_or(usize::MAX, |found| found.len() as usize));
        if index % step == 0 {
            all.bytes(&picture::read(path).unwrap_or_default());
        }
    }
    Ok(all.finish())
}

/// A file's path from the data's root, as names of pictures are written everywhere.
pub(crate) fn name_within(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner.components().map(|part| shown(part.as_ref())).collect::<Vec<_>>().join("/")
}

/// Which of these folders are the parts of a data set, if any is: one or more called so, with folders in them. Where
/// another folder lies beside them, it takes two, one of them to learn from: a class may be called `test`.
fn parts_of(folders: &[PathBuf]) -> Result<Option<Vec<Option<Part>>>> {
    let mut parts = Vec::with_capacity(folders.len());
    for folder in folders {
        let part = Part::named(&name_of(folder));
        parts.push(if part.is_some() && !folders_in(folder)?.is_empty() { part } else { None });
    }
    let named: BTreeSet<Part> = parts.iter().copied().flatten().collect();
    let all = parts.iter().all(Option::is_some);
    let enough = if all { !named.is_empty() } else { named.contains(&Part::Train) && named.len() > 1 };
    Ok(enough.then_some(parts))
}

fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = entries(folder).map_err(unreadable(folder))?;
    entries.retain(|entry| entry.is_dir());
    Ok(entries)
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
    ends_as(path, &ENDINGS)
}

fn ends_as(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
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
            _ if ends_as(&path, &UNREAD) => found(Found::LeftOut(LeftOut { path, why: Why::Format })),
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
