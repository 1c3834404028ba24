//! Five blocks of convolutions, three linear layers.

use zoo_layers::{
    Activation, BatchNorm2d, Conv2d, Dropout, Fan, Graph, Head, Init, Linear, MaxPool2d, Node, Result, Scope,
};

use crate::{Classifier, Norm, Vgg};

/// Units of the two hidden linear layers (table 1, FC-4096).
const HIDDEN: usize = 4096;

impl Vgg {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let map = self.backbone(net, picture)?; // (n, 512, 7, 7)
            if self.classifier == Classifier::Mean {
                return net.head(map, self.head, 0.0, Linear::new, "classifier");
            }
            let x = match self.head {
                Head::None => map,
                Head::Pooled | Head::Classes(_) => hidden(net, map)?, // (n, 4096)
            };
            net.head(x, self.head, 0.0, linear, "classifier.6")
        })
    }

    /// The five blocks within a network of one's own; returns the last pool's map `(n, 512, h/32, w/32)`. The nodes
    /// are named by their place in the sequence, the pools too: `0`, `1`, … within the scope given.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let mut net = net.enter("features");
        let mut x = picture;
        let mut places = 0..;
        let mut place = || places.next().unwrap_or(usize::MAX);
        for (convs, width) in self.convs.into_iter().zip(Self::WIDTHS) {
            for _ in 0..convs {
                let conv =
                    Conv2d::k3(width).weight_init(Init::KaimingNormal(Fan::Out)).bias_init(Init::ZEROS);
                x = net.conv(x, conv, place())?; // (n, width, …)
                if self.norm == Norm::Batch {
                    x = net.add_op(BatchNorm2d::new(), &[x], place())?;
                }
                x = net.add_op(Activation::Relu, &[x], place())?;
            }
            x = net.max_pool(x, MaxPool2d::new(2, 2), place())?;
        }
        Ok(x)
    }
}

/// Two hidden layers of 4096, with dropout after each.
fn hidden(net: &mut Scope<'_>, map: Node) -> Result<Node> {
    let map = net.adaptive_avg_pool(map, [7, 7], "avgpool")?;
    let mut x = net.flatten(map)?; // (n, 25088)
    let mut net = net.enter("classifier");
    for place in [0, 3] {
        x = net.linear(x, linear(HIDDEN), place)?;
        x = net.add_op(Activation::Relu, &[x], place + 1)?;
        x = net.add_op(Dropout { probability: 0.5 }, &[x], place + 2)?;
    }
    Ok(x)
}

fn linear(out_features: usize) -> Linear {
    Linear::new(out_features).weight_init(Init::Normal { std: 0.01 }).bias_init(Init::ZEROS)
}
