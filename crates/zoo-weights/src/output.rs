//! Where results are written: the one way for every file that a caller names.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// More symbolic links than this lead nowhere, as the operating system has it.
const MOST_LINKS: usize = 40;

/// How the name of a file begins and ends that is still being written.
const PART: (&str, &str) = (".zoo-", ".part");

/// What a path leads to, once its symbolic links are followed.
///
/// ```
/// use std::io::Write;
/// use zoo_weights::Destination;
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("classes.txt");
/// Destination::of(&path)?.write(|out| out.write_all(b"cat\ndog\n"))?;
/// assert_eq!(std::fs::read(&path)?, b"cat\ndog\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A regular file, or a place where nothing is yet: replaced as a whole. The bytes go to a file beside it, are
    /// flushed to the disk, and take the name in one step. Whoever reads it meanwhile sees the old file or the new.
    File(PathBuf),
    /// A device, a pipe, an open descriptor (`/dev/stdout`): written through, since whoever waits at its other end
    /// would wait for ever if a file took its place.
    Stream(PathBuf),
}

impl Destination {
    /// Looks where a path leads. Nothing is opened: that could wait for a reader.
    ///
    /// # Errors
    /// A folder; links that go round; a place that can't be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        // `new/` can be nothing but a folder, whether there is one or not.
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut place = path.to_path_buf();
        let mut links = 0;
        while !is_descriptor(&place)
            && let Ok(target) = fs::read_link(&place)
        {
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::other("too many levels of symbolic links"));
            }
            place = folder_of(&place).join(target);
        }
        match fs::metadata(&place) {
            Ok(kind) if kind.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) if is_descriptor(&place) => Ok(Self::Stream(place)),
            Ok(kind) if !kind.is_file() => Ok(Self::Stream(place)),
            Ok(_) => Ok(Self::File(place)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::File(place)),
            Err(error) => Err(error),
        }
    }

    /// Whether something can be written there, before minutes are spent on what it is to be.
    ///
    /// # Errors
    /// As the operating system has it: a folder that isn't there, no right to write in it.
    pub fn check(&self) -> io::Result<()> {
        match self {
            Self::File(path) => tempfile::tempfile_in(folder_of(path)).map(|_| ()),
            Self::Stream(_) => Ok(()),
        }
    }

    /// Whether a file of this name is one that somebody was still writing beside its place: if nobody is any more, it
    /// is of no use.
    pub fn is_part(name: &std::ffi::OsStr) -> bool {
        name.to_str().is_some_and(|name| name.starts_with(PART.0) && name.ends_with(PART.1))
    }

    /// Writes what `write` gives.
    ///
    /// # Errors
    /// The operating system's; of a file, nothing has changed then.
    pub fn write(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
        let path = match self {
            Self::File(path) => path,
            Self::Stream(path) => {
                // Behind a descriptor may be a file to which somebody else writes too: at its end is room.
                let mut file = OpenOptions::new().append(true).open(path)?;
                write(&mut file)?;
                return file.flush();
            }
        };
        let mut part = part_beside(path)?;
        write(part.as_file_mut())?;
        if let Ok(old) = fs::metadata(path) {
            // A file that was there stays as open or closed to others as it was.
            part.as_file().set_permissions(old.permissions())?;
        }
        part.as_file().sync_all()?;
        part.persist(path).map_err(|error| error.error)?;
        sync_folder(folder_of(path))
    }

    /// Writes what `write` gives to a file that isn't there yet, which is given back, open. Of several who do so at once, one
    /// succeeds.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where something is; the operating system's; nothing has changed then.
    pub fn create(&self, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
        let Self::File(path) = self else { return Err(io::ErrorKind::AlreadyExists.into()) };
        let mut part = part_beside(path)?;
        write(part.as_file_mut())?;
        part.as_file().sync_all()?;
        let file = part.persist_noclobber(path).map_err(|error| error.error)?;
        sync_folder(folder_of(path))?;
        Ok(file)
    }
}

/// A file to write to that is to take the name `path`.
fn part_beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PART.0).suffix(PART.1);
    // A temporary file is its owner's alone; one that is to stay gets what the umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(path))
}

/// Whether a path names an open descriptor of this process, whose link leads to no place in the file system.
fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"].iter().any(|folder| path.starts_with(folder))
        || ["/dev/stdout", "/dev/stderr"].iter().any(|name| path == Path::new(name))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A rename lasts once its folder is on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Nothing is written here: what would go wrong is a device that becomes a file.
    #[test]
    fn devices_and_what_leads_to_them_are_written_through() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let link = folder.path().join("link");
        symlink("/dev/null", &link)?;
        for path in ["/dev/null", "/dev/full", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/2"].map(Path::new) {
            if path.exists() {
                assert_eq!(Destination::of(path)?, Destination::Stream(path.into()));
            }
        }
        assert_eq!(Destination::of(&link)?, Destination::Stream("/dev/null".into()));
        assert!(Destination::of(folder.path()).is_err());
        assert!(Destination::of(Path::new("nothing-is-here/")).is_err());
        Ok(())
    }
}
