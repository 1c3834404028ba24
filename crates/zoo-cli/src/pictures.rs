//! Pictures named on the command line: files, folders, lists of them, standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use zoo::Picture;
use zoo_data::{Found, LeftOut, Why, shown};

use crate::{failure::WrongCall, output};

/// No path is longer, on any system.
const LONGEST_PATH: u64 = 1 << 16;

/// Which pictures.
#[derive(Clone, Debug, Args)]
pub(crate) struct PictureArguments {
    /// Pictures, folders of pictures, or - for standard input
    #[arg(required_unless_present = "files_from", value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Take the names of pictures and folders from this file, a line for each, or from standard input (-)
    #[arg(long, value_name = "LIST|-", conflicts_with = "images")]
    files_from: Option<PathBuf>,
}

/// Where a picture comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    /// A file.
    File(PathBuf),
    /// `-`.
    StandardInput,
    /// Nothing that can be read, and why.
    Lost(PathBuf, String),
}

impl Place {
    /// The file, if it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        if let Self::File(path) = self { Some(path) } else { None }
    }

    /// What it is called where people read it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) | Self::Lost(path, _) => shown(path),
            Self::StandardInput => "-".into(),
        }
    }

    /// What it is called where programs read it: the very name, if it is text.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::File(path) | Self::Lost(path, _) => exact(path),
            Self::StandardInput => "-".into(),
        }
    }

    /// Reads the picture.
    pub(crate) fn read(&self) -> Result<Picture> {
        self.decoded(|path| Picture::open(path), Picture::decode)
    }

    /// Reads the picture, be it a single pixel.
    pub(crate) fn read_any(&self) -> Result<Picture> {
        self.decoded(|path| Picture::open_any(path), Picture::decode_any)
    }

    fn decoded(
        &self,
        open: fn(&Path) -> zoo_data::Result<Picture>,
        decode: fn(&[u8], &str) -> zoo_data::Result<Picture>,
    ) -> Result<Picture> {
        Ok(match self {
            Self::File(path) => open(path)?,
            Self::Lost(_, why) => bail!("{why}"),
            Self::StandardInput => {
                let mut bytes = Vec::new();
                io::stdin().lock().read_to_end(&mut bytes).context("standard input can't be read")?;
                decode(&bytes, "standard input")?
            }
        })
    }
}

/// A path where programs read it: the very name, if it is text.
pub(crate) fn exact(path: &Path) -> String {
    path.to_str().map_or_else(|| shown(path), Into::into)
}

impl PictureArguments {
    /// The pictures, and how many there are if that is known before they are read.
    pub(crate) fn places(self) -> Result<(Box<dyn Iterator<Item = Place> + Send>, Option<usize>)> {
        let Some(list) = self.files_from else {
            let places = places(&self.images)?;
            let count = places.len();
            return Ok((Box::new(places.into_iter()), Some(count)));
        };
        let (lines, name): (Box<dyn Read + Send>, _) = match list.as_os_str() == "-" {
            true => (Box::new(io::stdin()), "standard input".into()),
            false => {
                let opened = File::open(&list).with_context(|| {
                    format!("the list {} can't be read; give a file with a path on each line", shown(&list))
                })?;
                (Box::new(opened), shown(&list))
            }
        };
        let lines = Lines { input: Some(BufReader::new(lines)), name };
        Ok((Box::new(lines.flat_map(listed)), None))
    }
}

/// The pictures that the arguments name: a folder stands for all in it, sorted by path.
pub(crate) fn places(arguments: &[PathBuf]) -> Result<Vec<Place>> {
    let pipes = arguments.iter().filter(|argument| argument.as_os_str() == "-").count();
    if pipes > 1 {
        return Err(WrongCall(anyhow!("standard input (`-`) can be read only once")).into());
    }
    let place = |argument: &PathBuf| match argument {
        path if path.as_os_str() == "-" => vec![Place::StandardInput],
        path if path.is_dir() => folder(path),
        path => vec![Place::File(path.clone())],
    };
    Ok(arguments.iter().flat_map(place).collect())
}

