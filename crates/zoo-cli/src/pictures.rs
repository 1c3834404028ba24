//! Pictures named on the command line: files, folders, standard input.

use std::{io::Read, path::PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use zoo::Picture;

use crate::running::shown;

/// Where a picture comes from.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A file.
    File(PathBuf),
    /// `-`.
    StandardInput,
}

impl Place {
    /// What it is called in output and errors.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::File(path) => shown(path),
            Self::StandardInput => "-".into(),
        }
    }

    /// Reads the picture.
    pub(crate) fn read(&self) -> Result<Picture> {
        Ok(match self {
            Self::File(path) => Picture::open(path)?,
            Self::StandardInput => {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).context("standard input can't be read")?;
                Picture::decode(&bytes, "standard input")?
            }
        })
    }
}

/// The pictures that the arguments name: a folder stands for all in it, sorted by path.
pub(crate) fn places(arguments: &[PathBuf]) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            places.push(Place::StandardInput);
        } else if argument.is_dir() {
            let found = zoo_data::folder::pictures(argument)?;
            if found.is_empty() {
                bail!(
                    "{}: no picture is in this folder; PNG, JPEG and the like are read",
                    argument.display()
                );
            }
            places.extend(found.into_iter().map(Place::File));
        } else {
            places.push(Place::File(argument.clone()));
        }
    }
    Ok(places)
}

/// What went wrong with some of `all` inputs, one line for each.
pub(crate) fn complaint(faults: &[&str], all: usize, what: &str) -> anyhow::Error {
    match faults {
        [only] if all == 1 => anyhow!("{only}"),
        _ => anyhow!("{} of {all} {what} could not be read:\n  {}", faults.len(), faults.join("\n  ")),
    }
}
