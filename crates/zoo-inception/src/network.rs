//! Stem, eleven modules, head, and the classifier in the middle (table 1 of the paper).

use zoo_layers::{
    AvgPool2d, ChannelScaleShift, Conv2d, Graph, Head, Init, Linear, MaxPool2d, Node, Padding, Result, Scope,
};

use crate::{
    Auxiliary, InceptionV3, Pixels,
    block::{conv, drawn, inception_a, inception_b, inception_c, inception_d, inception_e},
};

/// Mean and standard deviation of ImageNet's channels, and those that bring pixels to −1 to 1.
const IMAGENET: [(f64, f64); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];
const HALF: [(f64, f64); 3] = [(0.5, 0.5); 3];

impl InceptionV3 {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let middle = self.first_half(net, picture)?; // (n, 768, 17, 17)
            let auxiliary = match (self.head, self.auxiliary) {
                (Head::Classes(classes), Auxiliary::Training) => {
                    Some(classifier(&mut net.enter("AuxLogits"), middle, classes)?)
                }
                _ => None,
            };
            let x = second_half(net, middle)?; // (n, 2048, 8, 8)
            net.head(x, self.head, self.dropout, |classes| linear(classes, 0.1), "fc")?;
            auxiliary.map_or(Ok(()), |node| net.training_output("aux", node))
        })
    }

    /// Stem and modules within a network of one's own; returns the last module's map `(n, 2048, h/32, w/32)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let middle = self.first_half(net, picture)?;
        second_half(net, middle)
    }

    /// The stem and the modules at 35×35 and 17×17.
    fn first_half(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let mut x = self.stem(net, picture)?; // (n, 192, 35, 35)
        for (name, pool_channels) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
            x = inception_a(&mut net.enter(name), x, pool_channels)?; // (n, 224 + pool_channels, 35, 35)
        }
        x = inception_b(&mut net.enter("Mixed_6a"), x)?; // (n, 768, 17, 17)
        for (name, width) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            x = inception_c(&mut net.enter(name), x, width)?; // (n, 768, 17, 17)
        }
        Ok(x)
    }

    /// Five convolutions and two pools.
    fn stem(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let k3 = |width| Conv2d::k3(width).padding(Padding::None);
        let mut x = picture;
        if self.pixels == Pixels::Imagenet {
            x = net.add_op(ChannelScaleShift::renormalize(IMAGENET, HALF), &[x], "transform_input")?;
        }
        x = conv(net, x, k3(32).stride(2), "Conv2d_1a_3x3")?; // (n, 32, 149, 149)
        x = conv(net, x, k3(32), "Conv2d_2a_3x3")?; // (n, 32, 147, 147)
        x = conv(net, x, Conv2d::k3(64), "Conv2d_2b_3x3")?;
        x = net.max_pool(x, MaxPool2d::new(3, 2), "maxpool1")?; // (n, 64, 73, 73)
        x = conv(net, x, Conv2d::k1(80), "Conv2d_3b_1x1")?;
        x = conv(net, x, k3(192), "Conv2d_4a_3x3")?; // (n, 192, 71, 71)
        net.max_pool(x, MaxPool2d::new(3, 2), "maxpool2") // (n, 192, 35, 35)
    }
}

/// The modules at 8×8.
fn second_half(net: &mut Scope<'_>, x: Node) -> Result<Node> {
    let x = inception_d(&mut net.enter("Mixed_7a"), x)?; // (n, 1280, 8, 8)
    let x = inception_e(&mut net.enter("Mixed_7b"), x)?; // (n, 2048, 8, 8)
    inception_e(&mut net.enter("Mixed_7c"), x)
}

/// The auxiliary classifier (figure 8): average pool, 1×1, 5×5, linear. Its initial weights are smaller.
fn classifier(net: &mut Scope<'_>, x: Node, classes: usize) -> Result<Node> {
    let x = net.avg_pool(x, AvgPool2d::new(5, 3), "pool")?; // (n, 768, 5, 5)
    let x = conv(net, x, Conv2d::k1(128), "conv0")?;
    let x = drawn(net, x, Conv2d::k5(768).padding(Padding::None), 0.01, "conv1")?; // (n, 768, 1, 1)
    let x = net.global_avg_pool(x)?;
    net.linear(x, linear(classes, 0.001), "fc")
}

fn linear(classes: usize, std: f64) -> Linear {
    Linear::new(classes).weight_init(Init::TruncatedNormal { std })
}
