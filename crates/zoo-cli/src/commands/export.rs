//! `zoo export`: a network with its weights as an ONNX file.

use std::{
    collections::BTreeMap,
    io::BufWriter,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use zoo::{Model, Network};
use zoo_data::shown;
use zoo_layers::{Graph, Mode, Shape};
use zoo_report::bytes;
use zoo_weights::Destination;

use crate::{
    failure::OrWrongCall,
    options::{self, LayerArguments},
    output,
    running::{RunArguments, check_apart, writable, writable_as, written},
    triton::Place as Triton,
};

/// Bytes gathered before they are written.
const BUFFER: usize = 1 << 20;

/// Write a network with its weights as an ONNX file
///
/// Opset 17, f32, nodes and tensors under the network's own names, the input called `input`. The batch is free unless
/// --batch says otherwise, height and width are the network's own unless --input does. Classes and preprocessing are in
/// the file's metadata. Weights beyond 2 GB go into a second file, OUT.onnx.data.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo export lenet5 lenet5.onnx\n  \
                        zoo export resnet50 resnet50.onnx --batch 8 --fold-norms\n  \
                        zoo export fcn_resnet50 fcn.onnx --input free\n  \
                        zoo export mine.safetensors mine.onnx --input 3x320x480\n  \
                        zoo export resnet50 features.onnx --at layer3 --at layer4\n  \
                        zoo export vgg16 maps.onnx --convolutional --input free\n  \
                        zoo export resnet50 --triton models --fold-norms")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// The file to write
    #[arg(value_name = "OUT.onnx", required_unless_present = "triton")]
    to: Option<PathBuf>,
    /// Write it into this folder of models as NVIDIA's Triton serves them, with its configuration and labels
    #[arg(long, value_name = "DIR", conflicts_with = "to")]
    triton: Option<PathBuf>,
    /// Pictures at once: a number, or any
    #[arg(long, default_value = "free", value_name = "N|free")]
    batch: Free<Batch>,
    /// Picture size: channels x height x width, or any height and width; the network's own if not given
    #[arg(long, value_name = "CxHxW|free")]
    input: Option<Free<Picture>>,
    /// Fold batch norms into the convolutions before them
    #[arg(long)]
    fold_norms: bool,
    /// A layer, a scope (its last layer) or an output that becomes an output; may be repeated
    #[arg(long, value_name = "NODE")]
    at: Vec<String>,
    /// Put the weights into a second file, OUT.onnx.data, whatever their size
    #[arg(long)]
    external_data: bool,
    #[command(flatten)]
    layers: LayerArguments,
    #[command(flatten)]
    run: RunArguments,
}

/// What may be left to the file's reader.
#[derive(Clone, Debug)]
enum Free<T> {
    Free,
    Fixed(T),
}

impl<T: FromStr<Err = String>> FromStr for Free<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "free" { Ok(Self::Free) } else { text.parse().map(Self::Fixed) }
    }
}

/// Pictures at once.
#[derive(Clone, Debug)]
struct Batch(usize);

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(count @ 1..=1_000_000) => Ok(Self(count)),
            _ => Err("give a number from 1 to 1000000, or `free`".into()),
        }
    }
}

/// Channels, height, width.
#[derive(Clone, Debug)]
struct Picture([usize; 3]);

