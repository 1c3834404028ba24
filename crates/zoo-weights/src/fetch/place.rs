//! Where a file belongs: the Hugging Face cache with its blobs and snapshots, PyTorch's folder, or Keras'.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use hf_hub::{Cache, CacheRepo, Repo, RepoType};

use super::error::{AtPath, FetchError};
use super::hash::is_sha256;
use super::http::Announced;
use super::{Settings, hash};
use crate::output::sync_folder;
use crate::{Place, Source};

/// The place of one source's file.
pub(super) enum Destination {
    Hub(HubFile),
    /// A folder and the file's name in it.
    Folder(PathBuf, String),
}

pub(super) struct HubFile {
    cache: CacheRepo,
    /// The repository's folder in the cache.
    folder: PathBuf,
    locks: PathBuf,
    revision: String,
    file: String,
}

impl Destination {
    pub(super) fn of(source: &Source, settings: &Settings) -> Self {
        match &source.place {
            Place::Hub { repo, revision, file } => {
                let hub = Repo::with_revision(repo.clone(), RepoType::Model, revision.clone());
                let name = hub.folder_name();
                Self::Hub(HubFile {
                    folder: settings.hub_cache.join(&name),
                    locks: settings.hub_cache.join(".locks").join(&name),
                    cache: Cache::new(settings.hub_cache.clone()).repo(hub),
                    revision: revision.clone(),
                    file: file.clone(),
                })
            }
            Place::Url(_) => {
                let name = source.file_name().to_string();
                let keras = name.ends_with(".h5") || name.ends_with(".keras");
                let folder = if keras { &settings.keras_cache } else { &settings.torch_cache };
                Self::Folder(folder.clone(), name)
            }
        }
    }

    /// The file, if it is there.
    pub(super) fn present(&self) -> Option<PathBuf> {
        match self {
            Self::Hub(hub) => {
                let pinned = hub.cache.pointer_path(&hub.revision).join(&hub.file);
                if pinned.is_file() { Some(pinned) } else { hub.cache.get(&hub.file) }
            }
            Self::Folder(folder, name) => Some(folder.join(name)).filter(|path| path.is_file()),
        }
    }

    /// The folder on whose disk the file comes to lie, and in which it grows.
    pub(super) fn folder(&self) -> PathBuf {
        match self {
            Self::Hub(hub) => hub.folder.join("blobs"),
            Self::Folder(folder, _) => folder.clone(),
        }
    }

    /// The file that processes lock before they fetch this one.
    pub(super) fn lock(&self) -> PathBuf {
        match self {
            Self::Hub(hub) => {
                let name = format!("{}--{}", hub.revision, hub.file).replace('/', "--");
                hub.locks.join(format!("{name}.lock"))
            }
            Self::Folder(folder, name) => folder.join(".locks").join(format!("{name}.lock")),
        }
    }

    /// The file under which a transfer grows. Its name is bound to the content, so that a later run goes on
    /// with the same content and never with another.
    pub(super) fn partial(&self, identity: &str) -> PathBuf {
        let name = match self {
            // As other tools of the hub call it.
            Self::Hub(_) if is_sha256(identity) => format!("{identity}.incomplete"),
            Self::Hub(_) => format!("{}.incomplete", hash::short(identity)),
            Self::Folder(_, name) => format!("{name}.{}.part", hash::short(identity)),
        };
        self.folder().join(name)
    }

    /// Gives a whole and verified file its final name.
    pub(super) fn land(
        &self,
        partial: &Path,
        sha256: &str,
        announced: &Announced,
    ) -> Result<PathBuf, FetchError> {
        match self {
            Self::Folder(folder, name) => {
                let path = folder.join(name);
                fs::rename(partial, &path).at("rename to", &path)?;
                sync_folder(folder).at("write in", folder)?;
                Ok(path)
            }
            Self::Hub(hub) => {
                // A hash that nobody announced must not look like one that the hub did.
                let own = format!("unannounced-{sha256}");
                let etag = announced.etag.as_deref().filter(|etag| is_plain(etag)).unwrap_or(&own);
                let blob = hub.folder.join("blobs").join(etag);
                fs::rename(partial, &blob).at("rename to", &blob)?;
                hub.link(etag, &blob, announced.commit.as_deref())
            }
        }
    }
}

impl HubFile {
    /// Makes the snapshot's entry that points to a blob, and the reference from the revision to its commit.
    fn link(&self, etag: &str, blob: &Path, commit: Option<&str>) -> Result<PathBuf, FetchError> {
        let commit = match commit.filter(|commit| is_plain(commit)) {
            Some(commit) if !is_commit(&self.revision) => commit,
            _ => &self.revision,
        };
        let path = self.cache.pointer_path(commit).join(&self.file);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).at("make", folder)?;
        // From snapshots/<commit>/<file> up to the repository's folder.
        let up = "../".repeat(2 + self.file.matches('/').count());
        point(&format!("{up}blobs/{etag}"), blob, &path)?;
        sync_folder(folder).at("write in", folder)?;
        // Whole or not at all: an empty reference would hide what is here.
        let reference = self.folder.join("refs").join(&self.revision);
        let refs = reference.parent().unwrap_or(&self.folder);
        fs::create_dir_all(refs).at("make", refs)?;
        crate::Destination::of(&reference)
            .and_then(|place| place.write(|file| file.write_all(commit.trim().as_bytes())))
            .at("write the reference", &reference)?;
        Ok(path)
    }
}

/// Puts a link at `path` in one step, over one that may be there.
#[cfg(unix)]
fn point(target: &str, _blob: &Path, path: &Path) -> Result<(), FetchError> {
    let link = path.with_extension(format!("{}.link", std::process::id()));
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(target, &link).at("link", path)?;
    fs::rename(&link, path).at("link", path)
}

/// Where links need privileges the file itself takes the place, as the hub's own tools do there.
#[cfg(not(unix))]
fn point(_target: &str, blob: &Path, path: &Path) -> Result<(), FetchError> {
    fs::rename(blob, path).at("rename to", path)
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Whether a text from a server can be the name of a file, and of none outside the folder.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with('.')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
