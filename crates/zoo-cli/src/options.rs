//! The flags that fill [`zoo::Options`].

use anyhow::{Result, anyhow, ensure};
use clap::Args;
use zoo::Model;
use zoo_layers::Graph;

/// What the caller changes of a network: other classes, channels, sizes, strides.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OptionArguments {
    /// Picture size, channels x height x width
    #[arg(long, value_name = "CxHxW", value_parser = parse_input)]
    input: Option<[usize; 3]>,
    #[command(flatten)]
    pub(crate) layers: LayerArguments,
}

/// What the caller changes of a network's layers.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LayerArguments {
    /// Classes to tell apart instead of the network's own
    #[arg(long, value_name = "N")]
    pub(crate) classes: Option<usize>,
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
}

pub(crate) fn parse_input(text: &str) -> Result<[usize; 3], String> {
    let sides: Result<Vec<usize>, _> = text.split('x').map(str::parse).collect();
    match sides.as_deref() {
        Ok(&[c, h, w]) if c > 0 && h > 0 && w > 0 => Ok([c, h, w]),
        _ => Err("write channels x height x width, 3x224x224 for example".into()),
    }
}

impl OptionArguments {
    /// The model as the caller wants it.
    pub(crate) fn asked(&self, model: Model) -> Result<Model> {
        let model = self.layers.asked(model);
        let Some([channels, height, width]) = self.input else { return Ok(model) };
        let own = model.graph()?.input().channels();
        ensure!(
            own == channels,
            "`{}` takes {own} channels, not {channels}; for other channels give `--in-channels {channels}` too",
            model.architecture().name
        );
        Ok(model.input_size(height, width))
    }
}

impl LayerArguments {
    /// The model with these layers.
    pub(crate) fn asked(&self, mut model: Model) -> Model {
        if let Some(classes) = self.classes {
            model = model.classes(classes);
        }
        if let Some(channels) = self.in_channels {
            model = model.in_channels(channels);
        }
        if let Some(stride) = self.output_stride {
            model = model.output_stride(stride);
        }
        if self.small_images {
            model = model.small_stem();
        }
        if self.convolutional {
            model = model.convolutional();
        }
        model
    }
}

/// That a network has a node, scope or output of this name; else the error says what its outputs are called.
pub(crate) fn known(graph: &Graph, name: &str) -> Result<()> {
    let Err(error) = graph.find(name) else { return Ok(()) };
    let outputs: Vec<String> = graph.outputs().iter().map(|output| format!("`{}`", output.name)).collect();
    let are = if outputs.len() == 1 { "its output is" } else { "its outputs are" };
    Err(anyhow!("{error}; {are} {}", outputs.join(", ")))
}

/// The same of a model, whose file may be without what only training needs.
pub(crate) fn reached(model: &Model, name: &str) -> Result<()> {
    match model.clone().at(&[name]).graph() {
        Err(error @ zoo::Error::NoAuxiliary { .. }) => Err(error.into()),
        _ => known(&model.graph()?, name),
    }
}

/// The same model, but only the part that a layer, scope or output needs.
pub(crate) fn cut(model: Model, at: Option<&String>) -> Result<Model> {
    let Some(node) = at else { return Ok(model) };
    reached(&model, node)?;
    Ok(model.at(&[node]))
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
