//! `zoo features`: what a network makes of its input on the way.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::{DType, Device, Tensor};
use clap::Args;
use serde_json::json;
use zoo::{Model, Network};
use zoo_layers::{Mode, Shape};
use zoo_weights::TensorFile;

use crate::{
    failure::OrWrongCall,
    output,
    pictures::{self, Place},
    running::{RunArguments, shown},
};

/// Inputs that run through the network at once.
const BATCH: usize = 16;

/// Write what a network makes of its inputs at chosen places
///
/// The file holds one f32 tensor for each place, a row for each input, and the inputs' names in its metadata.
/// Without --at it is the classifier's input. What lies beyond the places is neither loaded nor computed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo features lenet5 assets/digits -o digits.safetensors\n  \
                        zoo features resnet50 photo.jpg --weights resnet50.safetensors --at layer3 --at layer4 -o f.safetensors\n  \
                        zoo features lenet5 prepared.npy --at logits -o logits.safetensors")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// Pictures, folders, or prepared tensors (n, c, h, w) as .npy or .safetensors
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// A layer, a scope (its last layer) or an output; may be repeated
    #[arg(long, value_name = "NODE")]
    at: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    run: RunArguments,
}

/// One tensor of the result while it grows.
#[derive(Debug, Default)]
struct Rows {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = self.run.model(&self.model)?;
        let names = match self.at.is_empty() {
            true => vec![model.graph().get(model.graph().features()).name.clone()],
            false => self.names(&model)?,
        };
        let cut = model.cut(&names).or_wrong_call()?;
        let network = self.run.load_cut(&model, &cut)?;
        let places = places(&self.inputs)?;
        let mut inputs = Vec::new();
        let mut rows: Vec<Rows> = names.iter().map(|_| Rows::default()).collect();
        let bar = output::bar(places.len() as u64, "inputs");
        for batch in places.chunks(BATCH) {
            for tensor in prepared(&network, batch)? {
                inputs.extend(tensor.names);
                self.compute(&network, &names, &tensor.values, &mut rows)?;
            }
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
        let tensors: Vec<(&String, zoo_weights::Tensor<'_>)> = names
            .iter()
            .zip(&rows)
            .map(|(name, rows)| (name, zoo_weights::Tensor::from_f32(&rows.shape, &rows.values)))
            .collect();
        zoo_weights::save(&self.output, &tensors, Some(("inputs", &json!(inputs))))?;
        let lines = names.iter().zip(&rows).map(|(name, rows)| format!("{name} {:?}\n", rows.shape));
        Ok(format!("{}{}\n", lines.collect::<String>(), shown(&self.output)))
    }

    /// The places asked for, each once.
    fn names(&self, model: &Model) -> Result<Vec<String>> {
        for (i, name) in self.at.iter().enumerate() {
            if self.at[..i].contains(name) {
                return Err(anyhow!("`--at {name}` is given twice")).or_wrong_call();
            }
            model.graph().find(name).or_wrong_call()?;
        }
        Ok(self.at.clone())
    }

    fn compute(&self, network: &Network, names: &[String], input: &Tensor, rows: &mut [Rows]) -> Result<()> {
        let batches = input.dim(0)?.div_ceil(BATCH);
        for batch in 0..batches {
            let start = batch * BATCH;
            let part =
                input.narrow(0, start, BATCH.min(input.dim(0)? - start))?.to_device(network.device())?;
            let outputs = network.net().outputs(&part, Mode::Eval)?;
            for (name, rows) in names.iter().zip(rows.iter_mut()) {
                let output = outputs.get(name).with_context(|| format!("`{name}` was not computed"))?;
                let values = output.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                if rows.shape.is_empty() {
                    rows.shape = output.dims().to_vec();
                } else if rows.shape[1..] != output.dims()[1..] {
                    bail!(
                        "`{name}` is {:?} for one input and {:?} for another; give inputs of one size",
                        &rows.shape[1..],
                        &output.dims()[1..]
                    );
                } else {
                    rows.shape[0] += output.dim(0)?;
                }
                rows.values.extend(values);
            }
        }
        Ok(())
    }
}

/// An input file with one or many prepared pictures.
#[derive(Debug)]
struct Prepared {
    names: Vec<String>,
    values: Tensor,
}

/// Like [`pictures::places`], but tensor files stay what they are.
fn places(arguments: &[PathBuf]) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for argument in arguments {
        match is_tensor(argument) {
            true => found.push(Place::File(argument.clone())),
            false => found.extend(pictures::places(std::slice::from_ref(argument))?),
        }
    }
    Ok(found)
}

fn is_tensor(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npy" || ending == "safetensors")
}

/// A batch of inputs: neighbouring pictures become one tensor, tensor files stay alone.
fn prepared(network: &Network, places: &[Place]) -> Result<Vec<Prepared>> {
    let mut done: Vec<Prepared> = Vec::new();
    let mut pending: Vec<(String, Tensor)> = Vec::new();
    for place in places {
        let name = place.name();
        match place {
            Place::File(path) if is_tensor(path) => {
                flush(&mut pending, &mut done)?;
                let values = tensor(path)?;
                check(network, &values, &name)?;
                let count = values.dim(0)?;
                let names = match count {
                    1 => vec![name],
                    _ => (0..count).map(|row| format!("{name}#{row}")).collect(),
                };
                done.push(Prepared { names, values });
            }
            _ => {
                let picture = network.prepare().picture(&place.read()?, &name)?;
                pending.push((name, picture));
            }
        }
    }
    flush(&mut pending, &mut done)?;
    Ok(done)
}

/// Joins the pictures that are waiting.
fn flush(pending: &mut Vec<(String, Tensor)>, done: &mut Vec<Prepared>) -> Result<()> {
    if !pending.is_empty() {
        let (names, tensors): (Vec<_>, Vec<_>) = pending.drain(..).unzip();
        done.push(Prepared { names, values: Tensor::cat(&tensors, 0)? });
    }
    Ok(())
}

/// A prepared tensor: of a .safetensors the only one, or the one called `input`.
fn tensor(path: &Path) -> Result<Tensor> {
    if path.extension().is_some_and(|ending| ending == "npy") {
        let tensor = Tensor::read_npy(path).and_then(|tensor| tensor.to_dtype(DType::F32));
        return tensor.with_context(|| format!("{}: not a NumPy array that can be read", path.display()));
    }
    let file = TensorFile::open(path)?;
    let chosen = match file.len() {
        1 => file.tensors().next().map(|(_, tensor)| tensor),
        _ => file.get("input"),
    };
    let Some(tensor) = chosen else {
        bail!(
            "{}: holds {} tensors and none called `input`; leave one, or name it so",
            path.display(),
            file.len()
        );
    };
    Ok(Tensor::from_vec(tensor.to_f32()?, tensor.shape.as_ref(), &Device::Cpu)?)
}

/// Says which file is meant when a tensor does not fit.
fn check(network: &Network, values: &Tensor, name: &str) -> Result<()> {
    let (Shape::Map { channels, .. }, dims) = (network.net().graph().input(), values.dims()) else {
        return Ok(());
    };
    match dims {
        [n, c, h, w] if *c == channels && n * h * w > 0 => Ok(()),
        _ => bail!("{name}: its shape is {dims:?}; the network takes (n, {channels}, height, width)"),
    }
}
