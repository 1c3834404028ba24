//! `zoo features`: what a network makes of its input on the way.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use candle_core::{DType, Device, Tensor};
use clap::Args;
use serde_json::json;
use zoo::{Model, Network, Next, Ordered, Prepare};
use zoo_data::shown;
use zoo_layers::{Mode, Shape};
use zoo_weights::TensorFile;

use crate::{
    failure::{InPart, OrWrongCall, sentence},
    learning::check_pictures,
    options::{OptionArguments, reached},
    output,
    pictures::{self, Place},
    running::{self, RunArguments, check_apart, writable_as, written},
};

/// Inputs that run through the network at once.
const BATCH: usize = 16;

/// Write what a network makes of its inputs at chosen places
///
/// The file holds one f32 tensor for each place, a row for each input, and the inputs' names in its metadata.
/// Without --at it is the classifier's input. What lies beyond the places is neither loaded nor computed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo features lenet5 assets/digits -o digits.safetensors\n  \
                        zoo features resnet50 photo.jpg --at layer3 --at layer4 -o f.safetensors\n  \
                        zoo features lenet5 prepared.npy --at logits -o logits.safetensors")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// Pictures, folders, - for standard input, or prepared tensors (n, c, h, w) as .npy or .safetensors
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// A layer, a scope (its last layer) or an output; may be repeated
    #[arg(long, value_name = "NODE")]
    at: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    options: OptionArguments,
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
        let model = self.options.asked(self.run.model(&self.model)?).or_wrong_call()?;
        let graph = model.graph().or_wrong_call()?;
        let names = match self.at.is_empty() {
            true => vec![graph.get(graph.features()).name.clone()],
            false => self.names(&model)?,
        };
        let model = model.at(&names);
        model.graph().or_wrong_call()?;
        check_pictures(&graph, 1)?;
        let read = self.inputs.iter().map(PathBuf::as_path).chain(self.run.file());
        check_apart(&self.output, read.chain([Path::new(&self.model)])).or_wrong_call()?;
        let destination = writable_as(&self.output, "a safetensors file", &["safetensors"])?;
        let network = self.run.load(&model)?;
        let places = pictures::places(&self.inputs)?;
        // Of a folder it is known only now what is read.
        check_apart(&self.output, places.iter().filter_map(Place::file)).or_wrong_call()?;
        let mut gathered = Gathered::new(&names);
        let mut faults = Vec::new();
        let bar = output::bar(Some(places.len() as u64), "inputs");
        let count = places.len();
        let (prepare, input) = (network.prepare().clone(), network.graph().input());
        let work = move |place: &Place| prepared(&prepare, input, place);
        let mut ordered = Ordered::new(places.into_iter(), running::threads(), work);
        loop {
            match ordered.wait() {
                Next::Done(_, Ok(input)) => gathered.add(&network, input)?,
                Next::Done(_, Err(error)) => faults.push(sentence(&error)),
                Next::End => break,
                Next::NotYet | Next::Broken => bail!("a thread that prepares inputs broke down"),
            }
            bar.inc(1);
        }
        gathered.compute(&network)?;
        bar.finish_and_clear();
        let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
        let complaint = || pictures::complaint(&faults, count, "inputs");
        if gathered.inputs.is_empty() {
            return Err(complaint());
        }
        let printed = format!("{}{}\n", gathered.save(&self.output)?, shown(&self.output));
        let printed = written(&destination, printed);
        match faults.is_empty() {
            true => Ok(printed),
            false => Err(InPart { printed, error: complaint() }.into()),
        }
    }

    /// The places asked for, each once.
    fn names(&self, model: &Model) -> Result<Vec<String>> {
        for (i, name) in self.at.iter().enumerate() {
            if self.at[..i].contains(name) {
                return Err(anyhow!("`--at {name}` is given twice")).or_wrong_call();
            }
            reached(model, name).or_wrong_call()?;
        }
        Ok(self.at.clone())
    }
}

/// The result while it grows, and the inputs that wait for others to run together.
struct Gathered<'n> {
    /// The places asked for, with what was computed there.
    tensors: Vec<(&'n String, Rows)>,
    /// The inputs so far.
    inputs: Vec<String>,
    pending: Vec<Tensor>,
}

impl<'n> Gathered<'n> {
    fn new(names: &'n [String]) -> Self {
        let tensors = names.iter().map(|name| (name, Rows::default())).collect();
        Self { tensors, inputs: Vec::new(), pending: Vec::new() }
    }

    /// Takes an input on; runs those that wait if it makes a batch full, or is of another size than they.
    fn add(&mut self, network: &Network, input: Prepared) -> Result<()> {
        let other_size = |first: &Tensor| first.dims()[1..] != input.values.dims()[1..];
        if self.pending.first().is_some_and(other_size) {
            self.compute(network)?;
        }
        self.inputs.extend(input.names);
        self.pending.push(input.values);
        let waiting: usize = self.pending.iter().map(|tensor| tensor.dims()[0]).sum();
        if waiting >= BATCH { self.compute(network) } else { Ok(()) }
    }

