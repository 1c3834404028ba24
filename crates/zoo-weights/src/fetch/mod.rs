//! Bringing published weights here.
//!
//! A file grows under a name of its own, is checked while it comes, and gets its final name when it is whole:
//! whatever happens, nothing under a final name is incomplete, and what came is gone on with next time. One
//! process at a time fetches a file; others wait for it.

mod error;
mod hash;
mod http;
mod meter;
mod place;
mod proxy;
mod settings;
mod transfer;

use std::collections::HashSet;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

pub use error::FetchError;
use error::{AtPath, Failure};
use hash::{Hasher, is_sha256};
use http::Client;
pub use meter::{Event, Progress};
use place::Destination;
pub use proxy::Proxy;
pub use settings::Settings;
use transfer::{Content, Transfer};

use crate::{DataFile, Digest, KeyMap, Place, Source, Weights};

/// A try that comes this much further than any before was no vain one.
const WORTHWHILE: u64 = 1 << 20;

/// Longer than this no one waits for a server.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Finds and fetches weights.
///
/// ```no_run
/// use zoo_weights::{Fetcher, Manifest, Settings};
///
/// let manifest = Manifest::published()?;
/// let fetcher = Fetcher::new(Settings::from_env()?);
/// let here = fetcher.fetch(manifest.find("resnet50")?, &mut |_event| {})?;
/// let file = zoo_weights::TensorFile::open(&here.path)?.with_keys(here.keys)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Fetcher {
    settings: Settings,
    client: Client,
    /// Servers at which nobody answered: they are not waited for again.
    silent: Mutex<HashSet<String>>,
}

/// Weights that are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Here {
    /// The file.
    pub path: PathBuf,
    /// From its names to the architecture's.
    pub keys: KeyMap,
    /// The place in [`Weights::sources`] of the source it came from.
    pub source: usize,
    /// By whose word it is the right one; `None` where it was here before, and checked when it came.
    pub verified: Option<Verified>,
}

/// By whose word a file is the one that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// The publisher's checksum, which the manifest has.
    Publisher,
    /// The hash that the hub announces.
    Hub,
    /// No one gives a checksum: the length is right, and it begins as a file of weights does.
    Nobody,
}

impl fmt::Display for Verified {
    /// What can be said of such a file: `has the publisher's checksum`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Publisher => "has the publisher's checksum",
            Self::Hub => "has the hub's hash",
            Self::Nobody => "can be read; there is no published checksum to compare it with",
        })
    }
}

/// What a second look at a file finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// By whose word it is right, or both checksums in a sentence.
    pub verdict: Result<Verified, String>,
    /// The checksum it was compared with; none if there is none to compare with.
    pub against: Option<Digest>,
}

impl fmt::Display for Checked {
    /// What the file was compared with, or that there is nothing: `has the publisher's checksum, SHA-256 0676ba61…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Ok(verified) => verified.fmt(f)?,
            Err(why) => f.write_str(why)?,
        }
        match (&self.verdict, &self.against) {
            (Ok(_), Some(digest)) => write!(f, ", {digest}"),
            _ => Ok(()),
        }
    }
}

