//! `cargo xtask average`: the mean of the weights of networks that learned on from one another.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args as Arguments;
use serde_json::Value;
use zoo_weights::{Dtype, Tensor, TensorFile, save};

use crate::screen::Screen;

/// The mean of networks' weights: of one architecture, learned on from one another
///
/// The mean of weights that lie in one valley of the loss often answers better than each of them (Izmailov et al. 2018,
/// "Averaging Weights Leads to Wider Optima and Better Generalization"); of networks that began apart it answers nothing. Running
/// statistics are averaged too, which is right where they are nearly the same. The file says of itself what the first one does.
#[derive(Arguments)]
#[command(
    after_help = "Examples:\n  cargo xtask average a/best.safetensors b/best.safetensors -o mean.safetensors"
)]
pub(crate) struct Args {
    /// Files of weights, two at least
    #[arg(value_name = "FILE", num_args = 2.., required = true)]
    files: Vec<PathBuf>,
    /// The file to write, safetensors of f32
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let opened: Vec<TensorFile> = args.files.iter().map(TensorFile::open).collect::<Result<_, _>>()?;
    let means = means(&opened)?;
    let tensors: Vec<(&str, Tensor<'_>)> =
        means.iter().map(|mean| (mean.name, Tensor::from_f32(mean.shape, &mean.values))).collect();
    let card: Option<(&str, Value)> = match opened[0].metadata().iter().next() {
        Some((key, text)) => {
            let value = serde_json::from_str(text)
                .with_context(|| format!("what {} says of itself can't be read", args.files[0].display()))?;
            Some((key.as_str(), value))
        }
        None => None,
    };
    save(&args.output, &tensors, card.as_ref().map(|(key, value)| (*key, value)))?;
    Screen::new().line(&args.output.display())?;
    Ok(ExitCode::SUCCESS)
}

struct Mean<'a> {
    name: &'a str,
    shape: &'a [usize],
    values: Vec<f32>,
}

/// The mean of each tensor, in the first file's order.
fn means(files: &[TensorFile]) -> Result<Vec<Mean<'_>>> {
    let [first, others @ ..] = files else { bail!("name two files at least") };
    for other in others {
        let stray = other.shapes().find(|(name, _)| first.shape(name).is_none());
        let (a, b) = (first.path().display(), other.path().display());
        if let Some((name, _)) = stray {
            bail!("{b} has a tensor `{name}`, and {a} has none; the mean is of networks of one kind");
        }
    }
    first.shapes().map(|(name, shape)| mean(files, name, shape)).collect()
}

fn mean<'a>(files: &[TensorFile], name: &'a str, shape: &'a [usize]) -> Result<Mean<'a>> {
    let mut sums = vec![0.0_f64; shape.iter().product()];
    for file in files {
        let path = file.path().display();
        let Some(tensor) = file.get(name) else {
            let first = files[0].path().display();
            bail!("{path} has no tensor `{name}`, and {first} has; the mean is of networks of one kind");
        };
        ensure!(
            *tensor.shape == *shape,
            "`{name}` is {:?} in {path} and {shape:?} in {}; the mean is of networks of one kind",
            tensor.shape,
            files[0].path().display()
        );
        ensure!(
            matches!(tensor.dtype, Dtype::F16 | Dtype::Bf16 | Dtype::F32 | Dtype::F64),
            "`{name}` of {path} is {}, of which there is no mean",
            tensor.dtype
        );
        ensure!(tensor.not_finite() == 0, "`{name}` of {path} holds values that are no numbers");
        for (sum, value) in sums.iter_mut().zip(tensor.to_f32()?) {
            *sum += f64::from(value);
        }
    }
    let values = sums.iter().map(|sum| (sum / files.len() as f64) as f32).collect();
    Ok(Mean { name, shape, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &std::path::Path, name: &str, tensors: &[(&str, &[usize], &[f32])]) -> PathBuf {
        let path = folder.join(name);
        let tensors: Vec<_> =
            tensors.iter().map(|(name, shape, values)| (*name, Tensor::from_f32(shape, values))).collect();
        save(&path, &tensors, Some(("zoo", &serde_json::json!({ "architecture": name })))).unwrap();
        path
    }

    #[test]
    fn the_mean_is_each_numbers_and_keeps_the_first_ones_card() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, tensors: &[(&str, &[usize], &[f32])]| written(folder.path(), name, tensors);
        let a = at("a", &[("weight", &[2, 1], &[1.0, -3.0]), ("bias", &[1], &[0.5])]);
        let b = at("b", &[("bias", &[1], &[1.5]), ("weight", &[2, 1], &[2.0, 5.0])]);
        let output = folder.path().join("mean.safetensors");
        run(&Args { files: vec![a.clone(), b], output: output.clone() }).unwrap();
        let mean = TensorFile::open(&output).unwrap();
        assert_eq!(mean.get("weight").unwrap().to_f32().unwrap(), [1.5, 1.0]);
        assert_eq!(mean.get("bias").unwrap().to_f32().unwrap(), [1.0]);
        assert_eq!(mean.metadata(), TensorFile::open(&a).unwrap().metadata());

        let refused = |other: PathBuf, words: &[&str]| {
            let files = vec![a.clone(), other];
            let said = format!("{:#}", run(&Args { files, output: output.clone() }).unwrap_err());
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        };
        refused(at("c", &[("weight", &[2, 1], &[1.0, 1.0])]), &["no tensor `bias`"]);
        refused(at("d", &[("weight", &[1, 2], &[1.0, 1.0]), ("bias", &[1], &[0.5])]), &["[1, 2]", "[2, 1]"]);
        let more: [(&str, &[usize], &[f32]); 3] =
            [("weight", &[2, 1], &[1.0, 1.0]), ("bias", &[1], &[0.5]), ("scale", &[1], &[1.0])];
        refused(at("e", &more), &["`scale`"]);
        refused(at("f", &[("weight", &[2, 1], &[f32::NAN, 1.0]), ("bias", &[1], &[0.5])]), &["no numbers"]);
        refused(folder.path().join("none"), &["none"]);
    }
}
