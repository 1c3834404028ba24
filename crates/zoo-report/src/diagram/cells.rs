//! The graph as boxes: each layer, with what merely follows it (norm, activation, dropout) in the same box.

use crate::short;
use zoo_layers::{Activation, Graph, Layer, Mode, Node, Op, Role, Shape};

/// What a box looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Look {
    /// The picture.
    Picture,
    /// Convolution over all channels, or groups of them.
    Conv,
    /// Convolution of each channel by itself.
    Depthwise,
    /// Fully connected layer.
    Dense,
    /// Pool.
    Pool,
    /// A norm that stands alone.
    Norm,
    /// An activation that stands alone.
    Activation,
    /// A change of size without learning, or a transposed convolution.
    Resize,
    /// Anything else.
    Other,
    /// Sum.
    Add,
    /// Channels side by side.
    Concat,
    /// Product with a number for each channel.
    Scale,
}

impl Look {
    /// What the legend calls it; merges explain themselves.
    pub(crate) fn legend(self) -> Option<&'static str> {
        Some(match self {
            Self::Conv => "convolution",
            Self::Depthwise => "depthwise convolution",
            Self::Dense => "dense layer",
            Self::Pool => "pool",
            Self::Norm => "norm",
            Self::Activation => "activation",
            Self::Resize => "upsampling",
            Self::Other => "other",
            Self::Picture | Self::Add | Self::Concat | Self::Scale => return None,
        })
    }

    /// The name of its style.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Picture => "end",
            Self::Conv => "conv",
            Self::Depthwise => "depthwise",
            Self::Dense => "dense",
            Self::Pool => "pool",
            Self::Norm => "norm",
            Self::Activation => "act",
            Self::Resize => "resize",
            Self::Other => "other",
            Self::Add | Self::Concat | Self::Scale => "merge",
        }
    }

    /// Whether several lines meet in it.
    pub(crate) fn merges(self) -> bool {
        matches!(self, Self::Add | Self::Concat | Self::Scale)
    }
}

/// A layer and what merely follows it.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// All its nodes, in execution order.
    pub(crate) nodes: Vec<Node>,
    /// The first node's name.
    pub(crate) name: String,
    pub(crate) look: Look,
    /// What it does: `3×3 conv, 64`.
    pub(crate) title: String,
    /// What follows within the box: `norm`, `ReLU`.
    pub(crate) after: Vec<String>,
    pub(crate) params: u64,
    pub(crate) macs: u64,
    pub(crate) output: Shape,
    /// The cells that are read, in order.
    pub(crate) inputs: Vec<usize>,
}

impl Cell {
    fn new(layer: &Layer, node: Node, input: Option<Shape>, inputs: Vec<usize>) -> Self {
        let (look, title) = titled(layer, input);
        Self {
            nodes: vec![node],
            name: layer.name.clone(),
            look,
            title,
            after: Vec::new(),
            params: layer.elements(Role::Trainable) as u64,
            macs: layer.macs,
            output: layer.output,
            inputs,
        }
    }

    /// `128 k · 116 M`, or nothing where nothing is learned or multiplied.
    pub(crate) fn figures(&self) -> Option<String> {
        match (self.params, self.macs) {
            (0, 0) => None,
            (params, 0) => Some(format!("{} params", short(params))),
            (params, macs) => Some(format!("{} · {}", short(params), short(macs))),
        }
    }
}

/// The cells of a graph in execution order, the picture first. A size that is only copied is no line.
pub(crate) fn cells(graph: &Graph) -> Vec<Cell> {
    let active = graph.active(Mode::Train);
    let mut readers = vec![0_usize; graph.layers().len()];
    for (_, layer) in graph.nodes().filter(|(node, _)| active.contains(*node)) {
        for input in read(layer) {
            readers[input.index()] += 1;
        }
    }
    for output in graph.outputs() {
        readers[output.node.index()] += 1;
    }
    let mut cells: Vec<Cell> = Vec::new();
    let mut cell_of = vec![0_usize; graph.layers().len()];
    for (node, layer) in graph.nodes().filter(|(node, _)| active.contains(*node)) {
        let inputs: Vec<usize> = read(layer).iter().map(|input| cell_of[input.index()]).collect();
        let alone = read(layer).first().is_some_and(|input| readers[input.index()] == 1);
        let follows = follower(layer).filter(|_| alone && inputs.len() == 1);
        match (follows, inputs.first().map(|cell| &mut cells[*cell])) {
            (Some(word), Some(cell)) if cell.look != Look::Picture && cell.look != Look::Activation => {
                cell.nodes.push(node);
                cell.after.extend(word);
                cell.params += layer.elements(Role::Trainable) as u64;
                cell.output = layer.output;
                cell_of[node.index()] = inputs[0];
            }
            _ => {
                let shape = layer.inputs.first().map(|input| graph.get(*input).output);
                cell_of[node.index()] = cells.len();
                cells.push(Cell::new(layer, node, shape, inputs));
            }
        }
    }
    cells
}

