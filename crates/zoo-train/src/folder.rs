//! The folder in which a run keeps what it makes.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde_json::Value;
use zoo_layers::Net;
use zoo_weights::{Destination, TensorFile};

use crate::{Error, Result, values::numbers_of};

/// What a run does, written when it begins: from it a run is taken up again.
const RUN: &str = "run.json";

const BEST: &str = "best.safetensors";
const CHECKPOINT: &str = "last.checkpoint";
const LOG: &str = "log.jsonl";

/// What a run came to, written when all else is.
const REPORT: &str = "report.json";

/// Whether a path leads to the file that was opened there.
#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let place = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(place(there) == place(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a file that somebody has open can't be replaced.
#[cfg(not(unix))]
fn is_still(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// A run's folder, which no other run writes to as long as this is held.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Held locked.
    _run: File,
}

impl RunFolder {
    /// Makes the folder of a new run, which does what `run` says.
    ///
    /// # Errors
    /// [`Error::Folder`] for a place that can't be written to, [`Error::Taken`] where another run is that has something to
    /// lose, [`Error::Busy`] where one is at work.
    pub fn begin(path: &Path, run: &Value) -> Result<Self> {
        let fault = |source| Error::Folder { folder: path.to_path_buf(), source };
        fs::create_dir_all(path).map_err(fault)?;
        if path.join(RUN).exists() {
            let old = Self::held(path)?;
            if !old.has_nothing() {
                return Err(Error::Taken { folder: path.to_path_buf() });
            }
            old.clear()?;
        }
        let text = serde_json::to_string_pretty(run).map_err(|error| fault(error.into()))? + "\n";
        // Locked before it has its name, and never in the place of another's: of two that begin at once, one does.
        let made = Destination::of(&path.join(RUN)).and_then(|place| {
            place.create(|out| {
                out.write_all(text.as_bytes())?;
                Ok(out.try_lock()?)
            })
        });
        match made {
            Ok(run) => Ok(Self { path: path.to_path_buf(), _run: run }),
            Err(_) if path.join(RUN).exists() => Err(Error::Busy { folder: path.to_path_buf() }),
            Err(error) => Err(fault(error)),
        }
    }

    /// Makes the folder of a new run in the place of one that is finished, whose files are deleted.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); [`Error::Unfinished`] where a run is that could be gone on with.
    pub fn begin_again(path: &Path, run: &Value) -> Result<Self> {
        if !path.join(RUN).exists() {
            return Self::begin(path, run);
        }
        let old = Self::held(path)?;
        if !path.join(REPORT).exists() && !old.has_nothing() {
            return Err(Error::Unfinished { folder: path.to_path_buf() });
        }
        old.clear()?;
        drop(old);
        Self::begin(path, run)
    }

    /// Whether a run lies here that ended before anything was learned, and nothing else that is called as its file is.
    fn has_nothing(&self) -> bool {
        let run = fs::read_to_string(self.path.join(RUN)).ok();
        let run = run.and_then(|text| serde_json::from_str::<Value>(&text).ok());
        run.is_some_and(|run| run.get("stages").is_some())
            && ![CHECKPOINT, BEST, REPORT].iter().any(|name| self.path.join(name).exists())
    }

