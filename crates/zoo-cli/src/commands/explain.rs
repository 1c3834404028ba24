//! `zoo explain`: what a network looks at.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use clap::{Args, ValueEnum};
use zoo::{Network, Picture, Tensor};
use zoo_data::shown;
use zoo_explain::{Error, Heat, Method, Occlusion, SmoothGrad, Target, explain_with, paint, sheet};
use zoo_weights::Destination;

use crate::{
    failure::{OrWrongCall, WrongCall},
    options, output,
    pictures::{Place, places},
    running::{RunArguments, check_apart, writable_as, written},
};

/// Show what a network looks at
///
/// Writes a PNG with the picture as the network sees it, and beside it the same under a heat map: the hotter a place,
/// the more it speaks for the class. With --sheet it shows the maps that a layer makes of the picture, with --filters the
/// first convolution's filters.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo explain resnet50 photo.jpg\n  \
                        zoo explain resnet50 photo.jpg --class tabby -o cat.png\n  \
                        zoo explain vgg16 photo.jpg --at features.16 --method gradcam++\n  \
                        zoo explain lenet5 assets/digits/7.png --method occlusion\n  \
                        zoo explain resnet50 photo.jpg --sheet layer1\n  \
                        zoo explain alexnet --filters -o filters.png")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// The picture, or - for standard input
    #[arg(required_unless_present = "filters", value_name = "IMAGE")]
    image: Option<PathBuf>,
    /// The class that is explained: its number or name; the likeliest if not given
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// The layer, scope (its last layer) or output whose maps are weighted; the last with a map if not given
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
    /// How it is explained
    #[arg(long, value_enum, default_value = "gradcam", value_name = "METHOD")]
    method: MethodName,
    /// Show the maps that this layer, scope (its last layer) or output makes of the picture
    #[arg(long, value_name = "NODE", conflicts_with_all = ["class", "at", "method"])]
    sheet: Option<String>,
    /// Show the first convolution's filters
    #[arg(long, conflicts_with_all = ["image", "class", "at", "method", "sheet"])]
    filters: bool,
    /// Side of the covering square in pixels (occlusion); a seventh of the picture's if not given
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..))]
    patch: Option<u16>,
    /// Noisy copies (smoothgrad); 25 if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    samples: Option<u16>,
    /// The PNG to write; named after the picture if not given
    #[arg(short, long, value_name = "FILE.png")]
    output: Option<PathBuf>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// Maps weighted by the mean of the score's gradient
    Gradcam,
    /// The same, for several things of one kind
    #[value(name = "gradcam++")]
    GradcamPlusPlus,
    /// How much less likely the class is where a square covers the picture
    Occlusion,
    /// The mean gradient of noisy copies, pixel by pixel
    Smoothgrad,
}

