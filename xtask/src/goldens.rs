//! `cargo xtask goldens`: what tests compare with, made again by the scripts beside it.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::peers::{python, root};
use crate::screen::Screen;

const EXAMPLES: &str = "\
Examples:
  cargo xtask goldens                               which there are
  cargo xtask goldens networks -- resnet50          of one network, written anew
  cargo xtask goldens networks -- --check           how far f32 is from each
  cargo xtask goldens steps iou --python venv/bin/python

A script writes beside itself; git shows what changed. Each says in its header which versions made what is there.";

/// Make what tests compare with again, by Python
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What to make [default: list what there is]
    #[arg(value_name = "GOLDENS")]
    sets: Vec<Set>,
    /// A Python that has the packages [default: $ZOO_PYTHON, or python3]
    #[arg(long, value_name = "PATH")]
    python: Option<OsString>,
    /// What the script itself is told
    #[arg(last = true, value_name = "ARGUMENT", requires = "sets")]
    arguments: Vec<OsString>,
}

/// Goldens that one script makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Set {
    /// Outputs, gradients and running statistics of torchvision's, timm's and restated networks
    Networks,
    /// Names, shapes and totals of the published networks
    StateDicts,
    /// Grad-CAM and Grad-CAM++ in plain PyTorch
    Cams,
    /// Features of photographs by genuine weights, which it has to be told: WEIGHTS PHOTO...
    Photos,
    /// Hard pictures, and what Pillow and torchvision make of them
    Pictures,
    /// torchvision's augmentations
    Augment,
    /// Training steps of PyTorch's optimizers and losses
    Steps,
    /// scikit-learn's intersections over unions
    Iou,
}

impl Set {
    /// From the project's root.
    fn script(self) -> &'static str {
        match self {
            Self::Networks => "crates/zoo/tests/goldens/make_goldens.py",
            Self::StateDicts => "crates/zoo/tests/goldens/make_state_dicts.py",
            Self::Cams => "crates/zoo/tests/goldens/make_cams.py",
            Self::Photos => "crates/zoo/tests/goldens/make_photo_features.py",
            Self::Pictures => "crates/zoo-data/tests/goldens/make.py",
            Self::Augment => "crates/zoo-data/tests/goldens/make_augment.py",
            Self::Steps => "crates/zoo-train/tests/goldens/make.py",
            Self::Iou => "crates/zoo-train/tests/goldens/make_iou.py",
        }
    }

    /// What `pip install` is told.
    fn packages(self) -> &'static str {
        match self {
            Self::Networks | Self::StateDicts | Self::Cams => "torch torchvision timm",
            Self::Photos => "torch torchvision timm pillow safetensors",
            Self::Pictures | Self::Augment => "torch torchvision pillow numpy",
            Self::Steps => "torch",
            Self::Iou => "numpy scikit-learn",
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut screen = Screen::new();
    if args.sets.is_empty() {
        let head = ["goldens", "script", "needs"].map(String::from);
        let name = |set: &Set| set.to_possible_value().map_or(String::new(), |value| value.get_name().into());
        let rows = Set::value_variants().iter();
        let rows = rows.map(|set| [name(set), set.script().into(), set.packages().into()]);
        screen.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let python = python(args.python.as_ref());
    for set in &args.sets {
        let status = Command::new(&python).arg(root().join(set.script())).args(&args.arguments).status();
        let status = status.with_context(|| {
            let python = python.display();
            format!("`{python}` can't be started; name a Python that has {} with --python", set.packages())
        })?;
        if !status.success() {
            screen.error(&format!(
                "{} failed ({status}); it needs `pip install {}`",
                set.script(),
                set.packages()
            ))?;
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_script_of_goldens_is_named_and_there() {
        let named: Vec<_> = Set::value_variants().iter().map(|set| root().join(set.script())).collect();
        for script in &named {
            assert!(script.is_file(), "{}", script.display());
        }
        for package in ["zoo", "zoo-data", "zoo-train"] {
            for entry in fs::read_dir(root().join("crates").join(package).join("tests/goldens")).unwrap() {
                let path = entry.unwrap().path();
                let file = path.file_name().unwrap().to_string_lossy();
                let makes = file.starts_with("make") && file.ends_with(".py");
                assert!(!makes || named.contains(&path), "{} is no chore", path.display());
            }
        }
    }
}
