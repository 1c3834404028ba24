//! A small fully convolutional network for scenes of handwritten digits, which sums features where the paper sums scores.

use zoo_layers::{Align, Conv2d, Graph, MaxPool2d, Node, Result, Scope, Shape};
use zoo_xception::{Start, Unit, unit};

/// Ten digits and the background, which is class 0.
pub const DIGIT_CLASSES: usize = 11;

/// Four blocks of 3×3 convolutions, each at half the size of the one before, Xception's residual units at an eighth of the
/// size, and a way back: a block's map and the next smaller one, each brought to as many channels by a 1×1 convolution and
/// the smaller one to the other's size by interpolation, are added, and residual units join the two. The last of these maps
/// has the size of the picture, and its scores are the answer.
///
/// It is this project's. The paper (section 4.2) adds *scores* of deep and shallow layers; here, where strokes are two
/// pixels wide and digits lie over each other, the shallow layers have to be asked which of two digits a pixel belongs to,
/// and a sum of two verdicts can't say that: of features it can (Lin et al. 2017, "Feature Pyramid Networks for Object
/// Detection", section 3; Ronneberger et al. 2015, "U-Net", join them side by side). The units are those of Xception's
/// middle flow (Chollet 2017, figure 5) with two separable convolutions instead of three: at an eighth of the size what
/// counts is depth, which tells a digit that another half covers, and an eighth of a convolution's numbers buy it. On the way
/// back they tell digits apart that touch, which is what is hardest in such scenes, and the last of each size look at pixels two
/// and four apart to see more of both (Yu and Koltun 2016, "Multi-Scale Context Aggregation by Dilated Convolutions").
#[derive(Clone, Debug, PartialEq)]
pub struct FcnDigits {
    /// Name of the graph.
    pub name: &'static str,
    /// Nominal picture.
    pub input: Shape,
    /// Channels of each block, from the whole size down to an eighth.
    pub widths: [usize; 4],
    /// 3×3 convolutions in each block.
    pub convs: [usize; 4],
    /// Channels on the way back, of each size but the last.
    pub back: [usize; 3],
    /// Residual units of each size: how far apart the taps of each lie.
    pub units: [&'static [usize]; 4],
    /// Kinds of things to tell apart.
    pub classes: usize,
}

impl FcnDigits {
    /// For scenes of digits of 24 to 48 pixels.
    pub const FCN_DIGITS: Self = Self {
        name: "fcn_digits",
        input: Shape::map(1, 96, 96),
        widths: [16, 32, 64, 128],
        convs: [2, 2, 3, 1],
        back: [32, 48, 64],
        units: [&[1, 2], &[1, 1, 2], &[1, 1, 2, 4], &[1; 6]],
        classes: DIGIT_CLASSES,
    };

    /// The network as a graph: output `logits` `(n, classes, h, w)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let mut x = picture;
            let mut blocks = Vec::with_capacity(self.widths.len());
            for (index, (width, convs)) in self.widths.into_iter().zip(self.convs).enumerate() {
                if index > 0 {
                    x = net.max_pool(x, MaxPool2d::new(2, 2).ceil_mode(), format!("pool{index}"))?;
                }
                for conv in 1..=convs {
                    let name = format!("{}_{conv}", index + 1);
                    x =
                        net.conv_norm_act(x, Conv2d::k3(width), format!("conv{name}"), format!("bn{name}"))?;
                }
                blocks.push(x); // (n, width, h / 2^index, w / 2^index)
            }
            blocks.pop();
            x = self.units(net, x, self.units.len() - 1)?;
            for (index, block) in blocks.into_iter().enumerate().rev() {
                let width = Conv2d::k1(self.back[index]);
                let deeper = net.conv(x, width.clone(), format!("deeper{}", index + 1))?;
                let deeper = net.upsample_like(deeper, block, Align::Areas)?;
                let lateral = net.conv(block, width, format!("lateral{}", index + 1))?;
                x = net.add(deeper, lateral)?;
                x = self.units(net, x, index)?;
            }
            let scores = net.conv(x, Conv2d::k1(self.classes), "score")?;
            net.output("logits", scores)
        })
    }

    /// The residual units of one size, and a ReLU behind them.
    fn units(&self, net: &mut Scope<'_>, mut x: Node, index: usize) -> Result<Node> {
        let widths = [net.shape(x).channels(); 2];
        for (number, &dilation) in (1..).zip(self.units[index]) {
            let mut net = net.enter(format!("unit{}_{number}", index + 1));
            x = unit(&mut net, x, Unit { widths: &widths, start: Start::Relu, pool: None, dilation })?;
        }
        net.relu(x)
    }
}
