//! `zoo diagram`: a drawing of a network.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use zoo_data::shown;
use zoo_report::{Drawing, Theme};

use crate::{
    failure::OrWrongCall,
    options::{OptionArguments, cut},
    running::{self, writable_as, written},
};

/// Draw a network
///
/// Blocks that repeat are drawn once with their number, branches side by side, with shapes on the arrows and parameters
/// and multiply-accumulates in the boxes. No weights are needed, and for SVG no other program. Names in frames are those
/// that --at and the other commands take.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  zoo diagram resnet50 -o resnet50.svg\n  \
                        zoo diagram googlenet --theme dark -o googlenet.svg\n  \
                        zoo diagram lenet5 --format mermaid\n  \
                        zoo diagram fcn8s --format dot | dot -Tpdf -o fcn8s.pdf\n  \
                        zoo diagram seresnet18 --small-images --classes 10 -o mine.svg\n  \
                        zoo diagram resnet50 --at layer1 -o beginning.svg")]
pub(crate) struct Arguments {
    /// Name of an architecture, or a .safetensors file that names its own
    model: String,
    /// For whom it is drawn
    #[arg(long, value_enum, default_value = "svg", value_name = "FORMAT")]
    format: FormatName,
    /// For which background the SVG is coloured
    #[arg(long, value_enum, default_value = "auto", value_name = "THEME")]
    theme: ThemeName,
    /// The file to write; standard output if not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    options: OptionArguments,
    /// Only what this layer, scope or output needs
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// A picture for browsers and documents
    Svg,
    /// For Graphviz
    Dot,
    /// For Mermaid, as GitHub and many wikis draw it
    Mermaid,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ThemeName {
    /// As whoever shows it prefers
    Auto,
    /// Dark on white
    Light,
    /// Light on black
    Dark,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<String> {
        let model = running::model(&self.model)?;
        let model =
            self.options.asked(model).and_then(|model| cut(model, self.at.as_ref())).or_wrong_call()?;
        let graph = model.graph().or_wrong_call()?;
        let (kind, endings): (_, &[&str]) = match self.format {
            FormatName::Svg => ("an SVG", &["svg"]),
            FormatName::Dot => ("for Graphviz", &["dot", "gv"]),
            FormatName::Mermaid => ("for Mermaid", &["mmd"]),
        };
        let place = |path| writable_as(path, kind, endings);
        let destination = self.output.as_deref().map(place).transpose()?;
        let drawing = Drawing::of(&graph);
        let theme = match self.theme {
            ThemeName::Auto => Theme::Auto,
            ThemeName::Light => Theme::Light,
            ThemeName::Dark => Theme::Dark,
        };
        let text = match self.format {
            FormatName::Svg => drawing.svg(theme),
            FormatName::Dot => drawing.dot(),
            FormatName::Mermaid => drawing.mermaid(),
        };
        let (Some(destination), Some(path)) = (destination, self.output) else { return Ok(text) };
        destination
            .write(|out| out.write_all(text.as_bytes()))
            .with_context(|| format!("{} can't be written", shown(&path)))?;
        Ok(written(&destination, format!("{}: {} drawn\n", shown(&path), graph.name())))
    }
}
