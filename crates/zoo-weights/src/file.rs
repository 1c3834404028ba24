//! A file of weights: names, types, shapes, bytes and metadata, whatever the format.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Fault, IoContext, Result};
use crate::{Dtype, Error, Tensor, pth, safetensors, zip};

/// A format of weights that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's safetensors.
    Safetensors,
    /// PyTorch's `.pth`, either of its two kinds.
    Pth,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::Pth => "PyTorch",
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
}

/// What a reader found in a file: its tensors in file order and its metadata.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) entries: Vec<Entry>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// One tensor of a file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

/// Where a tensor's bytes are.
#[derive(Debug)]
pub(crate) enum Data {
    /// In the file, row by row.
    InFile(Range<usize>),
    /// In the file, in another order: the place of the first element, and the step along each axis, counted
    /// in elements. The reader has checked that all of them are in the file.
    Strided { first: usize, strides: Vec<usize> },
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
        Self::read(path.to_path_buf(), bytes)
    }

    /// Reads weights that lie inside the program; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self> {
        Self::read(PathBuf::from(name), Bytes::Borrowed(bytes))
    }

    /// Reads weights from memory; `name` stands for the path in errors.
    ///
    /// # Errors
    /// As [`TensorFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        Self::read(PathBuf::from(name), Bytes::Owned(bytes))
    }

    fn read(path: PathBuf, bytes: Bytes) -> Result<Self> {
        let (format, contents) = parse(&bytes).ok_or_else(|| Error::UnknownFormat { path: path.clone() })?;
        let Contents { entries, metadata } = contents.map_err(|fault| fault.of(&path, format))?;
        let index = entries.iter().enumerate().map(|(i, entry)| (entry.name.clone(), i)).collect();
        Ok(Self { path, format, bytes, entries, index, metadata })
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

    fn view<'a>(&'a self, entry: &'a Entry) -> Tensor<'a> {
        let bytes = match &entry.data {
            Data::InFile(range) => Cow::Borrowed(&self.bytes[range.clone()]),
            Data::Strided { first, strides } => {
                Cow::Owned(gather(&self.bytes[*first..], &entry.shape, strides, entry.dtype.size()))
            }
        };
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
fn parse(bytes: &[u8]) -> Option<(Format, std::result::Result<Contents, Fault>)> {
    // A safetensors file starts with the length of a JSON object, then that object.
    if let [_, _, _, _, _, _, _, _, b'{', ..] = bytes {
        return Some((Format::Safetensors, safetensors::read(bytes)));
    }
    if bytes.starts_with(zip::MAGIC) {
        let contents = zip::members(bytes).and_then(|members| pth::read_zip(bytes, &members));
        return Some((Format::Pth, contents));
    }
    if pth::is_legacy(bytes) {
        return Some((Format::Pth, pth::read_legacy(bytes)));
    }
    None
}

/// Copies elements of `size` bytes that lie `strides` apart into rows. The shape has no zero.
fn gather(bytes: &[u8], shape: &[usize], strides: &[usize], size: usize) -> Vec<u8> {
    let count: usize = shape.iter().product();
    let mut rows = Vec::with_capacity(count * size);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..count {
        rows.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    rows
}

#[expect(unsafe_code)]
fn map(file: &File, path: &Path) -> Result<Mmap> {
    // SAFETY: the map is read-only, private to this crate's reader, and every read of it is bounds-checked
    // bytes that are valid for any bit pattern. What remains is another process that changes the file in
    // place: that breaks the contract which `TensorFile::open` states. Files that this crate itself puts in
    // place are renamed over, never rewritten, so they keep it.
    unsafe { Mmap::map(file) }.at("map", path)
}