/// The pictures in a folder. What only is called like one is named and left out.
fn folder(path: &Path) -> Vec<Place> {
    let found = match zoo_data::folder::pictures(path) {
        Ok(found) => found,
        Err(error) => return vec![Place::Lost(path.into(), error.to_string())],
    };
    let place = |found: Found| match found {
        Found::Picture(path) => Some(Place::File(path)),
        Found::LeftOut(left_out) if matches!(left_out.why, Why::Irregular | Why::Format) => {
            output::note(&left_out.to_string());
            None
        }
        Found::LeftOut(left_out) => {
            let why = left_out.to_string();
            Some(Place::Lost(left_out.path, why))
        }
    };
    let places: Vec<Place> = found.into_iter().filter_map(place).collect();
    match places.is_empty() {
        true => {
            let why = "no picture is in this folder; PNG, JPEG and the like are read";
            vec![Place::Lost(path.into(), format!("{}: {why}", shown(path)))]
        }
        false => places,
    }
}

/// What an entry of a list stands for. Nobody has looked at it, so that a pipe in it is not waited for.
fn listed(entry: Place) -> Vec<Place> {
    let Place::File(path) = entry else { return vec![entry] };
    match path.metadata() {
        Ok(kind) if kind.is_dir() => folder(&path),
        Ok(kind) if !kind.is_file() => {
            let why = LeftOut { path: path.clone(), why: Why::Irregular }.to_string();
            vec![Place::Lost(path, why)]
        }
        // Of what can't even be looked at, opening it says why.
        _ => vec![Place::File(path)],
    }
}

/// The entries of a list, read as they are wanted.
struct Lines<R> {
    /// Gone once the list has come to its end.
    input: Option<R>,
    name: String,
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        loop {
            let mut line = Vec::new();
            let read = self.input.as_mut()?.by_ref().take(LONGEST_PATH).read_until(b'\n', &mut line);
            let fault = match read {
                Ok(0) => {
                    self.input = None;
                    return None;
                }
                Ok(_) if line.len() as u64 == LONGEST_PATH => "a line is longer than any path".into(),
                Ok(_) => {
                    let end = line.strip_suffix(b"\n").unwrap_or(&line);
                    // A list from Windows ends its lines in two bytes.
                    let end = end.strip_suffix(b"\r").unwrap_or(end).len();
                    line.truncate(end);
                    match line.is_empty() {
                        true => continue,
                        false => return Some(Place::File(path(line))),
                    }
                }
                Err(error) => error.to_string(),
            };
            self.input = None;
            return Some(Place::Lost(self.name.clone().into(), format!("{}: {fault}", self.name)));
        }
    }
}

#[cfg(unix)]
fn path(bytes: Vec<u8>) -> PathBuf {
    <std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned().into()
}

/// What went wrong with some of `all` inputs, one line for each.
pub(crate) fn complaint(faults: &[&str], all: usize, what: &str) -> anyhow::Error {
    match faults {
        [only] if all == 1 => anyhow!("{only}"),
        _ => anyhow!("{} of {all} {what} could not be read:\n  {}", faults.len(), faults.join("\n  ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_path_on_each_line() {
        let lines = |text: &[u8]| -> Vec<Place> {
            Lines { input: Some(BufReader::new(io::Cursor::new(text.to_vec()))), name: "list".into() }
                .collect()
        };
        let file = |name: &str| Place::File(name.into());
        assert_eq!(lines(b"a.png\n\nb c.png"), [file("a.png"), file("b c.png")]);
        assert_eq!(lines(b""), []);
        let endless = lines(&[b'a'; 1 << 17]);
        assert!(
            matches!(&endless[..], [Place::Lost(_, why)] if why == "list: a line is longer than any path")
        );
    }
}
