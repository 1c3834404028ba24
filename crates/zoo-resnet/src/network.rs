//! Stem, stages, head.

use zoo_layers::{Conv2d, Error, Graph, MaxPool2d, Node, Padding, Result, Scope};

use crate::{
    CifarResNet, ResNet, Stem,
    block::{Recalibrate, Unit, cifar_unit, kaiming, unit},
};

impl ResNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let x = self.backbone(net, picture, None)?;
            net.head(x, self.head, 0.0, "fc")
        })
    }

    /// Stem and stages within a network of one's own; returns the last stage's map
    /// `(n, 512 · expansion, h/32, w/32)`. `recalibrate` is applied to each residual.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(
        &self,
        net: &mut Scope<'_>,
        picture: Node,
        recalibrate: Option<Recalibrate>,
    ) -> Result<Node> {
        let mut x = stem(net, picture, self.stem)?;
        let mut stride_left = match (self.output_stride, self.stem) {
            (8 | 16 | 32, Stem::Imagenet) => self.output_stride / 4,
            (2 | 4 | 8, Stem::Small) => self.output_stride,
            (32, Stem::Small) => 8,
            (other, _) => {
                return Err(Error::Misfit {
                    node: "layer4".into(),
                    op: "stage",
                    reason: format!("an output stride of {other} can't be had; it can be 8, 16 or 32"),
                });
            }
        };
        let mut dilation = 1;
        for (stage, units) in self.units.into_iter().enumerate() {
            let width = 64 << stage;
            let wanted = if stage == 0 { 1 } else { 2 };
            let (stride, first_dilation) = match stride_left >= wanted {
                true => (wanted, dilation),
                // A stride that is traded away: later units look twice as far apart instead.
                false => (1, dilation),
            };
            if stride < wanted {
                dilation *= 2;
            }
            stride_left /= stride;
            let mut scope = net.enter(format!("layer{}", stage + 1));
            for index in 0..units {
                let options = Unit {
                    block: self.block,
                    width,
                    inner: width * self.width_per_group / 64 * self.cardinality,
                    cardinality: self.cardinality,
                    stride: if index == 0 { stride } else { 1 },
                    dilation: if index == 0 { first_dilation } else { dilation },
                };
                x = unit(&mut scope.enter(index), x, options, recalibrate)?; // (n, width · expansion, …)
            }
        }
        Ok(x)
    }

    /// Channels of the last stage.
    pub const fn num_features(&self) -> usize {
        512 * self.block.expansion()
    }
}

/// The first reduction of the picture (conv1 and the pool of conv2_x in table 1).
fn stem(net: &mut Scope<'_>, picture: Node, stem: Stem) -> Result<Node> {
    match stem {
        Stem::Imagenet => {
            let x = net.conv_norm_act(picture, kaiming(Conv2d::k7(64)).stride(2), "conv1", "bn1")?; // (n, 64, 112, 112)
            net.max_pool(x, MaxPool2d::new(3, 2).padding(Padding::All(1)), "maxpool") // (n, 64, 56, 56)
        }
        Stem::Small => net.conv_norm_act(picture, kaiming(Conv2d::k3(64)), "conv1", "bn1"),
    }
}

impl CifarResNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let mut x = net.conv_norm_act(picture, kaiming(Conv2d::k3(16)), "conv1", "bn1")?; // (n, 16, 32, 32)
            for (stage, width) in [16, 32, 64].into_iter().enumerate() {
                let mut scope = net.enter(format!("layer{}", stage + 1));
                for index in 0..self.units {
                    let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                    x = cifar_unit(&mut scope.enter(index), x, width, stride)?; // (n, width, 32 / 2^stage, …)
                }
            }
            net.head(x, self.head, 0.0, "fc")
        })
    }
}
