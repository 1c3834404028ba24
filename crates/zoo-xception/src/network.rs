//! Entry, middle and exit flow (figure 5).

use zoo_layers::{Conv2d, Graph, Linear, Node, Padding, Result, Scope};

use crate::{
    Xception,
    block::{Pool, Start, Unit, separable_conv, unit},
};

impl Xception {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let x = self.backbone(net, picture)?;
            net.head(x, self.head, self.dropout, Linear::new, "fc")
        })
    }

    /// The three flows within a network of one's own; returns the last map `(n, 2048, h/32, w/32)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        if ![8, 16, 32].contains(&self.output_stride) {
            let reason =
                format!("an output stride of {} can't be had; it can be 8, 16 or 32", self.output_stride);
            return Err(net.misfit(format!("block{}", self.middle.saturating_add(4)), "unit", reason));
        }
        let outer = net.norm_options();
        net.set_norm(outer.clone().eps(self.eps));
        let x = self.flows(net, picture)?;
        net.set_norm(outer);
        Ok(x)
    }

    fn flows(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let mut strides = Strides { reached: 2, wanted: self.output_stride, dilation: 1 };

        let first = Conv2d::k3(32).kaiming().stride(2).padding(Padding::None);
        let x = net.conv_norm_act(picture, first, "conv1", "bn1")?; // (n, 32, 149, 149)
        let second = Conv2d::k3(64).kaiming().padding(Padding::None);
        let mut x = net.conv_norm_act(x, second, "conv2", "bn2")?; // (n, 64, 147, 147)

        let mut blocks = 1..;
        let mut block = move || format!("block{}", blocks.next().unwrap_or(usize::MAX));
        for (index, width) in self.entry.into_iter().enumerate() {
            let options = Unit {
                widths: &[width; 2],
                start: if index == 0 { Start::Conv } else { Start::Relu },
                dilation: strides.dilation,
                pool: Some(Pool { stride: strides.step(), padding: self.pool_padding }),
            };
            x = unit(&mut net.enter(block()), x, options)?; // (n, 728, 19, 19) at last
        }
        let width = self.entry[2];
        for _ in 0..self.middle {
            let options =
                Unit { widths: &[width; 3], start: Start::Relu, dilation: strides.dilation, pool: None };
            x = unit(&mut net.enter(block()), x, options)?;
        }
        let [wider, third, fourth] = self.exit;
        let options = Unit {
            widths: &[width, wider],
            start: Start::Relu,
            dilation: strides.dilation,
            pool: Some(Pool { stride: strides.step(), padding: self.pool_padding }),
        };
        x = unit(&mut net.enter(block()), x, options)?; // (n, 1024, 10, 10)
        for (conv, norm, width) in [("conv3", "bn3", third), ("conv4", "bn4", fourth)] {
            let spatial = Conv2d::k3(1).dilation(strides.dilation);
            x = separable_conv(net, x, spatial, width, conv)?;
            x = net.norm(x, norm)?;
            x = net.relu(x)?;
        }
        Ok(x)
    }
}

/// Strides of 2, until the wanted one is reached; from then on what follows looks twice as far apart instead.
struct Strides {
    reached: usize,
    wanted: usize,
    dilation: usize,
}

impl Strides {
    fn step(&mut self) -> usize {
        if self.reached < self.wanted {
            self.reached *= 2;
            return 2;
        }
        self.dilation *= 2;
        1
    }
}
