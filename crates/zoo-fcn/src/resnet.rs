//! FCN on ResNet: a dilated backbone, a small head, bilinear upsampling.

use zoo_layers::{Align, Conv2d, Graph, Node, Result, Scope};

use crate::{Auxiliary, FcnResNet};

impl FcnResNet {
    /// The network as a graph: output `logits` `(n, classes, h, w)`, and in training `aux` of the same shape.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let [.., coarse, last] = self.backbone.backbone(&mut net.enter("backbone"), picture, None)?;
            let score = self.head(&mut net.enter("classifier"), last)?; // (n, classes, h/8, w/8)
            let logits = net.upsample_like(score, picture, Align::Areas)?;
            net.output("logits", logits)?;
            if self.auxiliary == Auxiliary::Head {
                let score = self.head(&mut net.enter("aux_classifier"), coarse)?;
                let aux = net.upsample_like(score, picture, Align::Areas)?;
                net.training_output("aux", aux)?;
            }
            Ok(())
        })
    }

    /// 3×3 to a quarter of the channels, norm, ReLU, dropout, 1×1 to the classes.
    fn head(&self, net: &mut Scope<'_>, x: Node) -> Result<Node> {
        let channels = net.shape(x).channels();
        let x = net.conv_norm_act(x, Conv2d::k3(channels / 4), 0, 1)?;
        let x = net.dropout(x, self.dropout)?;
        net.conv(x, Conv2d::k1(self.classes), 4)
    }
}
