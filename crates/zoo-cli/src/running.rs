//! What all commands share that run a network: its weights, threads and device.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use zoo::{Model, Network, Published};
use zoo_data::shown;
use zoo_weights::Destination;

use crate::{
    failure::{OrWrongCall, WrongCall},
    fetching::{Screen, parse_mirror},
    hints, output,
};

/// Which weights, how many threads, where.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArguments {
    /// A file of weights or the tag of published ones, instead of the default
    #[arg(long, value_name = "FILE|TAG")]
    weights: Option<PathBuf>,
    /// Which of several networks in the file of weights, or which state of one: a key, or what names begin with
    #[arg(long, value_name = "KEY", requires = "weights")]
    key: Option<String>,
    /// Use only what is on this machine
    #[arg(long)]
    offline: bool,
    /// Fetch weights from this server
    #[arg(long, value_name = "URL", value_parser = parse_mirror)]
    mirror: Option<String>,
    /// Tell which file the weights are from, and name its tensors
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    machine: MachineArguments,
}

/// How many threads, where.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArguments {
    /// Threads to compute with; all cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// cpu, cuda:N or metal
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
}

/// Names of each kind that a report shows unless it is asked for all.
pub(crate) const REPORTED: usize = 20;

impl MachineArguments {
    /// Settles threads and device; to be called before anything is computed.
    pub(crate) fn settle(&self) -> Result<candle_core::Device> {
        if let Some(threads) = self.threads {
            compute_with(threads)?;
        }
        let unavailable = |feature: &str| {
            WrongCall(anyhow!(
                "this program was built without `{feature}`, so `--device {}` can't be had; build it with \
                 `--features {feature}`, or leave the flag out",
                self.device
            ))
        };
        match self.device.split_once(':').unwrap_or((&self.device, "0")) {
            ("cpu", _) => Ok(candle_core::Device::Cpu),
            ("cuda", _) if !candle_core::utils::cuda_is_available() => Err(unavailable("cuda").into()),
            ("metal", _) if !candle_core::utils::metal_is_available() => Err(unavailable("metal").into()),
            ("cuda", ordinal) => {
                let ordinal =
                    ordinal.parse().context("write the device as cuda:0, cuda:1, …").or_wrong_call()?;
                Ok(candle_core::Device::new_cuda(ordinal)?)
            }
            ("metal", _) => Ok(candle_core::Device::new_metal(0)?),
            _ => Err(WrongCall(anyhow!(
                "there is no device `{}`; give `cpu`, `cuda:0` or `metal`",
                self.device
            ))
            .into()),
        }
    }
}

/// Sets up the threads that everything is computed on, in this very process: whoever started it can end it. Candle's
/// own threads, which go by the environment alone, are for operations that no command runs on a CPU.
fn compute_with(threads: u16) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
    if usize::from(threads) > cores.saturating_mul(2) {
        output::note(&format!(
            "{threads} threads for {cores} cores wait for each other; so many as there are cores are fastest"
        ));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.into())
        .thread_name(|number| format!("zoo-{number}"))
        .build_global()
        .context("the number of threads can't be set any more")
}

/// Threads that prepare inputs beside those that compute: as many as the caller allowed, and no more than help.
pub(crate) fn threads() -> usize {
    rayon::current_num_threads().min(8)
}

/// The model a caller named.
pub(crate) fn model(name: &str) -> Result<Model> {
    Ok(zoo::model(name)?)
}

/// An error of loading; of a file that does not fit, with the report by name below the sentence.
pub(crate) fn unfit(error: zoo::Error) -> anyhow::Error {
    let zoo::Error::Unfit { report, .. } = &error else { return error.into() };
    let report = zoo_weights::LoadReport { loaded: Vec::new(), ..(**report).clone() };
    let lines: String = report.in_full(REPORTED).lines().map(|line| format!("\n  {line}")).collect();
    anyhow!("{}{lines}", hints::told(&error).unwrap_or_else(|| error.to_string()))
}

