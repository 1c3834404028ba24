//! How a listed architecture is described, and what its own crate leaves to choose.

use zoo_layers::{Graph, Mode, Shape};
use zoo_resnet::{Block, CifarResNet, NewChannels, ResNet, StrideIn};
use zoo_senet::SeNet;
use zoo_vgg::Vgg;
use zoo_xception::Xception;

use crate::{Error, Options, Result, card::outputs};

/// The picture for which a small stem is made.
const SMALL: Shape = Shape::map(3, 32, 32);

/// How a network is described.
#[derive(Debug)]
pub(crate) enum Build {
    /// In one way.
    As(fn() -> zoo_layers::Result<Graph>),
    Cifar(CifarResNet),
    ResNet(ResNet),
    SeNet(SeNet),
    Vgg(Vgg),
    Xception(Xception),
}

impl Build {
    /// The network as it is listed.
    pub(crate) fn graph(&self) -> zoo_layers::Result<Graph> {
        match self {
            Self::As(build) => build(),
            Self::Cifar(net) => net.graph(),
            Self::ResNet(net) => net.graph(),
            Self::SeNet(net) => net.graph(),
            Self::Vgg(net) => net.graph(),
            Self::Xception(net) => net.graph(),
        }
    }

    /// The network called `name` with all that can be chosen of it.
    pub(crate) fn graph_for(&self, name: &str, options: &Options) -> Result<Graph> {
        let mut graph = self.described(name, options)?;
        if let Some(classes) = options.num_classes.filter(|&classes| classes != outputs(&graph)) {
            graph = graph.with_num_classes(classes)?;
        }
        if let Some(channels) = options.in_channels.filter(|&channels| channels != graph.input().channels()) {
            graph = graph.with_in_channels(channels)?.0;
        }
        if options.convolutional {
            graph = graph.convolutionalize()?.0;
        }
        if options.no_auxiliary {
            graph = without_auxiliary(&graph)?;
        }
        if options.no_head {
            let features = graph.get(graph.features()).name.clone();
            graph = graph.cut(&[features])?;
        }
        if !options.at.is_empty() {
            graph = graph.cut(&options.at)?;
        }
        match options.input_size {
            Some([height, width]) => Ok(graph.at_size(height, width)?),
            None => Ok(graph),
        }
    }

    /// What the architecture's own crate decides.
    fn described(&self, name: &str, options: &Options) -> Result<Graph> {
        let &Options { output_stride, small_stem, least_squeezed, centred_shortcut, mean_classifier, .. } =
            options;
        let refused = [
            (
                output_stride.is_some(),
                self.has_stride(),
                "output stride",
                "ResNet, SENet and Xception networks",
            ),
            (
                small_stem,
                matches!(self, Self::ResNet(_) | Self::SeNet(_)),
                "stem",
                "ResNet and SENet networks",
            ),
            (least_squeezed.is_some(), matches!(self, Self::SeNet(_)), "squeezed width", "SENet networks"),
            (centred_shortcut, matches!(self, Self::Cifar(_)), "shortcut", "CIFAR ResNets"),
            (mean_classifier, matches!(self, Self::Vgg(_)), "classifier", "VGG networks"),
        ];
        if let Some((.., option, families)) = refused.into_iter().find(|(wanted, had, ..)| *wanted && !had) {
            return Err(Error::NoChoice { model: name.into(), option, families });
        }
        Ok(match self {
            Self::As(build) => build()?,
            Self::Cifar(net) if centred_shortcut => {
                CifarResNet { new_channels: NewChannels::BothSides, ..net.clone() }.graph()?
            }
            Self::Cifar(net) => net.graph()?,
            Self::ResNet(net) => {
                let mut net = net.clone();
                net.output_stride = output_stride.unwrap_or(net.output_stride);
                if small_stem {
                    (net.stem, net.input) = (zoo_resnet::Stem::Small, SMALL);
                }
                net.graph()?
            }
            Self::SeNet(net) => {
                let mut net = net.clone();
                net.output_stride = output_stride.unwrap_or(net.output_stride);
                net.least_squeezed = least_squeezed.unwrap_or(net.least_squeezed);
                if small_stem {
                    (net.stem, net.input) = (zoo_senet::Stem::Small, SMALL);
                }
                net.graph()?
            }
            Self::Vgg(net) if mean_classifier => {
                Vgg { classifier: zoo_vgg::Classifier::Mean, ..net.clone() }.graph()?
            }
            Self::Vgg(net) => net.graph()?,
            Self::Xception(net) => {
                let output_stride = output_stride.unwrap_or(net.output_stride);
                Xception { output_stride, ..net.clone() }.graph()?
            }
        })
    }

    fn has_stride(&self) -> bool {
        matches!(self, Self::ResNet(_) | Self::SeNet(_) | Self::Xception(_))
    }

    /// What stays unsaid by names and shapes of the weights: what is assumed of a file that does not say it.
    pub(crate) fn assumed(&self, name: &str, options: &Options) -> Vec<String> {
        let mut assumed = Vec::new();
        if self.has_stride() {
            let stride = options.output_stride.unwrap_or(32);
            assumed.push(format!("an output stride of {stride} (`Options::output_stride` for another)"));
        }
        match self {
            Self::ResNet(ResNet { block: Block::Bottleneck(stride_in), .. })
            | Self::SeNet(SeNet { block: Block::Bottleneck(stride_in), .. }) => {
                assumed.push(match stride_in {
                    StrideIn::Conv3x3 => {
                        "the stride of a unit in its 3x3 (\"v1.5\", as PyTorch's)".to_string()
                    }
                    StrideIn::Conv1x1 => {
                        "the stride of a unit in its first 1x1 (\"v1\", as the paper's)".to_string()
                    }
                });
            }
            Self::Cifar(_) if options.centred_shortcut => {
                assumed.push("a shortcut's new channels on both sides of the old ones".into());
            }
            Self::Cifar(_) => assumed.push(
                "a shortcut's new channels behind the old ones (`Options::centred_shortcut`: on both sides, as \
                 akamaster/pytorch_resnet_cifar10 has them)"
                    .into(),
            ),
            _ => {}
        }
        assumed.push(match name.ends_with("_keras") {
            true => "padding as TensorFlow's".to_string(),
            false => match crate::find(&format!("{name}_keras")) {
                Ok(keras) => format!("padding as PyTorch's ({} pads as TensorFlow)", keras.name),
                Err(_) => "padding as PyTorch's".to_string(),
            },
        });
        assumed
    }
}

/// The network without what only training computes.
fn without_auxiliary(graph: &Graph) -> zoo_layers::Result<Graph> {
    let names: Vec<String> = graph.outputs_in(Mode::Eval).map(|output| output.name.clone()).collect();
    graph.cut(&names)
}

/// The parameters that only training needs: of the auxiliary heads.
pub(crate) fn auxiliary(graph: &Graph) -> Vec<String> {
    let needed = graph.active(Mode::Eval);
    let beyond = graph.nodes().filter(|(node, _)| !needed.contains(*node));
    beyond.flat_map(|(_, layer)| layer.params.iter().map(|param| param.name.clone())).collect()
}