/// The inputs whose values are read: of a crop and an interpolation, the second gives its size alone.
fn read(layer: &Layer) -> &[Node] {
    match layer.op {
        Op::Crop(_) | Op::Upsample(_) => layer.inputs.get(..1).unwrap_or_default(),
        _ => &layer.inputs,
    }
}

/// What is said of a layer that stands in the box before it; the inner nothing, if nothing need be.
fn follower(layer: &Layer) -> Option<Option<String>> {
    Some(match &layer.op {
        Op::BatchNorm2d(_) => Some("norm".into()),
        Op::Activation(activation) => Some(activation_name(*activation).into()),
        Op::Dropout(_) => Some("dropout".into()),
        Op::Flatten(_) => Some("flatten".into()),
        Op::Crop(_) => Some("crop".into()),
        Op::Softmax(_) => Some("softmax".into()),
        Op::ChannelAffine(_) => Some("scale, shift".into()),
        Op::PadChannels(_) => Some("zero channels".into()),
        _ => return None,
    })
}

fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "ReLU",
        Activation::Relu6 => "ReLU6",
        Activation::Sigmoid => "sigmoid",
        Activation::Tanh => "tanh",
        Activation::ScaledTanh => "scaled tanh",
    }
}

/// `3` or `3×1`.
fn sides([rows, columns]: [usize; 2]) -> String {
    if rows == columns { rows.to_string() } else { format!("{rows}×{columns}") }
}

fn titled(layer: &Layer, input: Option<Shape>) -> (Look, String) {
    let over = |[rows, columns]: [usize; 2]| format!("{rows}×{columns}");
    let stride =
        |stride: [usize; 2]| if stride == [1, 1] { String::new() } else { format!(", /{}", sides(stride)) };
    match &layer.op {
        Op::Input(_) => (Look::Picture, "picture".into()),
        Op::Conv2d(conv) => {
            let depthwise = conv.groups > 1 && input.is_some_and(|input| input.channels() == conv.groups);
            let mut title =
                format!("{} {}", over(conv.kernel_size), if depthwise { "depthwise" } else { "conv" });
            title += &format!(", {}{}", conv.out_channels, stride(conv.stride));
            if conv.dilation != [1, 1] {
                title += &format!(", dilated {}", sides(conv.dilation));
            }
            if conv.groups > 1 && !depthwise {
                title += &format!(", {} groups", conv.groups);
            }
            (if depthwise { Look::Depthwise } else { Look::Conv }, title)
        }
        Op::ConvTranspose2d(conv) => {
            let up = sides(conv.stride);
            (Look::Resize, format!("{} transposed, {}, ×{up}", over(conv.kernel_size), conv.out_channels))
        }
        Op::Linear(linear) => (Look::Dense, format!("dense, {}", linear.out_features)),
        Op::Rbf(rbf) => (Look::Dense, format!("radial basis, {}", rbf.classes)),
        Op::MaxPool2d(pool) => {
            (Look::Pool, format!("{} max pool{}", over(pool.kernel_size), stride(pool.stride)))
        }
        Op::AvgPool2d(pool) => {
            (Look::Pool, format!("{} mean pool{}", over(pool.kernel_size), stride(pool.stride)))
        }
        Op::AdaptiveAvgPool2d(pool) => match pool.output_size {
            [1, 1] => (Look::Pool, "global mean".into()),
            size => (Look::Pool, format!("mean to {}", over(size))),
        },
        Op::Activation(activation) => (Look::Activation, activation_name(*activation).into()),
        Op::BatchNorm2d(_) => (Look::Norm, "batch norm".into()),
        Op::LocalResponseNorm(norm) => (Look::Norm, format!("response norm, {}", norm.size)),
        Op::Dropout(dropout) => (Look::Other, format!("dropout, {}", dropout.probability)),
        Op::Flatten(_) => (Look::Other, "flatten".into()),
        Op::Add(_) => (Look::Add, "+".into()),
        Op::Concat(_) => (Look::Concat, "concat".into()),
        Op::ScaleChannels(_) => (Look::Scale, "×".into()),
        Op::SelectChannels(some) => (Look::Other, format!("{} channels of it", some.channels.len())),
        Op::PadChannels(_) => (Look::Other, "zero channels".into()),
        Op::Subsample(every) => (Look::Other, format!("subsample, /{}", sides(every.stride))),
        Op::Crop(_) => (Look::Resize, "crop".into()),
        Op::Upsample(_) => (Look::Resize, "bilinear".into()),
        Op::ChannelAffine(_) => (Look::Norm, "scale, shift".into()),
        Op::ChannelScaleShift(_) => (Look::Norm, "scale, shift".into()),
        Op::Softmax(_) => (Look::Activation, "softmax".into()),
        Op::Custom(custom) => match custom.detail() {
            detail if detail.is_empty() => (Look::Other, custom.kind().into()),
            detail => (Look::Other, format!("{}, {detail}", custom.kind())),
        },
    }
}

/// `256×56×56` or `1000`.
pub(crate) fn shape(shape: Shape) -> String {
    shape.dims().iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}
