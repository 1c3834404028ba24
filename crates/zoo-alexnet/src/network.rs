//! Five convolutions, three linear layers.

use zoo_layers::{
    Activation, Conv2d, Dropout, Graph, Head, Init, Linear, LocalResponseNorm, MaxPool2d, Node, Result, Scope,
};

use crate::{After, AlexNet, Edition};

/// Units of the two hidden linear layers.
const HIDDEN: usize = 4096;

/// Section 3.3.
const RESPONSE_NORM: LocalResponseNorm = LocalResponseNorm { size: 5, alpha: 1e-4, beta: 0.75, k: 2.0 };

/// Section 5: biases that start at one give the ReLUs of the second, fourth and fifth convolution and of the hidden
/// layers positive inputs at first.
const PAPER_CONV_BIASES: [f64; 5] = [0.0, 1.0, 0.0, 1.0, 1.0];
const PAPER_WEIGHTS: Init = Init::Normal { std: 0.01 };

impl AlexNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let map = self.backbone(net, picture)?; // (n, 256, 6, 6)
            let x = match (self.head, self.edition) {
                (Head::None, _) => map,
                (_, Edition::Torchvision) => torchvision_hidden(net, map)?, // (n, 4096)
                (_, Edition::Paper) => paper_hidden(net, map)?,
            };
            match self.edition {
                Edition::Torchvision => net.head(x, self.head, 0.0, Linear::new, "classifier.6"),
                Edition::Paper => net.head(x, self.head, 0.0, |classes| paper_linear(classes, 0.0), "fc8"),
            }
        })
    }

    /// The convolutions within a network of one's own; returns the last pool's map `(n, 256, 6, 6)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let mut x = picture;
        let mut place = 0; // in torchvision's sequence `features`
        for (index, stage) in self.stages.iter().enumerate() {
            let mut name = |kind: &str| match self.edition {
                Edition::Torchvision => {
                    place += 1;
                    format!("features.{}", place - 1)
                }
                Edition::Paper => format!("{kind}{}", index + 1),
            };
            let mut conv = Conv2d::new(stage.filters, [stage.kernel_size; 2])
                .stride(stage.stride)
                .padding(stage.padding)
                .groups(stage.groups);
            if self.edition == Edition::Paper {
                let bias = Init::Constant(PAPER_CONV_BIASES[index]);
                conv = conv.weight_init(PAPER_WEIGHTS).bias_init(bias);
            }
            x = net.conv(x, conv, name("conv"))?;
            x = net.add_op(Activation::Relu, &[x], name("relu"))?;
            if stage.after == After::NormPool {
                x = net.add_op(RESPONSE_NORM, &[x], name("norm"))?;
            }
            if stage.after != After::Nothing {
                x = net.max_pool(x, MaxPool2d::new(3, 2), name("pool"))?;
            }
        }
        Ok(x)
    }
}

/// Two hidden layers of 4096, with dropout before each.
fn torchvision_hidden(net: &mut Scope<'_>, map: Node) -> Result<Node> {
    let map = net.adaptive_avg_pool(map, [6, 6], "avgpool")?;
    let mut x = net.flatten(map)?; // (n, 9216)
    let mut net = net.enter("classifier");
    for place in [0, 3] {
        x = net.add_op(Dropout { probability: 0.5 }, &[x], place)?;
        x = net.linear(x, Linear::new(HIDDEN), place + 1)?;
        x = net.add_op(Activation::Relu, &[x], place + 2)?;
    }
    Ok(x)
}

/// Two hidden layers of 4096, with dropout after each.
fn paper_hidden(net: &mut Scope<'_>, map: Node) -> Result<Node> {
    let mut x = net.flatten(map)?; // (n, 9216)
    for layer in [6, 7] {
        x = net.linear(x, paper_linear(HIDDEN, 1.0), format!("fc{layer}"))?;
        x = net.add_op(Activation::Relu, &[x], format!("relu{layer}"))?;
        x = net.add_op(Dropout { probability: 0.5 }, &[x], format!("drop{layer}"))?;
    }
    Ok(x)
}

fn paper_linear(out_features: usize, bias: f64) -> Linear {
    Linear::new(out_features).weight_init(PAPER_WEIGHTS).bias_init(Init::Constant(bias))
}
