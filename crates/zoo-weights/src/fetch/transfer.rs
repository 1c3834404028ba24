//! One try to bring a file here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::error::{AtPath, Failure, FetchError};
use super::hash::{Hasher, Sums, is_sha256};
use super::http::{Announced, Answer, Client};
use super::meter::Meter;
use super::place::Destination;
use super::{Event, Settings, Verified};
use crate::{Digest, Error, TensorFile};

const BUFFER: usize = 256 << 10;

/// No file of weights is larger; a server that names no length is stopped here.
const MOST: u64 = 16 << 30;

/// What a file is, as far as it is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Weights, which can be opened as such.
    Weights,
    /// Its checksum says all.
    Anything,
}

/// What one try needs.
pub(super) struct Transfer<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a Settings,
    pub(super) url: &'a str,
    /// What the publisher says of the content.
    pub(super) expected: Option<&'a Digest>,
    pub(super) destination: &'a Destination,
    pub(super) content: Content,
    pub(super) events: &'a mut dyn FnMut(Event<'_>),
    /// Bytes of the file that were here at the end of this try.
    pub(super) reached: u64,
}

impl Transfer<'_> {
    /// Goes on with what an earlier try left, checks the whole, and moves it into place.
    pub(super) fn run(&mut self) -> Result<(PathBuf, Verified), Failure> {
        (self.events)(Event::Connecting { url: self.url });
        let mut partial: Option<PathBuf> = None;
        let mut answer = self.ask(&mut partial)?;
        if partial.is_none() {
            // Only the last answer told what the content is: if some of it is here, ask for the rest.
            let etag = answer.announced.etag.clone().or_else(|| answer.etag.clone());
            let known = etag.map(|etag| self.destination.partial(&etag));
            let begun = known.as_deref().is_some_and(|path| len(path) > 0);
            partial = known;
            if begun {
                answer = self.ask(&mut partial)?;
            }
        }
        self.compare_announced(&answer.announced)?;
        // Content without a name can't be gone on with, and starts anew.
        let nameless = partial.is_none();
        let partial = partial.unwrap_or_else(|| self.destination.partial(self.url));
        let have = if nameless { 0 } else { len(&partial) };
        let start = match answer {
            Answer { status: 206, range: (Some(first), _), .. } if first == have => have,
            Answer { status: 416, range: (_, Some(total)), .. } if total == have => have,
            Answer { status: 206 | 416, .. } => {
                remove(&partial)?;
                return Err(Failure::passing("what is here does not fit what the server has"));
            }
            _ => 0,
        };
        let total = match answer.status {
            200 => answer.length,
            _ => answer.range.1,
        };
        let total = total.or(answer.announced.size);
        let announced = answer.announced.clone();
        let sums = self.receive(answer, &partial, start, total)?;
        // A page that asks for a login comes with status 200 too, and is no damage of the line.
        let opened = match self.content {
            Content::Weights => TensorFile::open(&partial).map(drop),
            Content::Anything => Ok(()),
        };
        if let Err(Error::Refused { why, .. }) = &opened
            && is_text(&partial)
        {
            remove(&partial)?;
            return Err(Failure::Lasting(format!("sent no weights: {why}")));
        }
        let verified = match self.verify(&sums, &announced) {
            Ok(verified) => verified,
            Err(why) => {
                remove(&partial)?;
                return Err(Failure::Wrong(format!("gave another file than was published: {why}")));
            }
        };
        if let Err(error) = opened {
            remove(&partial)?;
            let why = error.to_string().replace(&*partial.to_string_lossy(), "what came");
            return Err(Failure::Lasting(format!("sent what can't be read: {why}")));
        }
        Ok((self.destination.land(&partial, &sums.sha256, &announced)?, verified))
    }

    /// Sends the request, for the bytes that are not here as soon as it is known which content is meant.
    fn ask(&self, partial: &mut Option<PathBuf>) -> Result<Answer, Failure> {
        let mut offset = |announced: &Announced| -> Result<u64, FetchError> {
            let identity = match self.expected {
                Some(Digest::Sha256(digits) | Digest::Md5(digits)) => Some(digits),
                None => announced.etag.as_ref(),
            };
            if let Some(identity) = identity {
                *partial = Some(self.destination.partial(identity));
            }
            Ok(partial.as_deref().map_or(0, len))
        };
        self.client.get(self.settings, self.url, &mut offset)
    }

    /// Writes the body behind the `start` bytes that are here, counting the checksums as it passes.
    fn receive(
        &mut self,
        answer: Answer,
        partial: &Path,
        start: u64,
        total: Option<u64>,
    ) -> Result<Sums, Failure> {
        self.check_space(total, start)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(partial)
            .at("write", partial)?;
        file.set_len(start).at("write", partial)?;
        let mut hasher = Hasher::new(self.expected);
        let mut buffer = vec![0; BUFFER];
        rehash(&mut file, &mut hasher, &mut buffer).at("read", partial)?;
        let mut meter = Meter::new(Instant::now(), start, total);
        let mut done = start;
        self.reached = start;
        if answer.status != 416 {
            let mut body = answer.body.into_reader();
            loop {
                let read = match body.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(Failure::passing(stopped(&error, done, total))),
                };
                file.write_all(&buffer[..read]).at("write", partial)?;
                hasher.update(&buffer[..read]);
                done += read as u64;
                self.reached = done;
                if done > total.unwrap_or(MOST) {
                    remove(partial)?;
                    return Err(Failure::Lasting(format!("sends more than {done} bytes, and has no end")));
                }
                if let Some(progress) = meter.at(Instant::now(), done) {
                    (self.events)(Event::Progress(progress));
                }
            }
        }
        if total.is_some_and(|total| total != done) {
            return Err(Failure::passing(stopped(&io::ErrorKind::UnexpectedEof.into(), done, total)));
        }
        file.sync_all().at("write", partial)?;
        Ok(hasher.finish())
    }

    /// A file that the hub itself says is another one need not come first.
    fn compare_announced(&self, announced: &Announced) -> Result<(), Failure> {
        match (self.expected, announced.etag.as_deref()) {
            (Some(Digest::Sha256(expected)), Some(etag))
                if is_sha256(etag) && !etag.starts_with(expected) =>
            {
                Err(Failure::Lasting(format!(
                    "has another file by now: its SHA-256 should begin with {expected} and is {etag}"
                )))
            }
            _ => Ok(()),
        }
    }

    fn check_space(&self, total: Option<u64>, start: u64) -> Result<(), FetchError> {
        let path = self.destination.folder();
        let needed = total.map_or(0, |total| total.saturating_sub(start));
        match (self.settings.free_space)(&path) {
            Some(available) if available < needed => Err(FetchError::NoSpace { path, needed, available }),
            _ => Ok(()),
        }
    }

    /// By whose word the content is the right one; else both checksums, as a sentence.
    fn verify(&self, sums: &Sums, announced: &Announced) -> Result<Verified, String> {
        let hub = announced.etag.as_deref().filter(|etag| is_sha256(etag));
        if let Some(etag) = hub {
            sums.check(&Digest::Sha256(etag.into()))?;
        }
        match self.expected {
            Some(expected) => sums.check(expected).map(|()| Verified::Publisher),
            None if hub.is_some() => Ok(Verified::Hub),
            None => Ok(Verified::Nobody),
        }
    }
}

/// Feeds the bytes that are here already; they came in an earlier run, so this one has not seen them.
fn rehash(file: &mut File, hasher: &mut Hasher, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn stopped(error: &io::Error, done: u64, total: Option<u64>) -> String {
    let of = total.map_or(String::new(), |total| format!(" of {total}"));
    let silent = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match silent {
        Some(ureq::Error::Timeout(_)) => format!("the server fell silent after {done}{of} bytes"),
        _ if error.kind() == io::ErrorKind::TimedOut => {
            format!("the server fell silent after {done}{of} bytes")
        }
        _ => format!("the server stopped after {done}{of} bytes"),
    }
}

/// Whether a file is named as something other than weights by its first bytes.
fn is_text(path: &Path) -> bool {
    let mut head = vec![0; crate::foreign::HEAD];
    let read = File::open(path).and_then(|mut file| file.read(&mut head));
    read.is_ok_and(|read| crate::foreign::named(&head[..read]).is_some())
}

fn len(path: &Path) -> u64 {
    path.metadata().map_or(0, |about| about.len())
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}
