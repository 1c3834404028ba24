//! Stem, stages, head: ResNet's, with squeeze-and-excitation in every unit.

use zoo_layers::{Conv2d, Graph, MaxPool2d, Node, Padding, Result, Scope};
use zoo_resnet::{Stages, Unit, stages};

use crate::{Residual, SeNet, Stem, StemPool, block::squeeze_to};

impl SeNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let [.., x] = self.backbone(net, picture)?;
            net.head(x, self.head, self.dropout, "fc")
        })
    }

    /// Stem and stages within a network of one's own; returns each stage's map, the last
    /// `(n, 512 · expansion, h/32, w/32)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<[Node; 4]> {
        let x = self.stem(net, picture)?;
        let plan =
            Stages { units: self.units, stem_stride: self.stem.stride(), output_stride: self.output_stride };
        let recalibrate = |net: &mut Scope<'_>, x: Node| match self.residual {
            Residual::Signed => squeeze_to(net, x, self.reduction, self.least_squeezed),
            Residual::Rectified => {
                let x = net.relu(x)?;
                squeeze_to(net, x, self.reduction, self.least_squeezed)
            }
        };
        stages(net, x, plan, Some(&recalibrate), |width| self.unit(width))
    }

    fn stem(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let x = match self.stem {
            Stem::Small => return net.conv_norm_act(picture, Conv2d::k3(64).kaiming(), "conv1", "bn1"),
            Stem::Imagenet => {
                net.conv_norm_act(picture, Conv2d::k7(64).kaiming().stride(2), "conv1", "bn1")? // (n, 64, 112, 112)
            }
            Stem::Deep => {
                // The numbers are places in a list of convolutions, norms and ReLUs; the last norm is outside.
                let mut deep = net.enter("conv1");
                let x = deep.conv_norm_act(picture, Conv2d::k3(64).kaiming().stride(2), 0, 1)?; // (n, 64, 112, 112)
                let x = deep.conv_norm_act(x, Conv2d::k3(64).kaiming(), 3, 4)?;
                let x = deep.conv(x, Conv2d::k3(128).kaiming().no_bias(), 6)?; // (n, 128, 112, 112)
                let x = net.norm(x, "bn1")?;
                net.relu(x)?
            }
        };
        let pool = match self.pool {
            StemPool::Padded => MaxPool2d::new(3, 2).padding(Padding::All(1)),
            StemPool::Ceil => MaxPool2d::new(3, 2).ceil_mode(),
        };
        net.max_pool(x, pool, "maxpool") // (n, 64 or 128, 56, 56)
    }

    /// The unit of the stage with so many nominal channels, before any stride.
    fn unit(&self, width: usize) -> Unit {
        let inner = (width.saturating_mul(self.width_per_group) / 64).saturating_mul(self.cardinality);
        Unit {
            block: self.block,
            width,
            reduced: inner.checked_div(self.reduce_first).unwrap_or(0),
            inner,
            cardinality: self.cardinality,
            projection: if width == 64 { 1 } else { self.projection },
            stride: 1,
            dilation: [1, 1],
        }
    }
}
