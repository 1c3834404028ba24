//! `cargo xtask fetch-data`: data sets that have a public address, brought here, verified and unpacked.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use zoo_weights::{DataSet, DataSets, Destination, Fetcher, Settings};

use crate::screen::Screen;

const EXAMPLES: &str = "\
Examples:
  cargo xtask fetch-data mnist                    into data/mnist, for `zoo train … --data data/mnist`
  cargo xtask fetch-data cifar10 -o /mnt/sets     into /mnt/sets/cifar10
  cargo xtask fetch-data --list                   what there is

A transfer that was cut off is gone on with. HTTPS_PROXY, http_proxy, ALL_PROXY and NO_PROXY are honoured.";

/// What `fetch-data` is told.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Data sets
    #[arg(value_name = "NAME", required_unless_present = "list")]
    names: Vec<String>,
    /// List the data sets that can be fetched
    #[arg(long, conflicts_with = "names")]
    list: bool,
    /// The folder in which each gets a folder
    #[arg(long, short, value_name = "DIR", default_value = "data")]
    output: PathBuf,
    /// Take every file from this server
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Never use the network
    #[arg(long)]
    offline: bool,
}

/// The call was wrong, as opposed to: the work failed.
const WRONG_CALL: u8 = 2;

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let known = DataSets::published()?;
    let mut screen = Screen::new();
    if args.list {
        let head = ["data", "shows", "licence"].map(String::from);
        let rows = known.sets.iter().map(|set| [set.name.clone(), set.note.clone(), set.licence.clone()]);
        screen.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut chosen = Vec::new();
    for name in &args.names {
        let Some(set) = known.find(name) else {
            let names: Vec<&str> = known.sets.iter().map(|set| set.name.as_str()).collect();
            screen.error(&format!("no data set is known as `{name}`; there are {}", names.join(", ")))?;
            return Ok(ExitCode::from(WRONG_CALL));
        };
        chosen.push(set);
    }
    let mut settings = Settings::from_env()?.with_mirror(args.mirror.clone());
    settings.offline |= args.offline;
    let fetcher = Fetcher::new(settings);
    let mut all_well = true;
    for set in chosen {
        match fetch(set, &args.output.join(&set.name), &fetcher, &mut screen) {
            Ok(path) => screen.line(&format!("{}  {}", set.name, path.display()))?,
            Err(error) => {
                all_well = false;
                screen.error(&format!("{error:#}"))?;
            }
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings a data set into its folder; the path to give as `--data`.
fn fetch(set: &DataSet, folder: &Path, fetcher: &Fetcher, screen: &mut Screen) -> Result<PathBuf> {
    let unpacked = set.unpacked.as_ref().map(|name| folder.join(name));
    if let Some(path) = unpacked.as_ref().filter(|path| path.is_dir()) {
        return Ok(path.clone());
    }
    for file in &set.files {
        let outcome = fetcher.fetch_data(file, folder, &mut |event| screen.event(&file.name, &event));
        screen.clear()?;
        let (path, _) = outcome?;
        if let Some(unpacked) = &unpacked {
            unpack(&path, folder, unpacked)?;
        }
    }
    if !set.classes.is_empty() {
        let path = folder.join("classes.txt");
        let names = set.classes.join("\n") + "\n";
        let written =
            Destination::of(&path).and_then(|place| place.write(|file| file.write_all(names.as_bytes())));
        written.with_context(|| format!("{} can't be written", path.display()))?;
    }
    Ok(unpacked.unwrap_or_else(|| folder.to_path_buf()))
}

/// Unpacks an archive whole or not at all: under a hidden name, which is changed at the end.
fn unpack(archive: &Path, folder: &Path, unpacked: &Path) -> Result<()> {
    let spoilt = || format!("{} can't be unpacked; remove it and fetch it again", archive.display());
    let hidden = folder.join(".unpacking");
    if hidden.exists() {
        fs::remove_dir_all(&hidden).with_context(|| format!("{} can't be removed", hidden.display()))?;
    }
    fs::create_dir_all(&hidden).with_context(|| format!("{} can't be made", hidden.display()))?;
    let file = File::open(archive).with_context(spoilt)?;
    // Entries that lead out of the folder are passed over by the reader.
    tar::Archive::new(flate2::read::MultiGzDecoder::new(file)).unpack(&hidden).with_context(spoilt)?;
    let name = unpacked.file_name().unwrap_or_default();
    fs::rename(hidden.join(name), unpacked).with_context(spoilt)?;
    fs::remove_dir_all(&hidden).with_context(|| format!("{} can't be removed", hidden.display()))
}

#[cfg(test)]
mod tests {

    use super::*;

    fn archive(path: &Path, files: &[(&str, &[u8])]) {
        let encoder = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(encoder);
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn an_archive_is_unpacked_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (path, unpacked) = (folder.path().join("a.tgz"), folder.path().join("set"));
        archive(&path, &[("set/train/1.bin", b"one"), ("set/test/2.bin", b"two")]);
        // What an earlier run left doesn't matter.
        fs::create_dir_all(folder.path().join(".unpacking/set/old")).unwrap();
        unpack(&path, folder.path(), &unpacked).unwrap();
        assert_eq!(fs::read(unpacked.join("test/2.bin")).unwrap(), b"two");
        assert!(!unpacked.join("old").exists() && !folder.path().join(".unpacking").exists());

        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let other = folder.path().join("other");
        let error = format!("{:#}", unpack(&path, folder.path(), &other).unwrap_err());
        assert!(error.contains("a.tgz can't be unpacked; remove it and fetch it again"), "{error}");
        assert!(!other.exists());
    }
}
