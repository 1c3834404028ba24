//! Why weights could not be fetched.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why weights could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The weights are not here and the network may not be used.
    #[error(
        "the weights `{tag}` are not here and the network is not to be used; `Fetcher::fetch` brings them where it may be"
    )]
    Offline {
        /// The tag.
        tag: String,
    },
    /// The weights are part of the program.
    #[error("the weights `{tag}` are inside the program: there is nothing to fetch")]
    BuiltIn {
        /// The tag.
        tag: String,
    },
    /// No source gave the weights.
    #[error(
        "no source gave the weights `{tag}`: {}; what came so far is kept, {}",
        .reasons.join("; "), .advice
    )]
    NoSource {
        /// The tag.
        tag: String,
        /// For each source its address and what happened.
        reasons: Vec<String>,
        /// What can be done: the flag or variable that set a wrong address, by its name.
        advice: String,
    },
    /// No source gave a file of a data set.
    #[error("no source gave {file}: {}; what came so far is kept, {advice}", .reasons.join("; "))]
    NoData {
        /// The file.
        file: String,
        /// For each source its address and what happened.
        reasons: Vec<String>,
        /// What can be done.
        advice: String,
    },
    /// The disk is too full.
    #[error(
        "{} has {} MB free and the file needs {} MB more; free some space or name another place with HF_HOME \
         or TORCH_HOME",
        path.display(), available / 1_000_000, needed.div_ceil(1_000_000)
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes still to write.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// There is no place for the caches.
    #[error("no home folder is known to keep weights in: set {variable}")]
    NoHome {
        /// The variable that names a place.
        variable: &'static str,
    },
    /// A variable begins with `~`, and whose home that is can't be told.
    #[error("{variable} is `{value}`, and the home folder meant by `~` is not known: write the whole path")]
    Tilde {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A proxy's address is none, or of another kind.
    #[error(
        "the proxy `{proxy}`, which {variable} sets, is no address of an HTTP proxy: write http://host:port"
    )]
    Proxy {
        /// The variable that set it.
        variable: &'static str,
        /// What was given.
        proxy: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Why one try failed, and what may follow.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another try may do better.
    Passing { why: String, retry_after: Option<Duration> },
    /// Nobody answers at that address. A line may be down for a while; an address that somebody wrote may be wrong.
    Nobody(String),
    /// The bytes that came are not the ones that were published.
    Wrong(String),
    /// This source will not give the file; another may.
    Lasting(String),
    /// No source can help.
    Local(FetchError),
}

impl Failure {
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self::Passing { why: why.into(), retry_after: None }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Local(error)
    }
}

/// Names the file and the attempt in an error of the operating system.
pub(super) trait AtPath<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FetchError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, FetchError> {
        self.map_err(|source| FetchError::Io { action, path: path.to_path_buf(), source })
    }
}
