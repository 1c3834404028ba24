//! A file of weights: names, types, shapes, bytes and metadata, whatever the format.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Fault, IoContext, Result};
use crate::reading::bytes_of;
use crate::{Dtype, Error, KeyMap, Tensor, foreign, hdf5, pth, safetensors, zip};

/// A format of weights that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's safetensors.
    Safetensors,
    /// PyTorch's `.pth`, either of its two kinds.
    Pth,
    /// Keras' HDF5: `.h5`, `.weights.h5`, or in an archive, `.keras`.
    Keras,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::Pth => "PyTorch",
            Self::Keras => "Keras HDF5",
        })
    }
}

/// An opened file of weights.
///
/// Tensors are borrowed from the mapped file where they lie there row by row, so that opening reads
/// the header alone.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("w.safetensors");
/// use zoo_weights::{Tensor, TensorFile, save};
///
/// let values = [1.0, 2.0, 3.0];
/// save(&path, &[("fc.bias", Tensor::from_f32(&[3], &values))], None)?;
/// let file = TensorFile::open(&path)?;
/// assert_eq!(file.get("fc.bias").unwrap().to_f32()?, values);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    format: Format,
    bytes: Bytes,
    entries: Vec<Entry>,
    index: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
    notes: Vec<String>,
    /// For reading values: what passes through the map stays in memory as long as the file is open.
    file: Option<File>,
}

/// What a reader found in a file: its tensors in file order and its metadata.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) entries: Vec<Entry>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// What was chosen where there was a choice, as sentences without a subject.
    pub(crate) notes: Vec<String>,
    /// Whether the key that was asked for has been followed.
    pub(crate) key_used: bool,
    /// The keys that could have been asked for.
    pub(crate) keys: Vec<String>,
}

/// One tensor of a file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

/// Where a tensor's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// In the file, row by row.
    InFile(Range<usize>),
    /// In the file, in another order: the place of the first element, and for each axis its length and the
    /// step along it, counted in elements. The reader has checked that all of them are in the file.
    Strided { first: usize, shape: Vec<usize>, strides: Vec<usize> },
}

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    Borrowed(&'static [u8]),
    Owned(Vec<u8>),
}