/// A network that begins with what fits of a file: both what was carried and what was drawn are told.
pub(crate) fn initialised(model: &Model, file: &Path) -> Result<Network> {
    let network = model.initialised_from(file)?;
    let report = network.report();
    let list = |names: &[String]| -> String {
        let shown: Vec<&str> = names.iter().take(REPORTED).map(String::as_str).collect();
        let more = names.len().saturating_sub(REPORTED);
        shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    };
    let mut told = format!("{}: carried {}: {}", shown(file), report.loaded.len(), list(&report.loaded));
    let rest = [("drawn anew", &report.newly_initialised), ("left in the file", &report.unexpected)];
    for (what, names) in rest.into_iter().filter(|(_, names)| !names.is_empty()) {
        told += &format!("\n{what} {}: {}", names.len(), list(names));
    }
    for note in &report.notes {
        told += &format!("\n{note}");
    }
    output::note(&told);
    Ok(network)
}

impl RunArguments {
    /// The file of weights or the tag, and the key in it.
    pub(crate) fn weights(&self) -> (Option<PathBuf>, Option<String>) {
        (self.weights.clone(), self.key.clone())
    }

    /// The file of weights, if one was named.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.weights.as_deref()
    }

    /// Takes other weights.
    pub(crate) fn take(&mut self, weights: Option<PathBuf>, key: Option<String>) {
        (self.weights, self.key) = (weights, key);
    }

    /// Settles the machine.
    pub(crate) fn machine(&self) -> Result<candle_core::Device> {
        self.machine.settle()
    }

    /// Settles the machine and finds the model that a caller named.
    pub(crate) fn model(&self, name: &str) -> Result<Model> {
        let device = self.machine.settle()?;
        Ok(model(name)?.on(device).under(self.key.clone()))
    }

    /// The network with its weights, fetched if need be.
    pub(crate) fn load(&self, model: &Model) -> Result<Network> {
        let loaded = match self.source(model)? {
            Source::File(path) => model.weights(path),
            Source::Tag(tag) => model.tagged(tag),
            Source::Default => model.pretrained(),
        };
        self.reported(loaded)
    }

    fn reported(&self, loaded: zoo::Result<Network>) -> Result<Network> {
        let network = loaded.map_err(unfit)?;
        if !self.verbose && !network.report().notes.is_empty() {
            output::note(&format!("{}: {}", shown(network.file()), network.report().notes.join("; ")));
        }
        if self.verbose {
            output::note(&format!("{}\n{}", shown(network.file()), network.report().in_full(usize::MAX)));
        }
        Ok(network)
    }

    /// Where the weights are, once they are here.
    fn source(&self, model: &Model) -> Result<Source<'_>> {
        let name = model.architecture().name;
        let model_of = |text: &str| text.split_once('.').map(|(model, _)| model.to_string());
        let is_tag = |text: &&str| {
            let is_file = FILES.iter().any(|ending| text.ends_with(ending));
            !is_file && model_of(text).is_some_and(|model| zoo::find(&model).is_ok())
        };
        let source = match self.weights.as_deref() {
            Some(path) => match path.to_str().filter(is_tag).filter(|_| !path.exists()) {
                Some(tag) if model_of(tag).as_deref() != Some(name) => {
                    return Err(anyhow!(
                        "the weights `{tag}` are not of `{name}`; give the other name or another tag"
                    ))
                    .or_wrong_call();
                }
                Some(tag) => match &self.key {
                    Some(key) => {
                        return Err(anyhow!(
                            "`--key {key}` chooses within a file, and `{tag}` is one network's weights; leave it out"
                        ))
                        .or_wrong_call();
                    }
                    None => Source::Tag(tag),
                },
                None if !path.exists() && path.components().count() == 1 && path.extension().is_none() => {
                    return Err(anyhow!(
                        "there is no file {} here, nor weights of `{name}` with that tag; `zoo fetch --list` shows all tags",
                        shown(path)
                    ))
                    .or_wrong_call();
                }
                None => return Ok(Source::File(path)),
            },
            // What needs nothing published asks for no place to keep it.
            None if model.is_complete() => return Ok(Source::Default),
            None => Source::Default,
        };
        let published = Published::new(self.offline)?.mirrored(self.mirror.clone());
        let wanted = match source {
            Source::Tag(tag) => tag.to_string(),
            _ => match published.of(name).into_iter().next() {
                Some(first) => first.tag,
                None => return Ok(source), // That there are none is said when they are looked for.
            },
        };
        fetch(&published, &wanted)?;
        Ok(source)
    }
}