    /// Runs what waits.
    fn compute(&mut self, network: &Network) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let input = Tensor::cat(&pending, 0)?;
        let count = input.dim(0)?;
        for start in (0..count).step_by(BATCH) {
            let part = input.narrow(0, start, BATCH.min(count - start))?;
            let outputs = network.outputs(&part)?;
            let computed: Vec<&str> =
                network.graph().outputs_in(Mode::Eval).map(|output| output.name.as_str()).collect();
            for (name, rows) in &mut self.tensors {
                let place = computed.iter().position(|computed| computed == name);
                let place = place.with_context(|| format!("`{name}` was not computed"))?;
                let output = &outputs[place];
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

    /// Writes the file; gives a line for each tensor.
    fn save(&self, path: &Path) -> Result<String> {
        let tensors: Vec<(&String, zoo_weights::Tensor<'_>)> = self
            .tensors
            .iter()
            .map(|(name, rows)| (*name, zoo_weights::Tensor::from_f32(&rows.shape, &rows.values)))
            .collect();
        zoo_weights::save(path, &tensors, Some(("inputs", &json!(self.inputs))))?;
        Ok(self.tensors.iter().map(|(name, rows)| format!("{name} {:?}\n", rows.shape)).collect())
    }
}

/// An input file with one or many prepared pictures.
#[derive(Debug)]
struct Prepared {
    names: Vec<String>,
    values: Tensor,
}

fn is_tensor(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "npy" || ending == "safetensors")
}

/// One input: a picture, or a file with one or many that are prepared.
fn prepared(prepare: &Prepare, wanted: Shape, place: &Place) -> Result<Prepared> {
    let (name, path) = (place.name(), place.path());
    match place {
        Place::File(file) if is_tensor(file) => {
            let values = tensor(file)?;
            check(wanted, &values, &name)?;
            let names = match values.dim(0)? {
                1 => vec![path],
                count => (0..count).map(|row| format!("{path}#{row}")).collect(),
            };
            Ok(Prepared { names, values })
        }
        _ => {
            let values = prepare.picture(&place.read()?, &name)?;
            Ok(Prepared { names: vec![path], values })
        }
    }
}

/// A prepared tensor: of a .safetensors the only one, or the one called `input`.
fn tensor(path: &Path) -> Result<Tensor> {
    if path.extension().is_some_and(|ending| ending == "npy") {
        check_npy(path)?;
        let tensor = Tensor::read_npy(path).and_then(|tensor| tensor.to_dtype(DType::F32));
        return tensor.with_context(|| format!("{}: not a NumPy array that can be read", shown(path)));
    }
    let file = TensorFile::open(path)?;
    let chosen = match file.len() {
        1 => file.tensors().next().map(|(_, tensor)| tensor),
        _ => file.get("input"),
    };
    let Some(tensor) = chosen else {
        bail!(
            "{}: holds {} tensors and none called `input`; leave one, or name it so",
            shown(path),
            file.len()
        );
    };
    let values = tensor.to_f32().with_context(|| shown(path))?;
    Ok(Tensor::from_vec(values, tensor.shape.as_ref(), &Device::Cpu)?)
}

/// Judges a NumPy array's header before anything is computed or taken from what it promises.
fn check_npy(path: &Path) -> Result<()> {
    let cannot = || format!("{}: can't be read", shown(path));
    let file = File::open(path).with_context(cannot)?;
    let bytes = file.metadata().with_context(cannot)?.len();
    let mut head = Vec::new();
    file.take(1 << 16).read_to_end(&mut head).with_context(cannot)?;
    // Blanks mean nothing in it, and whoever writes it sets them as they like.
    let head: String = String::from_utf8_lossy(&head).split_whitespace().collect();
    if head.contains("'fortran_order':True") {
        bail!("{}: lies column by column; save numpy.ascontiguousarray(x)", shown(path));
    }
    if head.contains("'descr':'>") {
        bail!("{}: its numbers begin with their highest byte; save x.astype('float32')", shown(path));
    }
    let mut shapes = head.split("'shape':(").skip(1).filter_map(|rest| rest.split_once(')'));
    let (Some((shape, _)), None) = (shapes.next(), shapes.next()) else {
        bail!("{}: its header names no shape, or several; save it again", shown(path));
    };
    let lengths = shape.split(',').filter(|text| !text.is_empty());
    let count =
        lengths.map(|text| text.parse::<u64>().ok()).try_fold(1, |count: u64, next| count.checked_mul(next?));
    match count {
        Some(count) if count <= bytes => Ok(()),
        _ => bail!(
            "{}: its shape is ({}), for which its {bytes} bytes are too few; save it again",
            shown(path),
            shape.trim_end_matches(',').replace(',', ", ")
        ),
    }
}

/// Says which file is meant when a tensor does not fit.
fn check(wanted: Shape, values: &Tensor, name: &str) -> Result<()> {
    let (Shape::Map { channels, .. }, dims) = (wanted, values.dims()) else {
        return Ok(());
    };
    match dims {
        [n, c, h, w] if *c == channels && n * h * w > 0 => Ok(()),
        _ => bail!("{name}: its shape is {dims:?}; the network takes (n, {channels}, height, width)"),
    }
}