    /// Deletes a run's files. As long as the report is there, the run counts as finished: whoever is killed here can begin
    /// again.
    fn clear(&self) -> Result<()> {
        for name in [CHECKPOINT, BEST, LOG, "split.json", "curves.svg", "confusion.svg", REPORT, RUN] {
            match fs::remove_file(self.path.join(name)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Folder { folder: self.path.clone(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes up the folder of a run that began before, with what that does.
    ///
    /// # Errors
    /// [`Error::NoRun`] where there is none, [`Error::Busy`] where it is still at work; a folder that can't be read.
    pub fn resume(path: &Path) -> Result<(Self, Value)> {
        let fault = |source| Error::Folder { folder: path.to_path_buf(), source };
        let text = match fs::read_to_string(path.join(RUN)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoRun { folder: path.to_path_buf() });
            }
            Err(error) => return Err(fault(error)),
        };
        let run = serde_json::from_str(&text).map_err(|error| fault(error.into()))?;
        Ok((Self::held(path)?, run))
    }

    fn held(path: &Path) -> Result<Self> {
        let fault = |source| Error::Folder { folder: path.to_path_buf(), source };
        let run = File::open(path.join(RUN)).map_err(fault)?;
        match run.try_lock() {
            // Whoever held it may have begun another run since.
            Ok(()) if !is_still(&run, &path.join(RUN)).map_err(fault)? => {
                Err(Error::Busy { folder: path.to_path_buf() })
            }
            Ok(()) => {
                // What a run that was killed was writing.
                for entry in fs::read_dir(path).map_err(fault)?.flatten() {
                    if Destination::is_part(&entry.file_name()) {
                        fs::remove_file(entry.path()).map_err(fault)?;
                    }
                }
                Ok(Self { path: path.to_path_buf(), _run: run })
            }
            Err(TryLockError::WouldBlock) => Err(Error::Busy { folder: path.to_path_buf() }),
            Err(TryLockError::Error(error)) => Err(fault(error)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The best network so far, by the validation part.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// Everything that a run needs to go on.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// Puts the weights of the best network into `net`.
    ///
    /// # Errors
    /// A file that can't be read, or is another network's.
    pub fn load_best(&self, net: &Net) -> Result<()> {
        let file = TensorFile::open(self.best())?;
        crate::checkpoint::set_each(net, |name| {
            let Some(tensor) = file.get(name) else { return Ok(None) };
            Ok(Some(Tensor::from_vec(tensor.to_f32()?, tensor.shape.as_ref(), &Device::Cpu)?))
        })
    }

    /// Writes what the run came to, after all else: then it is finished.
    ///
    /// # Errors
    /// [`Error::Folder`].
    pub fn write_report(&self, text: &str) -> Result<()> {
        self.write(REPORT, text)
    }

    /// Writes a text file of the run: whole, or not at all.
    ///
    /// # Errors
    /// [`Error::Folder`].
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Destination::of(&self.path.join(name))
            .and_then(|place| place.write(|out| out.write_all(text.as_bytes())))
            .map_err(|source| Error::Folder { folder: self.path.clone(), source })
    }

    /// The log from which all lines but the first `lines` are taken away: those after the last checkpoint will be written
    /// again.
    pub(crate) fn log(&self, lines: usize) -> Result<Log> {
        let path = self.path.join(LOG);
        let fault = |source| Error::Folder { folder: self.path.clone(), source };
        let file = File::options().create(true).append(true).read(true).open(&path).map_err(fault)?;
        let mut reader = BufReader::new(&file);
        let (mut kept, mut line) = (0, Vec::new());
        for _ in 0..lines {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(fault)?;
            kept += read as u64;
        }
        file.set_len(kept).map_err(fault)?;
        Ok(Log { file, folder: self.path.clone() })
    }
}

/// Writes a network's weights with what the file says of itself.
///
/// # Errors
/// The file can't be written; candle's.
pub fn save(path: &Path, net: &Net, (key, card): (&str, &Value)) -> Result<()> {
    let mut parts = Vec::new();
    for (param, tensor) in net.tensors() {
        parts.push((param, numbers_of(tensor)?));
    }
    let tensors = parts.iter().map(|(param, values)| {
        Ok((&param.name, zoo_weights::Tensor::from_f32(&param.shape, values.numbers()?)))
    });
    let tensors: Vec<_> = tensors.collect::<candle_core::Result<_>>()?;
    Ok(zoo_weights::save(path, &tensors, Some((key, card)))?)
}

/// A run's log: a JSON object on each line.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    folder: PathBuf,
}

impl Log {
    pub(crate) fn add(&mut self, line: &Value) -> Result<()> {
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(|source| Error::Folder { folder: self.folder.clone(), source })
    }
}