/// What files of weights are called at their end; no tag ends so.
const FILES: [&str; 7] = [".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".h5", ".keras"];

/// Where weights come from.
enum Source<'a> {
    File(&'a Path),
    Tag(&'a str),
    Default,
}

/// Fetches weights with a bar, if they are not here.
fn fetch(published: &Published, tag: &str) -> Result<()> {
    let screen = Screen::by_the_way();
    let outcome = published.fetch(tag, &mut |event| screen.event(tag, &event));
    screen.clear();
    Ok(outcome?)
}

/// That a network's last layer has learned: for other classes it is drawn anew, and its answers would mean nothing.
pub(crate) fn taught(network: &Network, classes: Option<usize>) -> Result<()> {
    match (classes, network.report().newly_initialised.is_empty()) {
        (Some(classes), false) => Err(anyhow!(
            "for `--classes {classes}` the last layer of `{}` is drawn anew, and has learned nothing yet; leave the flag out, or \
             teach it with `zoo finetune`",
            network.graph().name()
        ))
        .or_wrong_call(),
        _ => Ok(()),
    }
}

/// That nothing that is read is written over.
pub(crate) fn check_apart<'p>(to: &Path, read: impl IntoIterator<Item = &'p Path>) -> Result<()> {
    let place = |path: &Path| path.canonicalize().ok().filter(|path| path.is_file());
    let Some(written) = place(to) else { return Ok(()) };
    match read.into_iter().find(|read| place(read).as_ref() == Some(&written)) {
        Some(read) => {
            Err(anyhow!("{} is read, and would be written over; name another file to write", shown(read)))
        }
        None => Ok(()),
    }
}

/// That what is to be written has a name: `-` has none.
pub(crate) fn check_named(path: &Path) -> Result<()> {
    match path == Path::new("-") {
        true => Err(anyhow!("`-` is nothing to write to; standard output is /dev/stdout")).or_wrong_call(),
        false => Ok(()),
    }
}

/// Whether something can be written to `path`, before minutes are spent on what it is to be; and where it goes.
pub(crate) fn writable(path: &Path) -> Result<Destination> {
    check_named(path)?;
    let destination = Destination::of(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::IsADirectory => anyhow!("{} is a folder; give the path of a file", shown(path)),
        _ => anyhow!("nothing can be written to {}: {error}", shown(path)),
    })?;
    destination.check().with_context(|| {
        let (Destination::File(place) | Destination::Stream(place)) = &destination;
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = shown(folder.unwrap_or(Path::new(".")));
        format!("nothing can be written in {folder}; make it, or name another folder")
    })?;
    Ok(destination)
}

/// The same of a file that is of one kind, whose names end so.
pub(crate) fn writable_as(path: &Path, kind: &str, endings: &[&str]) -> Result<Destination> {
    check_ending(path, kind, endings)?;
    writable(path)
}

/// That a path doesn't end as files of another kind do, which would mislead whoever reads it.
pub(crate) fn check_ending(path: &Path, kind: &str, endings: &[&str]) -> Result<()> {
    const KNOWN: [&str; 24] = [
        "bmp",
        "csv",
        "dot",
        "gif",
        "gv",
        "h5",
        "hdf5",
        "jpeg",
        "jpg",
        "json",
        "jsonl",
        "keras",
        "mmd",
        "npy",
        "npz",
        "onnx",
        "pdf",
        "png",
        "pt",
        "pth",
        "safetensors",
        "svg",
        "tiff",
        "webp",
    ];
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let is_others = KNOWN.contains(&ending.as_str()) && !endings.contains(&ending.as_str());
    if let (true, Some(first)) = (is_others, endings.first()) {
        return Err(anyhow!(
            "{} would be {kind}, not what its name says; call it {}",
            shown(path),
            shown(&path.with_extension(first))
        ))
        .or_wrong_call();
    }
    Ok(())
}

/// What is printed when a file has been written: beside it, if it went where the output goes or others read it.
pub(crate) fn written(destination: &Destination, text: String) -> String {
    match destination {
        Destination::File(_) => text,
        Destination::Stream(_) => {
            output::note(text.trim_end());
            String::new()
        }
    }
}
