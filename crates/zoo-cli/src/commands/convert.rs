//! `zoo convert`: any file of weights into one that is a model of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use zoo::{Conversion, Options};
use zoo_data::shown;
use zoo_weights::Dtype;

use crate::{
    failure::OrWrongCall,
    hints::flags,
    output,
    running::{REPORTED, unfit, writable, written},
};

/// Convert a file of weights into a model of its own
///
/// IN is safetensors, PyTorch's .pth (zip or older) or Keras' .h5 and .keras. OUT is safetensors that names its
/// architecture, classes and preprocessing, so that `zoo predict OUT picture.jpg` needs nothing else. IN must be
/// exactly the architecture's weights; another number of classes is told from the file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo convert resnet50-11ad3fa6.pth resnet50.safetensors\n  \
                        zoo convert mine.pth mine.safetensors --model resnet18 --classes names.txt\n  \
                        zoo convert vgg16.h5 vgg16.safetensors --model vgg16 --dtype f16")]
pub(crate) struct Arguments {
    /// The file to read
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// The .safetensors file to write
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// The architecture, or the tag whose preprocessing holds, where IN does not say
    #[arg(long, value_name = "MODEL|TAG")]
    model: Option<String>,
    /// A text file with the name of a class on each line, in order or with its number before it (0: cat)
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// How to store the values; as they are if not given
    #[arg(long, value_enum, value_name = "TYPE")]
    dtype: Option<DtypeName>,
    /// Which of several networks in IN, or which state of one: a key (state_dict_ema), or what names begin with
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Picture pixels for one pixel of the last map it was trained with: 8, 16 or 32 (ResNet, SENet, Xception)
    #[arg(long, value_name = "N")]
    output_stride: Option<usize>,
    /// Of a CIFAR ResNet: a shortcut's new channels lie on both sides of the old ones
    #[arg(long)]
    centred_shortcut: bool,
    /// Draw the parameters of this layer or scope anew instead of reading them; may be repeated
    #[arg(long, value_name = "LAYER")]
    new: Vec<String>,
    /// What --new draws from
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// Name every tensor in the report
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DtypeName {
    /// Half precision
    F16,
    /// The upper half of f32
    Bf16,
    /// Single precision
    F32,
}

impl From<DtypeName> for Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F16 => Self::F16,
            DtypeName::Bf16 => Self::Bf16,
            DtypeName::F32 => Self::F32,
        }
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let conversion = Conversion {
            classes: self.classes.as_deref().map(names).transpose()?,
            model: self.model,
            dtype: self.dtype.map(Dtype::from),
            anew: self.new,
            seed: self.seed,
            key: self.key,
            options: Options {
                output_stride: self.output_stride,
                centred_shortcut: self.centred_shortcut,
                ..Options::default()
            },
        };
        let destination = writable(&self.to)?;
        let bar = output::spinner(format!("reading {}", shown(&self.from)));
        let outcome = conversion.run(&self.from, &self.to);
        bar.finish_and_clear();
        let converted = match outcome {
            Ok(converted) => converted,
            // What a graph refuses was asked for by a flag: what a file asks for is told from what it has.
            Err(error @ zoo::Error::Layers(zoo_layers::Error::Misfit { .. })) => {
                return Err(error).or_wrong_call();
            }
            Err(error @ zoo::Error::Unfit { .. }) => {
                let way_out = drawn_instead(&error);
                return Err(anyhow!("{}{way_out}", unfit(error)));
            }
            Err(error) => return Err(error.into()),
        };
        let of = converted.tag.map_or(String::new(), |tag| format!(" ({tag})"));
        let shown_report = match self.verbose {
            true => converted.report.clone(),
            false => zoo_weights::LoadReport { loaded: Vec::new(), ..converted.report.clone() },
        };
        let report = shown_report.in_full(if self.verbose { usize::MAX } else { REPORTED });
        let classes = match converted.classes {
            Some(1) => "1 output".into(),
            Some(classes) => format!("{classes} classes"),
            None => "no classifier".into(),
        };
        let options = options(&converted.options);
        let assumed = match converted.assumed.as_slice() {
            [] => String::new(),
            assumed => format!("assumed: {}\n", flags(&assumed.join("; "))),
        };
        let printed = format!(
            "{}{of}, {classes}{options}, {} tensors\n{report}{assumed}{}\n",
            converted.model,
            converted.report.loaded.len(),
            shown(&self.to)
        );
        Ok(written(&destination, printed))
    }
}

/// In what a network differs from its architecture beside the classes, as the end of a list.
fn options(options: &Options) -> String {
    let mut told = Vec::new();
    told.extend(options.in_channels.map(|channels| format!("{channels} input channels")));
    told.extend(options.input_size.map(|[height, width]| format!("pictures of {height}x{width}")));
    told.extend(options.output_stride.map(|stride| format!("output stride {stride}")));
    told.extend(options.least_squeezed.map(|least| format!("at least {least} squeezed channels")));
    for (is, what) in [
        (options.small_stem, "small stem"),
        (options.convolutional, "dense layers as convolutions"),
        (options.no_auxiliary, "no auxiliary heads"),
        (options.centred_shortcut, "centred shortcuts"),
        (options.mean_classifier, "one linear layer behind the mean"),
    ] {
        told.extend(is.then(|| what.to_string()));
    }
    told.iter().map(|what| format!(", {what}")).collect()
}

/// If tensors are missing and nothing else is wrong: the flags that have them drawn.
fn drawn_instead(error: &zoo::Error) -> String {
    let zoo::Error::Unfit { report, .. } = error else { return String::new() };
    if !report.unexpected.is_empty() || !report.misshapen.is_empty() {
        return String::new();
    }
    let mut layers: Vec<&str> = report
        .missing
        .iter()
        .map(|name| name.rsplit_once('.').map_or(name.as_str(), |(layer, _)| layer))
        .collect();
    layers.dedup();
    match layers.len() {
        0..=4 => {
            let flags: String = layers.iter().map(|layer| format!(" --new {layer}")).collect();
            format!("\n  to have them drawn anew, as for another data set:{flags}")
        }
        _ => String::new(),
    }
}

/// The names in a text file. Names that stand for several classes are told, since answers will not tell them apart.
fn names(path: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(path).with_context(|| {
        format!(
            "the names of classes in {} can't be read; give a text file with one on each line",
            shown(path)
        )
    })?;
    let names = zoo_data::classes::parse(&bytes, &shown(path))?;
    for (name, classes) in zoo_data::classes::repeated(&names) {
        let classes: Vec<String> = classes.iter().map(usize::to_string).collect();
        output::note(&format!("{}: `{name}` is the name of classes {}", shown(path), classes.join(", ")));
    }
    Ok(names)
}
