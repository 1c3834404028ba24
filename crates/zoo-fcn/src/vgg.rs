//! FCN-32s, FCN-16s and FCN-8s: VGG-16 with its linear layers as convolutions, and the way back up.

use zoo_layers::{
    ChannelScaleShift, Conv2d, ConvTranspose2d, Graph, Init, MaxPool2d, Node, Padding, Result, Scope,
};

use crate::{FcnVgg, Fusion};

/// Around the picture, so that one of any size survives five pools and a 7×7. The crops take the border that it
/// makes off again.
const BORDER: Padding = Padding::All(100);

/// What the way back up starts from.
struct Trunk {
    score: Node,
    pool4: Node,
    pool3: Node,
}

impl FcnVgg {
    /// The network as a graph: output `logits` `(n, classes, h, w)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let trunk = self.trunk(net, picture)?;
            let logits = match self.fusion {
                Fusion::None => {
                    let x = self.upscore(net, trunk.score, 32, "upscore")?;
                    net.crop_like(x, picture, 19)?
                }
                Fusion::Pool4 => {
                    let x = self.upscore(net, trunk.score, 2, "upscore2")?; // 1/16
                    let x = self.fuse(net, x, trunk.pool4, 1.0, (5, "score_pool4"))?;
                    let x = self.upscore(net, x, 16, "upscore16")?;
                    net.crop_like(x, picture, 27)?
                }
                Fusion::Pool4And3 => {
                    let [scale3, scale4] = self.pool_scales;
                    let x = self.upscore(net, trunk.score, 2, "upscore2")?; // 1/16
                    let x = self.fuse(net, x, trunk.pool4, scale4, (5, "score_pool4"))?;
                    let x = self.upscore(net, x, 2, "upscore_pool4")?; // 1/8
                    let x = self.fuse(net, x, trunk.pool3, scale3, (9, "score_pool3"))?;
                    let x = self.upscore(net, x, 8, "upscore8")?;
                    net.crop_like(x, picture, 31)?
                }
            };
            net.output("logits", logits)
        })
    }

    /// VGG's blocks and its linear layers as convolutions.
    fn trunk(&self, net: &mut Scope<'_>, picture: Node) -> Result<Trunk> {
        let mut x = picture;
        let mut pools = [x; 5];
        for (block, (convs, width)) in self.convs.into_iter().zip(self.widths).enumerate() {
            for index in 0..convs {
                let padding = if block == 0 && index == 0 { BORDER } else { Padding::Half };
                let conv = Conv2d::k3(width).padding(padding);
                x = conv_relu(net, x, conv, &format!("conv{}_{}", block + 1, index + 1))?;
            }
            x = net.max_pool(x, MaxPool2d::new(2, 2).ceil_mode(), format!("pool{}", block + 1))?;
            pools[block] = x;
        }
        let fc6 = Conv2d::new(self.hidden, [7, 7]).padding(Padding::None);
        for (conv, name) in [(fc6, "fc6"), (Conv2d::k1(self.hidden), "fc7")] {
            x = conv_relu(net, x, conv, name)?;
            x = net.dropout(x, self.dropout)?;
        }
        let score = net.conv(x, Conv2d::k1(self.classes).bias_init(Init::ZEROS), "score_fr")?; // 1/32
        let [.., pool3, pool4, _] = pools;
        Ok(Trunk { score, pool4, pool3 })
    }

    /// A transposed convolution that makes the scores `factor` times larger, and starts as bilinear interpolation.
    fn upscore(&self, net: &mut Scope<'_>, x: Node, factor: usize, name: &str) -> Result<Node> {
        let conv = ConvTranspose2d::new(self.classes, 2 * factor, factor).no_bias();
        net.conv_transpose(x, conv.weight_init(Init::Bilinear), name)
    }

    /// The scores of a pool, cropped and added to those from below. They start at zero: the network begins as
    /// the coarser one.
    fn fuse(
        &self,
        net: &mut Scope<'_>,
        x: Node,
        pool: Node,
        scale: f64,
        (offset, name): (usize, &str),
    ) -> Result<Node> {
        let mut pool = pool;
        if scale != 1.0 {
            let channels = net.shape(pool).channels();
            let scaled = ChannelScaleShift { scale: vec![scale; channels], shift: vec![0.0; channels] };
            pool = net.add_unnamed(scaled, &[pool], "scale")?;
        }
        let zero = Conv2d::k1(self.classes).weight_init(Init::ZEROS).bias_init(Init::ZEROS);
        let score = net.conv(pool, zero, name)?;
        let score = net.crop_like(score, x, offset)?;
        net.add(x, score)
    }
}

fn conv_relu(net: &mut Scope<'_>, x: Node, conv: Conv2d, name: &str) -> Result<Node> {
    let x = net.conv(x, conv.kaiming().bias_init(Init::ZEROS), name)?;
    net.relu(x)
}
