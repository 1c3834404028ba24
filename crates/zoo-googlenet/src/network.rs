//! Stem, nine modules, head, and the two classifiers in the middle.

use zoo_layers::{
    AvgPool2d, ChannelScaleShift, Conv2d, Graph, Head, Init, Linear, MaxPool2d, Node, Result, Scope,
};

use crate::{
    AuxPool, Auxiliary, GoogLeNet, MODULES, Norm, Pixels,
    block::{CAFFE_BIAS, CAFFE_WEIGHTS, conv, inception},
};

/// Mean and standard deviation of ImageNet's channels, and those that bring pixels to −1 to 1.
const IMAGENET: [(f64, f64); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];
const HALF: [(f64, f64); 3] = [(0.5, 0.5); 3];

impl GoogLeNet {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let mut auxiliary = Vec::new();
            let x = self.describe(net, picture, &mut auxiliary)?; // (n, 1024, 7, 7)
            net.head(x, self.head, self.dropout, |classes| self.linear(classes, Init::ZEROS), "fc")?;
            for (name, node) in ["aux1", "aux2"].into_iter().zip(auxiliary) {
                net.training_output(name, node)?;
            }
            Ok(())
        })
    }

    /// Stem and modules within a network of one's own; returns the last module's map `(n, 1024, h/32, w/32)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        Self { head: Head::None, ..self.clone() }.describe(net, picture, &mut Vec::new())
    }

    /// Describes all but the head, and collects the auxiliary logits, where there are any.
    fn describe(&self, net: &mut Scope<'_>, picture: Node, auxiliary: &mut Vec<Node>) -> Result<Node> {
        let mut x = self.stem(net, picture)?; // (n, 192, 28, 28)
        for (name, widths) in MODULES {
            match name {
                "4a" => x = net.max_pool(x, MaxPool2d::new(3, 2).ceil_mode(), "maxpool3")?, // (n, 480, 14, 14)
                "5a" => {
                    let pool = MaxPool2d::new(self.last_pool, 2).ceil_mode();
                    x = net.max_pool(x, pool, "maxpool4")?; // (n, 832, 7, 7)
                }
                _ => {}
            }
            x = inception(&mut net.enter(format!("inception{name}")), x, widths, self.style)?;
            // The paper puts a classifier on 4a and on 4d (section 5).
            if let (Head::Classes(classes), Auxiliary::Training(pool)) = (self.head, self.auxiliary) {
                match name {
                    "4a" => auxiliary.push(self.classifier(&mut net.enter("aux1"), x, pool, classes)?),
                    "4d" => auxiliary.push(self.classifier(&mut net.enter("aux2"), x, pool, classes)?),
                    _ => {}
                }
            }
        }
        Ok(x)
    }

    /// The first three convolutions (table 1, down to inception 3a).
    fn stem(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        let norm = self.style.norm;
        let mut x = picture;
        if self.pixels == Pixels::Imagenet {
            x = net.add_op(ChannelScaleShift::renormalize(IMAGENET, HALF), &[x], "transform_input")?;
        }
        x = conv(net, x, Conv2d::k7(64).stride(2), norm, "conv1")?; // (n, 64, 112, 112)
        x = net.max_pool(x, MaxPool2d::new(3, 2).ceil_mode(), "maxpool1")?; // (n, 64, 56, 56)
        x = self.response_norm(net, x, "norm1")?;
        x = conv(net, x, Conv2d::k1(64), norm, "conv2")?;
        x = conv(net, x, Conv2d::k3(192), norm, "conv3")?; // (n, 192, 56, 56)
        x = self.response_norm(net, x, "norm2")?;
        net.max_pool(x, MaxPool2d::new(3, 2).ceil_mode(), "maxpool2") // (n, 192, 28, 28)
    }

    fn response_norm(&self, net: &mut Scope<'_>, x: Node, name: &str) -> Result<Node> {
        match self.response_norm {
            Some(norm) => net.add_op(norm, &[x], name),
            None => Ok(x),
        }
    }

    /// An auxiliary classifier (section 5): average pool, 1×1, two linear layers.
    fn classifier(&self, net: &mut Scope<'_>, x: Node, pool: AuxPool, classes: usize) -> Result<Node> {
        let x = match pool {
            AuxPool::Window => net.avg_pool(x, AvgPool2d::new(5, 3), "avgpool")?,
            AuxPool::Adaptive => net.adaptive_avg_pool(x, [4, 4], "avgpool")?,
        };
        let x = conv(net, x, Conv2d::k1(128), self.style.norm, "conv")?; // (n, 128, 4, 4)
        let x = net.flatten(x)?; // (n, 2048)
        let x = net.linear(x, self.linear(1024, CAFFE_BIAS), "fc1")?;
        let x = net.relu(x)?;
        let x = net.dropout(x, 0.7)?;
        net.linear(x, self.linear(classes, Init::ZEROS), "fc2")
    }

    fn linear(&self, out_features: usize, caffe_bias: Init) -> Linear {
        let linear = Linear::new(out_features);
        match self.style.norm {
            Norm::Batch => linear.weight_init(Init::Normal { std: 0.01 }),
            Norm::None => linear.weight_init(CAFFE_WEIGHTS).bias_init(caffe_bias),
        }
    }
}