impl Fetcher {
    /// A fetcher with its settings.
    pub fn new(settings: Settings) -> Self {
        Self { client: Client::new(&settings), settings, silent: Mutex::default() }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The weights, if they are here from any of their sources. The file system alone is asked.
    pub fn locate(&self, weights: &Weights) -> Option<Here> {
        weights.sources.iter().enumerate().find_map(|(index, source)| {
            let path = Destination::of(source, &self.settings).present()?;
            Some(Here { path, keys: source.keys, source: index, verified: None })
        })
    }

    /// The weights: from here, else from the first source that gives them. `events` is told what happens.
    ///
    /// # Errors
    /// [`FetchError::Offline`] and [`FetchError::BuiltIn`] at once; [`FetchError::NoSource`] when every source
    /// was tried; [`FetchError::NoSpace`] and [`FetchError::Io`] when this machine is the obstacle.
    pub fn fetch(&self, weights: &Weights, events: &mut dyn FnMut(Event<'_>)) -> Result<Here, FetchError> {
        let tag = || weights.tag.clone();
        if weights.built_in() {
            return Err(FetchError::BuiltIn { tag: tag() });
        }
        if let Some(here) = self.locate(weights) {
            return Ok(here);
        }
        if self.settings.offline {
            return Err(FetchError::Offline { tag: tag() });
        }
        let place = |source: &Source| Destination::of(source, &self.settings);
        let mut reasons = Vec::new();
        if let Some((index, path, verified)) =
            self.fetch_any(&weights.sources, place, Content::Weights, events, &mut reasons)?
        {
            return Ok(Here { path, keys: weights.sources[index].keys, source: index, verified });
        }
        Err(FetchError::NoSource { tag: tag(), advice: self.settings.advice(&reasons), reasons })
    }

    /// What the first source gives that gives it, and which that is; nothing if none does, and why each didn't.
    fn fetch_any(
        &self,
        sources: &[Source],
        place: impl Fn(&Source) -> Destination,
        content: Content,
        events: &mut dyn FnMut(Event<'_>),
        reasons: &mut Vec<String>,
    ) -> Result<Option<(usize, PathBuf, Option<Verified>)>, FetchError> {
        for (index, source) in sources.iter().enumerate() {
            let url = self.address(source);
            match self.fetch_source(source, &url, (&place(source), content), events) {
                Ok((path, verified)) => return Ok(Some((index, path, verified))),
                Err(Failure::Local(error)) => return Err(error),
                Err(
                    Failure::Lasting(why)
                    | Failure::Wrong(why)
                    | Failure::Nobody(why)
                    | Failure::Passing { why, .. },
                ) => {
                    if index + 1 < sources.len() {
                        (*events)(Event::NextSource { why: &why });
                    }
                    reasons.push(format!("{url} {why}"));
                }
            }
        }
        Ok(None)
    }

    /// A file of a data set, in a folder: from there, else from the first source that gives it, gone on with and checked
    /// as weights are. Also by whose word it is right; none where it was there.
    ///
    /// # Errors
    /// [`FetchError::NoData`] when every source was tried, or the network may not be used; [`FetchError::NoSpace`] and
    /// [`FetchError::Io`] when this machine is the obstacle.
    pub fn fetch_data(
        &self,
        file: &DataFile,
        folder: &Path,
        events: &mut dyn FnMut(Event<'_>),
    ) -> Result<(PathBuf, Option<Verified>), FetchError> {
        let destination = Destination::Folder(folder.to_path_buf(), file.name.clone());
        if let Some(path) = destination.present() {
            return Ok((path, None));
        }
        let no_data = |reasons: Vec<String>| {
            let advice = self.settings.advice(&reasons);
            FetchError::NoData { file: file.name.clone(), reasons, advice }
        };
        if self.settings.offline {
            return Err(no_data(vec!["the network is not to be used".into()]));
        }
        let place = |_: &Source| Destination::Folder(folder.to_path_buf(), file.name.clone());
        let mut reasons = Vec::new();
        let brought = self.fetch_any(&file.sources, place, Content::Anything, events, &mut reasons)?;
        if let Some((_, path, verified)) = brought {
            return Ok((path, verified));
        }
        Err(no_data(reasons))
    }

    /// Reads every file of the weights that is here again, and checks it.
    ///
    /// # Errors
    /// [`FetchError::Io`].
    pub fn verify(&self, weights: &Weights) -> Result<Vec<Checked>, FetchError> {
        let mut checked = Vec::new();
        for source in &weights.sources {
            if let Some(path) = Destination::of(source, &self.settings).present() {
                let (verdict, against) = verdict(source, &path)?;
                checked.push(Checked { path, verdict, against });
            }
        }
        Ok(checked)
    }

    /// The address a source is asked at.
    pub fn address(&self, source: &Source) -> String {
        let Settings { endpoint, mirror, .. } = &self.settings;
        match (&source.place, mirror) {
            (Place::Hub { repo, revision, file }, mirror) => {
                let base = mirror.as_ref().unwrap_or(endpoint);
                format!("{base}/{repo}/resolve/{revision}/{file}")
            }
            (Place::Url(_), Some(mirror)) => format!("{mirror}/{}", source.file_name()),
            (Place::Url(url), None) => url.clone(),
        }
    }

    fn fetch_source(
        &self,
        source: &Source,
        url: &str,
        (destination, content): (&Destination, Content),
        events: &mut dyn FnMut(Event<'_>),
    ) -> Result<(PathBuf, Option<Verified>), Failure> {
        let server = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let is_silent =
            |silent: &Mutex<HashSet<String>>| silent.lock().is_ok_and(|silent| silent.contains(&server));
        if is_silent(&self.silent) {
            return Err(Failure::Nobody("nobody answered there before".into()));
        }
        let folder = destination.folder();
        fs::create_dir_all(&folder).at("make", &folder)?;
        let _lock = lock(&destination.lock(), events)?;
        // Whoever held the lock may have brought the file.
        if let Some(path) = destination.present() {
            return Ok((path, None));
        }
        let mut vain = 0;
        let mut furthest = 0;
        let mut wrong_before = false;
        loop {
            let mut transfer = Transfer {
                client: &self.client,
                settings: &self.settings,
                url,
                expected: source.digest.as_ref(),
                destination,
                content,
                events: &mut *events,
                reached: 0,
            };
            let outcome = transfer.run();
            let reached = transfer.reached;
            let (why, retry_after) = match outcome {
                Ok((path, verified)) => return Ok((path, Some(verified))),
                Err(Failure::Passing { why, retry_after }) => (why, retry_after),
                // A published address is right, and the line comes back; one that was set may never have been.
                Err(Failure::Nobody(why)) if self.settings.chosen(&server).is_none() => (why, None),
                Err(Failure::Nobody(why)) => {
                    if let Ok(mut silent) = self.silent.lock() {
                        silent.insert(server);
                    }
                    return Err(Failure::Nobody(why));
                }
                // The line may have spoilt it once; a server that gives it twice has it so.
                Err(Failure::Wrong(why)) if !std::mem::replace(&mut wrong_before, true) => (why, None),
                Err(lasting) => return Err(lasting),
            };
            if reached >= furthest + WORTHWHILE {
                (vain, furthest) = (0, reached);
            }
            vain += 1;
            let doubled = self.settings.first_pause.saturating_mul(1 << (vain - 1).min(6));
            let pause = retry_after.unwrap_or_else(|| doubled.min(MAX_PAUSE));
            if vain >= self.settings.tries || pause > MAX_PAUSE {
                return Err(Failure::Passing { why, retry_after });
            }
            (*events)(Event::Retrying { why: &why, pause });
            (self.settings.sleep)(pause);
        }
    }
}

/// Waits until this process is the only one to fetch a file. The system frees the lock when the process ends,
/// however it ends.
fn lock(path: &Path, events: &mut dyn FnMut(Event<'_>)) -> Result<File, FetchError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).at("make", folder)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(path).at("lock", path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            (*events)(Event::Waiting);
            file.lock().at("lock", path)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
    }
    Ok(file)
}

type Verdict = (Result<Verified, String>, Option<Digest>);

fn verdict(source: &Source, path: &Path) -> Result<Verdict, FetchError> {
    let mut file = File::open(path).at("open", path)?;
    let mut hasher = Hasher::new(source.digest.as_ref());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer).at("read", path)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let sums = hasher.finish();
    // In the hub's cache a large file lies under the hash that the hub announced. A name that this program gave a
    // file without one begins otherwise.
    let blob = fs::canonicalize(path).ok();
    let announced = blob.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    let announced = announced.filter(|name| is_sha256(name)).map(|name| Digest::Sha256(name.into()));
    let (by, against) = match (&source.digest, announced) {
        (Some(digest), _) => (Verified::Publisher, Some(digest.clone())),
        (None, Some(digest)) => (Verified::Hub, Some(digest)),
        (None, None) => (Verified::Nobody, None),
    };
    let fits = against.as_ref().map_or(Ok(()), |digest| sums.check(digest));
    let readable = || crate::TensorFile::open(path).map(drop).map_err(|error| error.to_string());
    Ok((fits.and_then(|()| readable()).map(|()| by), against))
}