impl TensorFile {
    /// Opens a file and reads its header; the format is told from the content, not from the name.
    ///
    /// The file is mapped into memory: it must not be cut or overwritten in place while it is open.
    /// (What this crate writes replaces files as a whole, which leaves an open one as it was.)
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::UnknownFormat`], [`Error::Malformed`], [`Error::Refused`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_key(path, None)
    }

    /// The same, where a file holds the weights of several networks, or one network's in several states: those under
    /// `key`, the key of a dict (`state_dict_ema`) or what their names begin with (`teacher.backbone`).
    ///
    /// # Errors
    /// As [`TensorFile::open`]; [`Error::NoKey`] for a key that the file has not.
    pub fn open_key(path: impl AsRef<Path>, key: Option<&str>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).at("open", path)?;
        let about = file.metadata().at("open", path)?;
        if about.is_dir() {
            return Err(Error::Io {
                action: "open",
                path: path.to_path_buf(),
                source: std::io::ErrorKind::IsADirectory.into(),
            });
        }
        // An empty map is an error on some systems, and an empty file no weights on any.
        let bytes = if about.len() == 0 { Bytes::Borrowed(&[]) } else { Bytes::Mapped(map(&file, path)?) };
        let opened = Self::parsed(path.to_path_buf(), bytes, key)?;
        Ok(Self { file: Some(file), ..opened })
    }

    /// Reads weights that lie inside the program; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::parsed(PathBuf::from(name), Bytes::Borrowed(bytes), None)
    }

    /// Reads weights from memory; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        Self::parsed(PathBuf::from(name), Bytes::Owned(bytes), None)
    }

    fn parsed(path: PathBuf, bytes: Bytes, key: Option<&str>) -> Result<Self> {
        if let Some(why) = foreign::named(&bytes) {
            return Err(Error::Refused { path, why });
        }
        let (format, contents) =
            parse(&bytes, key).ok_or_else(|| Error::UnknownFormat { path: path.clone() })?;
        let Contents { entries, metadata, notes, key_used, keys } =
            contents.map_err(|fault| fault.of(&path, format))?;
        let index = index(&entries).map_err(|fault| fault.of(&path, format))?;
        let file = Self { path, format, bytes, entries, index, metadata, notes, file: None };
        match key {
            Some(key) if !key_used => file.under_key(key, keys),
            _ => Ok(file),
        }
    }

    /// The tensors whose names begin with the key; `keys` are those of the dicts that the file has.
    fn under_key(self, key: &str, keys: Vec<String>) -> Result<Self> {
        let prefix = format!("{}.", key.trim_end_matches('.'));
        if self.entries.iter().any(|entry| entry.name.starts_with(&prefix)) {
            return Ok(self.under(&prefix, |_| false));
        }
        // Keras' names have slashes.
        let scope = |entry: &Entry| entry.name.split(['.', '/']).next().map(str::to_string);
        let mut names: Vec<String> = match keys.is_empty() {
            true => self.entries.iter().filter_map(scope).collect(),
            false => keys,
        };
        names.dedup();
        names.truncate(8);
        Err(Error::NoKey { path: self.path.clone(), key: key.into(), names })
    }

    /// The tensors whose names begin with `prefix`, without it, and of the others those that `keep` names as they
    /// are. What is left out, [`TensorFile::notes`] says.
    #[must_use]
    pub fn under(mut self, prefix: &str, keep: impl Fn(&str) -> bool) -> Self {
        let inside: Vec<bool> = self.entries.iter().map(|entry| entry.name.starts_with(prefix)).collect();
        self.notes.push(format!("takes `{}` off the names", prefix.escape_debug()));
        let mut places = inside.iter();
        self = self.keeping(|name| places.next() == Some(&true) || keep(name));
        for entry in &mut self.entries {
            if let Some(rest) = entry.name.strip_prefix(prefix) {
                entry.name = rest.to_string();
            }
        }
        self.reindexed()
    }

    /// The tensors whose names `keep` takes. What is left out, [`TensorFile::notes`] says.
    #[must_use]
    pub fn keeping(mut self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let mut left_out = Vec::new();
        self.entries.retain(|entry| {
            let kept = keep(&entry.name);
            if !kept {
                left_out.push(entry.name.clone());
            }
            kept
        });
        if !left_out.is_empty() {
            let shown = left_out.iter().take(4).map(|name| name.escape_debug().to_string());
            let more = left_out.len().saturating_sub(4);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.notes.push(format!("leaves out {}{more}", shown.collect::<Vec<_>>().join(", ")));
        }
        self.reindexed()
    }

    /// The same file, a dense layer's weight of two axes seen as a convolution's of four where `wanted` has it so:
    /// a convolution over one pixel is a dense layer, and older files keep it as one.
    #[must_use]
    pub fn with_shapes(mut self, wanted: impl Fn(&str) -> Option<Vec<usize>>) -> Self {
        let mut seen = Vec::new();
        for entry in &mut self.entries {
            let fits =
                |wanted: &Vec<usize>| matches!(wanted[..], [_, _, 1, 1]) && wanted[..2] == entry.shape[..];
            if let Some(wanted) = wanted(&entry.name).filter(fits) {
                if let Data::Strided { shape, strides, .. } = &mut entry.data {
                    shape.extend([1, 1]);
                    strides.extend([1, 1]);
                }
                entry.shape = wanted;
                seen.push(entry.name.clone());
            }
        }
        if let Some(first) = seen.first() {
            self.notes
                .push(format!("takes {} weights of two axes for 1x1 convolutions ({first}, …)", seen.len()));
        }
        self
    }

    /// The same file with names exchanged by `rename`; two that would become one keep their own.
    #[must_use]
    pub fn renamed(mut self, rename: impl Fn(&str) -> Option<String>) -> Self {
        for i in 0..self.entries.len() {
            if let Some(new) = rename(&self.entries[i].name).filter(|new| !self.index.contains_key(new)) {
                self.notes.push(format!("takes `{}` for `{new}`", self.entries[i].name.escape_debug()));
                self.entries[i].name = new;
                self = self.reindexed();
            }
        }
        self
    }

    fn reindexed(mut self) -> Self {
        // Of two that come to have one name the first is found; the load report names the other.
        self.index = HashMap::with_capacity(self.entries.len());
        for (i, entry) in self.entries.iter().enumerate() {
            self.index.entry(entry.name.clone()).or_insert(i);
        }
        self
    }

    /// The same with something more to be said of it.
    #[must_use]
    pub fn noted(mut self, note: Option<String>) -> Self {
        self.notes.extend(note);
        self
    }

    /// What was chosen where there was a choice, and what was left out: sentences without a subject.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The same file under an architecture's names.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file is not of the kind that the map is for.
    pub fn with_keys(mut self, keys: KeyMap) -> Result<Self> {
        let is_mean = self.metadata.get(hdf5::config::POOLING).is_none_or(|pooling| pooling != "max");
        let mapped = keys.apply(&mut self.entries, is_mean).and_then(|()| index(&self.entries));
        self.index = mapped.map_err(|fault| fault.of(&self.path, self.format))?;
        Ok(self)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The format it is in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The metadata, by key; empty where the format has none.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A tensor's shape by name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.index.get(name).map(|&i| self.entries[i].shape.as_slice())
    }

    /// Names and shapes in file order, for [`LoadReport::compare`](crate::LoadReport::compare).
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice()))
    }

    /// All tensors in file order.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, Tensor<'_>)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), self.view(entry)))
    }

    /// A tensor by name.
    pub fn get(&self, name: &str) -> Option<Tensor<'_>> {
        self.index.get(name).map(|&i| self.view(&self.entries[i]))
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.index.get(name).map(|&i| &self.entries[i])
    }

    /// The file itself, where it was opened as one.
    pub(crate) fn disk(&self) -> Option<&File> {
        self.file.as_ref()
    }

    pub(crate) fn view<'a>(&'a self, entry: &'a Entry) -> Tensor<'a> {
        let bytes = bytes_of(&self.bytes, entry);
        Tensor { dtype: entry.dtype, shape: Cow::Borrowed(&entry.shape), bytes }
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Borrowed(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Tells the format from the content and reads it; `None` if it is none that is known.
fn parse(bytes: &[u8], key: Option<&str>) -> Option<(Format, std::result::Result<Contents, Fault>)> {
    // A safetensors file starts with the length of a JSON object, then that object.
    if let [_, _, _, _, _, _, _, _, b'{', ..] = bytes {
        return Some((Format::Safetensors, safetensors::read(bytes)));
    }
    if bytes.starts_with(zip::MAGIC) {
        let members = match zip::members(bytes) {
            Ok(members) => members,
            Err(fault) => return Some((Format::Pth, Err(fault))),
        };
        if let Some(weights) = members.get(hdf5::KERAS_MEMBER) {
            let config = members.get(hdf5::KERAS_CONFIG).map(|range| &bytes[range.clone()]);
            let contents = hdf5::read(bytes, weights.clone()).map(|mut contents| {
                contents.metadata.extend(config.into_iter().flat_map(hdf5::config::told));
                contents
            });
            return Some((Format::Keras, contents));
        }
        return Some((Format::Pth, pth::read_zip(bytes, &members, key)));
    }
    if bytes.starts_with(hdf5::format::MAGIC) {
        return Some((Format::Keras, hdf5::read(bytes, 0..bytes.len())));
    }
    if pth::is_legacy(bytes) {
        return Some((Format::Pth, pth::read_legacy(bytes, key)));
    }
    if let [0x80, 2..=5, ..] = bytes {
        let why = "it is a pickle that torch.save did not write; save the state dict with torch.save or safetensors";
        return Some((Format::Pth, Err(Fault::Refused(why.into()))));
    }
    None
}

/// Finds entries by name; a name stands for one.
fn index(entries: &[Entry]) -> std::result::Result<HashMap<String, usize>, Fault> {
    let mut index = HashMap::with_capacity(entries.len());
    for (i, entry) in entries.iter().enumerate() {
        if index.insert(entry.name.clone(), i).is_some() {
            return Err(Fault::malformed(format!("two tensors are called `{}`", entry.name.escape_debug())));
        }
    }
    Ok(index)
}

#[expect(unsafe_code)]
fn map(file: &File, path: &Path) -> Result<Mmap> {
    // SAFETY: the map is read-only, private to this crate's reader, and every read of it is bounds-checked
    // bytes that are valid for any bit pattern. What remains is another process that changes the file in
    // place: that breaks the contract which `TensorFile::open` states. Files that this crate itself puts in
    // place are renamed over, never rewritten, so they keep it.
    unsafe { Mmap::map(file) }.at("map", path)
}
