//! Where a network is described: a place in its tree of names, and one method for each kind of layer.

use std::fmt::Display;

use crate::{
    Activation, AdaptiveAvgPool2d, Align, AvgPool2d, BatchNorm2d, Conv2d, ConvTranspose2d, Crop, Error,
    Linear, MaxPool2d, Node, Op, Result, Shape, Upsample, When,
    graph::Builder,
    ops::{Add, Concat, Dropout, Flatten, ScaleChannels},
};

/// A named part of a network that is being described.
///
/// Layers with parameters are named by the architecture, as its published checkpoint names them; the others
/// name themselves after their kind (`relu`, `relu_1`, `add`), as torchvision's feature extractor does.
#[derive(Debug)]
pub struct Scope<'g> {
    builder: &'g mut Builder,
    path: String,
    norm: BatchNorm2d,
}

impl<'g> Scope<'g> {
    pub(crate) fn root(builder: &'g mut Builder) -> Self {
        Self { builder, path: String::new(), norm: BatchNorm2d::new() }
    }

    /// The part called `name` within this one.
    pub fn enter(&mut self, name: impl Display) -> Scope<'_> {
        let path = self.full(&name.to_string());
        Scope { builder: self.builder, path, norm: self.norm.clone() }
    }

    /// From here on, in this part and those within, norms are like this one.
    pub fn set_norm(&mut self, norm: BatchNorm2d) {
        self.norm = norm;
    }

    /// The norm that [`Scope::conv_norm`] uses here.
    pub fn norm_options(&self) -> BatchNorm2d {
        self.norm.clone()
    }

    fn full(&self, name: &str) -> String {
        match self.path.is_empty() {
            true => name.into(),
            false => format!("{}.{name}", self.path),
        }
    }

    /// The error of a part `name` of this one whose options do not fit: `reason` says both values, and what
    /// would fit.
    pub fn misfit(&self, name: impl Display, op: &'static str, reason: impl Into<String>) -> Error {
        Error::Misfit { node: self.full(&name.to_string()), op, reason: reason.into() }
    }

    /// What a node yields.
    pub fn shape(&self, node: Node) -> Shape {
        self.builder.layers[node.0].output
    }

    /// Adds any operation under a name.
    ///
    /// # Errors
    /// What does not fit, or a name given twice.
    pub fn add_op(&mut self, op: impl Into<Op>, inputs: &[Node], name: impl Display) -> Result<Node> {
        let name = self.full(&name.to_string());
        self.builder.push(name, op.into(), inputs.to_vec())
    }

    /// Adds an operation without parameters, which names itself after `kind`.
    ///
    /// # Errors
    /// What does not fit.
    pub fn add_unnamed(&mut self, op: impl Into<Op>, inputs: &[Node], kind: &str) -> Result<Node> {
        let base = self.full(kind);
        let mut name = base.clone();
        let mut count = 0;
        while self.builder.has(&name) {
            count += 1;
            name = format!("{base}_{count}");
        }
        self.builder.push(name, op.into(), inputs.to_vec())
    }

    /// Names a result of the network; the first is the main one.
    ///
    /// # Errors
    /// A name given twice.
    pub fn output(&mut self, name: &str, node: Node) -> Result<()> {
        self.builder.output(name, node, When::Always)
    }

    /// Names a result that is computed in training only: an auxiliary head's.
    ///
    /// # Errors
    /// A name given twice.
    pub fn training_output(&mut self, name: &str, node: Node) -> Result<()> {
        self.builder.output(name, node, When::Training)
    }

    /// Convolution.
    ///
    /// # Errors
    /// As [`Scope::add_op`], like all that follow.
    pub fn conv(&mut self, x: Node, conv: Conv2d, name: impl Display) -> Result<Node> {
        self.add_op(conv, &[x], name)
    }

    /// Transposed convolution.
    pub fn conv_transpose(&mut self, x: Node, conv: ConvTranspose2d, name: impl Display) -> Result<Node> {
        self.add_op(conv, &[x], name)
    }

    /// Batch norm.
    pub fn norm(&mut self, x: Node, name: impl Display) -> Result<Node> {
        self.add_op(self.norm.clone(), &[x], name)
    }

    /// Convolution without bias, then batch norm.
    pub fn conv_norm(
        &mut self,
        x: Node,
        conv: Conv2d,
        conv_name: impl Display,
        norm_name: impl Display,
    ) -> Result<Node> {
        let x = self.conv(x, conv.no_bias(), conv_name)?;
        self.norm(x, norm_name)
    }

    /// Convolution without bias, then batch norm, then ReLU.
    pub fn conv_norm_act(
        &mut self,
        x: Node,
        conv: Conv2d,
        conv_name: impl Display,
        norm_name: impl Display,
    ) -> Result<Node> {
        let x = self.conv_norm(x, conv, conv_name, norm_name)?;
        self.relu(x)
    }

    /// Fully connected layer.
    pub fn linear(&mut self, x: Node, linear: Linear, name: impl Display) -> Result<Node> {
        self.add_op(linear, &[x], name)
    }

    /// ReLU.
    pub fn relu(&mut self, x: Node) -> Result<Node> {
        self.activation(x, Activation::Relu)
    }

    /// Any activation.
    pub fn activation(&mut self, x: Node, activation: Activation) -> Result<Node> {
        let kind = match activation {
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::ScaledTanh => "scaled_tanh",
        };
        self.add_unnamed(activation, &[x], kind)
    }

    /// Maximum over windows.
    pub fn max_pool(&mut self, x: Node, pool: MaxPool2d, name: impl Display) -> Result<Node> {
        self.add_op(pool, &[x], name)
    }

    /// Mean over windows.
    pub fn avg_pool(&mut self, x: Node, pool: AvgPool2d, name: impl Display) -> Result<Node> {
        self.add_op(pool, &[x], name)
    }

    /// Mean over `output_size` regions, whatever the map's size.
    pub fn adaptive_avg_pool(
        &mut self,
        x: Node,
        output_size: [usize; 2],
        name: impl Display,
    ) -> Result<Node> {
        self.add_op(AdaptiveAvgPool2d { output_size }, &[x], name)
    }

    /// The mean of each channel, as a vector: global average pooling, then flatten.
    pub fn global_avg_pool(&mut self, x: Node) -> Result<Node> {
        let x = self.add_unnamed(AdaptiveAvgPool2d::GLOBAL, &[x], "avgpool")?;
        self.flatten(x)
    }

    /// A map read as a vector.
    pub fn flatten(&mut self, x: Node) -> Result<Node> {
        self.add_unnamed(Flatten, &[x], "flatten")
    }

    /// Dropout.
    pub fn dropout(&mut self, x: Node, probability: f64) -> Result<Node> {
        self.add_unnamed(Dropout { probability }, &[x], "dropout")
    }

    /// The sum of two equal shapes.
    pub fn add(&mut self, x: Node, y: Node) -> Result<Node> {
        self.add_unnamed(Add, &[x, y], "add")
    }

    /// `x` interpolated bilinearly to the height and width of `reference`.
    pub fn upsample_like(&mut self, x: Node, reference: Node, align: Align) -> Result<Node> {
        self.add_unnamed(Upsample { align }, &[x, reference], "upsample")
    }

    /// The pixels of `x` from `offset` on, down and to the right, as many as `reference` has.
    pub fn crop_like(&mut self, x: Node, reference: Node, offset: usize) -> Result<Node> {
        self.add_unnamed(Crop { offset: [offset; 2] }, &[x, reference], "crop")
    }

    /// Channels side by side.
    pub fn concat(&mut self, parts: &[Node]) -> Result<Node> {
        self.add_unnamed(Concat, parts, "cat")
    }

    /// A map times one number for each channel.
    pub fn scale_channels(&mut self, map: Node, scale: Node) -> Result<Node> {
        self.add_unnamed(ScaleChannels, &[map, scale], "mul")
    }
}