impl MethodName {
    fn words(self) -> &'static str {
        match self {
            Self::Gradcam => "Grad-CAM",
            Self::GradcamPlusPlus => "Grad-CAM++",
            Self::Occlusion => "occlusion",
            Self::Smoothgrad => "SmoothGrad",
        }
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        self.check_method().or_wrong_call()?;
        let model = self.run.model(&self.model)?;
        let graph = model.graph().or_wrong_call()?;
        for name in [&self.at, &self.sheet].into_iter().flatten() {
            options::known(&graph, name).or_wrong_call()?;
        }
        let to = self.output.clone().unwrap_or_else(|| self.named(graph.name()));
        let read = [self.image.as_deref(), self.run.file(), Some(Path::new(&self.model))];
        check_apart(&to, read.into_iter().flatten()).or_wrong_call()?;
        let destination = writable_as(&to, "a PNG", &["png"])?;
        let place = self.image.as_ref().map(|image| places(std::slice::from_ref(image))).transpose()?;
        let place = match place.map(|mut places| (places.len(), places.pop())) {
            Some((1, place)) => place,
            Some(_) => {
                return Err(anyhow!("one picture is explained at a time; give its file")).or_wrong_call();
            }
            None => None,
        };
        // Of a folder it is known only now what is read.
        check_apart(&to, place.iter().filter_map(Place::file)).or_wrong_call()?;
        // A picture that can't be read is told before weights are fetched.
        let picture =
            place.as_ref().map(|place| Ok::<_, anyhow::Error>((place, place.read()?))).transpose()?;
        let network = self.run.load(&model)?;
        let (png, told) = match (picture, &self.sheet) {
            (None, _) => {
                let filters = sheet::filters(network.net()?).map_err(sorted)?;
                (filters, "the first convolution's filters".to_string())
            }
            (Some((place, picture)), Some(node)) => {
                let prepared = prepared(&network, place, &picture)?;
                let maps = sheet::maps(network.net()?, &prepared, node).map_err(sorted)?;
                (maps, format!("{}: the maps of {node}", place.name()))
            }
            (Some((place, picture)), None) => self.explained(&network, place, &picture)?,
        };
        write(&destination, &to, &png)?;
        Ok(written(&destination, format!("{told}: {}\n", shown(&to))))
    }

    /// That nothing was asked of a method that it doesn't look at.
    fn check_method(&self) -> Result<()> {
        use MethodName::{Gradcam, GradcamPlusPlus, Occlusion, Smoothgrad};
        let flags: [(_, _, &[_], _); 3] = [
            ("--at", self.at.is_some(), &[Gradcam, GradcamPlusPlus], "gradcam"),
            ("--patch", self.patch.is_some(), &[Occlusion], "occlusion"),
            ("--samples", self.samples.is_some(), &[Smoothgrad], "smoothgrad"),
        ];
        match flags.iter().find(|(_, given, methods, _)| *given && !methods.contains(&self.method)) {
            Some((flag, .., method)) => Err(anyhow!(
                "`{flag}` says nothing to {}; leave it out, or give `--method {method}`",
                self.method.words()
            )),
            None => Ok(()),
        }
    }

    /// The picture with the heat beside it, and what it shows.
    fn explained(&self, network: &Network, place: &Place, picture: &Picture) -> Result<(Picture, String)> {
        let prepared = prepared(network, place, picture)?;
        // What takes no gradients is asked of the compiled network, as any answer is.
        let answer = |pictures: &Tensor| -> Result<Tensor> { Ok(network.main(pictures)?) };
        let likelihoods =
            zoo::softmax(&scores(network, answer(&prepared)?)?)?.flatten_all()?.to_vec1::<f32>()?;
        // A single output is the score of the second of two classes.
        let names = network.prepare().classes();
        let binary = likelihoods.len() == 1 && names.len() == 2;
        let class = match &self.class {
            Some(asked) if binary => match class_of(network, asked, names.len()).or_wrong_call()? {
                1 => 0,
                _ => Err(anyhow!(
                    "`{}` gives one score, that of `{}`: explain that one; what speaks against it speaks for `{}`",
                    network.graph().name(),
                    names[1],
                    names[0]
                ))
                .or_wrong_call()?,
            },
            Some(asked) => class_of(network, asked, likelihoods.len()).or_wrong_call()?,
            None => (0..likelihoods.len())
                .max_by(|a, b| likelihoods[*a].total_cmp(&likelihoods[*b]).then(b.cmp(a)))
                .unwrap_or(0),
        };
        let bar = output::bar(Some(1), "passes");
        let mut progress = |done: usize, all: usize| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let samples = {
            let usual = SmoothGrad::default();
            SmoothGrad { samples: self.samples.map_or(usual.samples, usize::from), ..usual }
        };
        let (heat, at) = match self.method {
            MethodName::Occlusion => {
                let square = Occlusion { side: self.patch.map_or(0, usize::from), ..Occlusion::default() };
                (zoo_explain::occlusion(answer, &prepared, class, square, &mut progress), String::new())
            }
            MethodName::Gradcam => {
                self.by_gradients(network, &prepared, class, Method::GradCam, &mut progress)?
            }
            MethodName::GradcamPlusPlus => {
                self.by_gradients(network, &prepared, class, Method::GradCamPlusPlus, &mut progress)?
            }
            MethodName::Smoothgrad => {
                self.by_gradients(network, &prepared, class, Method::SmoothGrad(samples), &mut progress)?
            }
        };
        bar.finish_and_clear();
        let heat = heat.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => sorted(error),
            Err(error) => error,
        })?;
        let seen = network.prepare().seen(picture, &place.name())?;
        let painted = paint::beside(&seen, &heat).map_err(sorted)?;
        let nothing = heat.values().iter().all(|value| *value == 0.0);
        let nothing = if nothing { "; nothing in the picture speaks for it" } else { "" };
        let likely = match likelihoods.len() {
            1 => String::new(),
            _ => format!(" ({:.1} %)", 100.0 * likelihoods[class]),
        };
        let named = if binary { 1 } else { class };
        let label = network.prepare().class(named);
        Ok((painted, format!("{}: {label}{likely}, {}{at}{nothing}", place.name(), self.method.words())))
    }

    /// What gradients say, and at which node they were looked at.
    fn by_gradients(
        &self,
        network: &Network,
        prepared: &Tensor,
        class: usize,
        method: Method,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Result<Heat>, String)> {
        let net = network.net()?;
        let target = match &self.at {
            Some(at) => Target::at(net, class, at),
            None => Target::new(net, class),
        };
        let target = target.map_err(sorted)?;
        let at = match method {
            Method::GradCam | Method::GradCamPlusPlus => {
                format!(" at {}", net.graph().get(target.node()).name)
            }
            Method::Occlusion(_) | Method::SmoothGrad(_) => String::new(),
        };
        Ok((explain_with(net, prepared, target, method, progress).map_err(anyhow::Error::from), at))
    }

    /// `photo-gradcam.png`, where nobody says otherwise.
    fn named(&self, model: &str) -> PathBuf {
        let stem = self.image.as_deref().filter(|image| image.as_os_str() != "-").and_then(Path::file_stem);
        let stem = stem.map_or_else(|| model.to_string(), |stem| stem.to_string_lossy().into_owned());
        let what = match (&self.sheet, self.filters, self.method) {
            (Some(node), ..) => node.clone(),
            (_, true, _) => "filters".into(),
            (.., MethodName::Gradcam) => "gradcam".into(),
            (.., MethodName::GradcamPlusPlus) => "gradcam++".into(),
            (.., MethodName::Occlusion) => "occlusion".into(),
            (.., MethodName::Smoothgrad) => "smoothgrad".into(),
        };
        PathBuf::from(format!("{stem}-{what}.png"))
    }
}

