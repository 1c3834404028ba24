//! What the caller changes of a network before anything is read from it.

use anyhow::{Result, anyhow};
use clap::Args;
use zoo::{Geometry, Model, Stem};
use zoo_layers::{Graph, Shape};

/// Another size, head or geometry than the published ones.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShapingArguments {
    /// Picture size, channels x height x width
    #[arg(long, value_name = "CxHxW", value_parser = parse_input)]
    input: Option<[usize; 3]>,
    /// Classes to tell apart instead of the network's own
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Channels of the pictures instead of the network's own
    #[arg(long, value_name = "N")]
    in_channels: Option<usize>,
    /// Picture pixels for one pixel of the last map, strides traded for dilation: 8, 16 or 32 (ResNet, SENet, Xception)
    #[arg(long, value_name = "N")]
    output_stride: Option<usize>,
    /// A 3x3 stem without a pool, for pictures of 32x32 (ResNet, SENet)
    #[arg(long)]
    small_images: bool,
    /// Dense layers as the convolutions that they are, so that larger pictures give maps
    #[arg(long)]
    convolutional: bool,
    /// Only what this layer, scope or output needs
    #[arg(long, value_name = "NODE")]
    at: Option<String>,
}

pub(crate) fn parse_input(text: &str) -> Result<[usize; 3], String> {
    let sides: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match sides.as_deref() {
        Ok(&[c, h, w]) if c > 0 && h > 0 && w > 0 => Ok([c, h, w]),
        _ => Err("write channels x height x width, 3x224x224 for example".into()),
    }
}

impl ShapingArguments {
    /// The model as the caller wants it.
    pub(crate) fn graph(&self, model: &Model) -> Result<Graph> {
        let stem = if self.small_images { Stem::Small } else { Stem::Published };
        let geometry = Geometry { output_stride: self.output_stride, stem };
        let mut graph = match geometry == Geometry::default() {
            true => model.graph().clone(), // A file's own, with as many classes as it has.
            false => model.architecture().graph_with(geometry)?,
        };
        if let Some(classes) = self.classes {
            graph = graph.with_num_classes(classes)?;
        }
        if let Some(channels) = self.in_channels {
            graph = graph.with_in_channels(channels)?.0;
        }
        if self.convolutional {
            graph = graph.convolutionalize()?.0;
        }
        if let Some(node) = &self.at {
            known(&graph, node)?;
            graph = graph.cut(&[node])?;
        }
        let Some([channels, height, width]) = self.input else { return Ok(graph) };
        graph.at(Shape::map(channels, height, width)).map_err(|error| {
            match channels == graph.input().channels() {
                true => error.into(),
                false => anyhow!("{error}; for other channels give `--in-channels {channels}` too"),
            }
        })
    }
}

/// That a network has a node, scope or output of this name; else the error says what its outputs are called.
pub(crate) fn known(graph: &Graph, name: &str) -> Result<()> {
    let Err(error) = graph.find(name) else { return Ok(()) };
    let outputs: Vec<String> = graph.outputs().iter().map(|output| format!("`{}`", output.name)).collect();
    let are = if outputs.len() == 1 { "its output is" } else { "its outputs are" };
    Err(anyhow!("{error}; {are} {}", outputs.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::parse_input;

    #[test]
    fn inputs_are_three_positive_numbers() {
        assert_eq!(parse_input("3x224x320"), Ok([3, 224, 320]));
        for wrong in ["", "3", "3x224", "3x0x5", "3x-1x5", "axbxc", "3x1x1x1"] {
            assert!(parse_input(wrong).is_err(), "`{wrong}` was taken");
        }
    }
}
