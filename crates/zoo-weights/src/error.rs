//! What can go wrong, each as a sentence that names the file and the way out.

use std::io;
use std::path::{Path, PathBuf};

use crate::{Format, LoadReport};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; {}", path.display(), way_out(source))]
    Io {
        /// What was attempted: `open`, `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is none of the formats that are read.
    #[error(
        "{} is no file of weights that can be read: it is neither safetensors, nor a PyTorch .pth, nor Keras HDF5; \
         `Manifest::published` names weights that are",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file breaks the rules of its format.
    #[error("{} is not a valid {format} file: {why}; fetch or save it again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The format it was read as.
        format: Format,
        /// The rule that is broken, and where.
        why: String,
    },
    /// The file is valid and holds something that is deliberately not read.
    #[error("{} is refused: {why}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What it holds and why that is not read.
        why: String,
    },
    /// The file has nothing under the key that was asked for.
    #[error("{} has nothing under the key `{key}`; it has {}", path.display(), names.join(", "))]
    NoKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The keys of the dicts that it has, or else what its names begin with; the first eight.
        names: Vec<String>,
    },
    /// The file keeps several networks, or one in several states, and none is the usual one.
    #[error(
        "{} holds several dicts of tensors ({}); say by its key which is meant (`TensorFile::open_key`)",
        path.display(), keys.join(", ")
    )]
    Several {
        /// The file.
        path: PathBuf,
        /// The key of each.
        keys: Vec<String>,
    },
    /// A tensor has a type that does not convert to f32.
    #[error("a tensor of type {dtype} has no f32 values: weights are f32, f16, bf16 or f64")]
    NotFloat {
        /// The tensor's type.
        dtype: crate::Dtype,
    },
    /// A value does not fit the type it is to have.
    #[error("it has values beyond {limit}, the largest of {dtype}; take bf16 or f32")]
    TooLarge {
        /// The type.
        dtype: crate::Dtype,
        /// Its largest value.
        limit: f32,
    },
    /// A tensor that is to be saved has another type or shape than was described.
    #[error(
        "tensor `{name}` was described as {:?} of shape {:?} and is {:?} of shape {:?}; describe what is given",
        described.0, described.1, given.0, given.1
    )]
    OtherTensor {
        /// The tensor's name.
        name: String,
        /// Type and shape that were described.
        described: (crate::Dtype, Vec<usize>),
        /// Those that were given.
        given: (crate::Dtype, Vec<usize>),
    },
    /// A tensor that is to be saved has more or fewer values than its shape says.
    #[error("tensor `{name}` of shape {shape:?} needs {expected} bytes and has {found}")]
    WrongLength {
        /// The tensor's name.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The bytes that the shape asks for.
        expected: usize,
        /// The bytes that are there.
        found: usize,
    },
    /// A file's tensors are not the network's.
    #[error(
        "{} does not fit the network: {report}; use the weights of this architecture, \
         or name the tensors that may be initialised anew",
        path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What fits and what does not.
        report: Box<LoadReport>,
    },
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a reader gave up; the file's name and format are known outside.
#[derive(Debug)]
pub(crate) enum Fault {
    /// See [`Error::Malformed`].
    Malformed(String),
    /// See [`Error::Refused`].
    Refused(String),
    /// See [`Error::Several`].
    Several(Vec<String>),
}

impl Fault {
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    pub(crate) fn of(self, path: &Path, format: Format) -> Error {
        let path = path.to_path_buf();
        match self {
            Self::Malformed(why) => Error::Malformed { path, format, why },
            Self::Refused(why) => Error::Refused { path, why },
            Self::Several(keys) => Error::Several { path, keys },
        }
    }
}

/// Names the file and the attempt in an error of the operating system.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_path_buf(), source })
    }
}

/// What to do where the operating system refused: room, or the path.
pub fn way_out(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
        _ => "check the path and what you may do there",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_a_wrong_path() {
        let error = |kind: io::ErrorKind| {
            let path = PathBuf::from("run/last.checkpoint");
            Error::Io { action: "write", path, source: kind.into() }.to_string()
        };
        assert!(error(io::ErrorKind::StorageFull).ends_with("; make room there"));
        assert!(
            error(io::ErrorKind::PermissionDenied).ends_with("; check the path and what you may do there")
        );
    }
}