fn prepared(network: &Network, place: &Place, picture: &Picture) -> Result<Tensor> {
    let prepared = network.prepare().picture(picture, &place.name())?;
    Ok(prepared.to_device(network.device())?)
}

/// One number for each class; of a network that answers for every pixel, their mean.
fn scores(network: &Network, scores: Tensor) -> Result<Tensor> {
    let scores = if scores.rank() == 4 { scores.flatten_from(2)?.mean(2)? } else { scores };
    zoo::check_numbers(&scores, network.graph().name(), "answers")?;
    Ok(scores)
}

/// The class of that number or name.
fn class_of(network: &Network, asked: &str, classes: usize) -> Result<usize> {
    let names = network.prepare().classes();
    let same = |name: &&String| name.to_lowercase() == asked.to_lowercase();
    let named: Vec<usize> = (0..names.len()).filter(|class| same(&&names[*class])).collect();
    match (named.as_slice(), asked.parse::<usize>()) {
        ([class], _) => Ok(*class),
        ([_, ..], Err(_)) => {
            Err(anyhow!("several classes are called `{asked}`; give one's number: {named:?}"))
        }
        (_, Ok(class)) if class < classes => Ok(class),
        (_, Ok(class)) => Err(anyhow!(
            "there is no class {class}; `{}` tells {classes} classes apart, 0 to {}",
            network.graph().name(),
            classes.saturating_sub(1)
        )),
        ([], Err(_)) => {
            let part = asked.to_lowercase();
            let within = names.iter().filter(|name| name.to_lowercase().contains(&part)).map(String::as_str);
            let within: Vec<&str> = within.take(4).collect();
            let hint = match within.is_empty() {
                true => zoo_layers::nearest(asked, names.iter().map(String::as_str)),
                false => format!(
                    "; `{}` {} it",
                    within.join("`, `"),
                    if within.len() == 1 { "has" } else { "have" }
                ),
            };
            Err(anyhow!(
                "there is no class `{asked}`{hint}; its number, from 0 to {}, would do",
                classes.saturating_sub(1)
            ))
        }
    }
}

/// What the caller asked for and can't be is a wrong call, all else failed work.
fn sorted(error: Error) -> anyhow::Error {
    match error {
        Error::NoMap { .. } | Error::Beside { .. } | Error::UnknownClass { .. } | Error::Option { .. } => {
            WrongCall(error.into()).into()
        }
        other => other.into(),
    }
}

fn write(destination: &Destination, path: &Path, picture: &Picture) -> Result<()> {
    let png = paint::png(picture)?;
    destination.write(|out| out.write_all(&png)).with_context(|| format!("{} can't be written", shown(path)))
}
