//! Stem, stages, head: ResNet's, with squeeze-and-excitation in every unit.

use zoo_layers::{Graph, Linear, Node, Result, Scope};
use zoo_resnet::{Stages, Unit, stages, stem};

use crate::{Residual, SeNet, block::squeeze_to};

impl SeNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let [.., x] = self.backbone(net, picture)?;
            net.head(x, self.head, self.dropout, Linear::new, "fc")
        })
    }

    /// Stem and stages within a network of one's own; returns each stage's map, the last
    /// `(n, 512 · expansion, h/32, w/32)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<[Node; 4]> {
        let x = stem(net, picture, self.stem, self.pool)?; // (n, 64 or 128, 56, 56)
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

    /// The unit of the stage with so many nominal channels, before any stride.
    fn unit(&self, width: usize) -> Unit {
        let plain = Unit::plain(self.block, width, self.cardinality, self.width_per_group);
        Unit {
            reduced: plain.inner.checked_div(self.reduce_first).unwrap_or(0),
            projection: if width == 64 { 1 } else { self.projection },
            ..plain
        }
    }
}