impl FromStr for Picture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        options::parse_input(text).map(Self).map_err(|error| format!("{error}, or `free`"))
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = self.layers.asked(self.run.model(&self.model)?);
        self.check_places(&model).or_wrong_call()?;
        // What can't be written is told before weights are fetched.
        let unloaded = self.shaped(&self.part(&model.graph().or_wrong_call()?)?).or_wrong_call()?;
        let triton = self.triton.as_ref().map(|folder| Triton::new(folder, &self.name(&model)));
        let to = match (&self.to, &triton) {
            (_, Some(triton)) => triton.model(),
            (Some(to), None) => to.clone(),
            (None, None) => return Err(anyhow!("name the file to write")).or_wrong_call(),
        };
        if self.external_data && second(&to).is_none() {
            return Err(anyhow!(
                "{} gives no name for the file of weights beside it; give one in UTF-8",
                shown(&to)
            ))
            .or_wrong_call();
        }
        zoo_onnx::Model::new(&unloaded, self.options(&to, BTreeMap::new())).or_wrong_call()?;
        let read = [Some(Path::new(&self.model)), self.run.file()];
        check_apart(&to, read.into_iter().flatten()).or_wrong_call()?;
        let place = match triton {
            Some(_) => None,
            None => Some(writable_as(&to, "an ONNX file", &["onnx"])?),
        };
        let model = if self.at.is_empty() { model } else { model.at(&self.at) };
        let network = self.run.load(&model)?;
        // A file may tell of other classes or channels than the architecture's.
        let graph = self.shaped(network.graph()).or_wrong_call()?;
        let named = match &place {
            Some(Destination::File(place) | Destination::Stream(place)) => place,
            None => &to,
        };
        let options = self.options(named, metadata(&model, &network, graph.input())?);
        let file = zoo_onnx::Model::new(&graph, options).or_wrong_call()?;
        if let Some(triton) = &triton {
            triton.make().with_context(|| format!("the folder of {} can't be made", shown(&to)))?;
        }
        let destination = place.map_or_else(|| writable(&to), Ok)?;
        write(&file, &network, &destination)?;
        if let Some(triton) = &triton {
            let described = triton.describe(file.inputs(), file.outputs(), network.prepare().classes());
            described.with_context(|| format!("what belongs to {} can't be written", shown(&to)))?;
        }
        Ok(written(&destination, told(&model, &file, &to)))
    }

    /// What a server calls the network: as its file is called, or its run's folder, or its architecture.
    fn name(&self, model: &Model) -> String {
        let path = Path::new(&self.model);
        let is_file = path.extension().is_some_and(|ending| ending == "safetensors");
        let stem = match path.file_stem().filter(|_| is_file) {
            // Every run's result is called so.
            Some(stem) if stem == "best" => path.parent().and_then(Path::file_name),
            stem => stem,
        };
        stem.map_or_else(|| model.architecture().name.into(), |stem| stem.to_string_lossy().into_owned())
    }

    fn check_places(&self, model: &Model) -> Result<()> {
        for (i, name) in self.at.iter().enumerate() {
            if self.at[..i].contains(name) {
                return Err(anyhow!("`--at {name}` is given twice"));
            }
            options::reached(model, name)?;
        }
        Ok(())
    }

    fn part(&self, graph: &Graph) -> Result<Graph> {
        if self.at.is_empty() { Ok(graph.clone()) } else { Ok(graph.cut(&self.at)?) }
    }

    /// What answers of a network, for the pictures asked for: an auxiliary head may want larger ones.
    fn shaped(&self, graph: &Graph) -> Result<Graph> {
        let names: Vec<&str> = graph.outputs_in(Mode::Eval).map(|output| output.name.as_str()).collect();
        let graph = if names.len() < graph.outputs().len() { graph.cut(&names)? } else { graph.clone() };
        match &self.input {
            Some(Free::Fixed(Picture([channels, height, width]))) => {
                Ok(graph.at(Shape::map(*channels, *height, *width))?)
            }
            _ => Ok(graph),
        }
    }

    fn options(&self, to: &Path, metadata: BTreeMap<String, String>) -> zoo_onnx::Options {
        let usual = zoo_onnx::Options::default();
        zoo_onnx::Options {
            batch: match self.batch {
                Free::Free => None,
                Free::Fixed(Batch(count)) => Some(count),
            },
            free_size: matches!(self.input, Some(Free::Free)),
            fold_norms: self.fold_norms,
            metadata,
            second_file: second(to).map(|(_, name)| name),
            limit: if self.external_data { 0 } else { usual.limit },
        }
    }
}

/// Writes both files, and lets the first take its name right after the second has taken its: an older first one would read
/// new weights.
fn write(file: &zoo_onnx::Model<'_>, network: &Network, destination: &Destination) -> Result<()> {
    let failed = |path: &Path| format!("{} was not written", shown(path));
    let net = network.net()?;
    let (Destination::File(to) | Destination::Stream(to)) = destination;
    let bar = output::spinner(format!("writing {}", shown(to)));
    let beside = match (file.second_bytes(), destination) {
        (None, _) => None,
        (Some(_), Destination::File(to)) => {
            let (beside, _) = second(to).context("the file has no name")?;
            let destination = Destination::of(&beside).with_context(|| failed(&beside))?;
            Some((beside, destination))
        }
        (Some(_), Destination::Stream(_)) => {
            return Err(anyhow!(
                "{} is no file, so no second one can lie beside it for the weights; name a file",
                shown(to)
            ))
            .or_wrong_call();
        }
    };
    let outcome = destination.write(|out| {
        file.write(net, &mut BufWriter::with_capacity(BUFFER, &mut *out))?;
        match &beside {
            Some((path, beside)) => {
                // What could still go wrong with the first goes wrong now, before the second takes the place of an older one.
                if matches!(destination, Destination::File(_)) {
                    out.sync_all()?;
                }
                let write = |out: &mut std::fs::File| -> std::io::Result<()> {
                    Ok(file.write_second(net, &mut BufWriter::with_capacity(BUFFER, out))?)
                };
                beside
                    .write(write)
                    .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", shown(path))))
            }
            None => Ok(()),
        }
    });
    bar.finish_and_clear();
    outcome.with_context(|| failed(to))
}

fn told(model: &Model, file: &zoo_onnx::Model<'_>, to: &Path) -> String {
    let total = file.bytes() + file.second_bytes().unwrap_or(0);
    let mut told = format!("{}, {} tensors, {}\n", model.architecture().name, file.tensors(), bytes(total));
    let values = |what: &str, values: &[zoo_onnx::Value]| -> String {
        values.iter().map(|value| format!("{what} {value}\n")).collect()
    };
    told += &values("in ", file.inputs());
    told += &values("out", file.outputs());
    if let (Some(_), Some((beside, _))) = (file.second_bytes(), second(to)) {
        told += &format!("{}\n", shown(&beside));
    }
    told + &format!("{}\n", shown(to))
}

/// The second file's place and name.
fn second(first: &Path) -> Option<(PathBuf, String)> {
    let name = format!("{}.data", first.file_name()?.to_str()?);
    Some((first.with_file_name(&name), name))
}

/// What else a reader of the file needs: whose it is, what pictures it takes, what its answers are called.
fn metadata(model: &Model, network: &Network, input: Shape) -> Result<BTreeMap<String, String>> {
    let prepare = network.prepare();
    let values = [
        ("architecture", model.architecture().name.to_string()),
        ("classes", serde_json::to_string(prepare.classes())?),
        ("preprocessing", serde_json::to_string(&prepare.to_json(input)?)?),
    ];
    Ok(values.map(|(key, value)| (key.to_string(), value)).into())
}
