//! A small fully convolutional network for scenes of handwritten digits, which sums features where the paper sums scores.

use zoo_layers::{Align, Conv2d, Graph, MaxPool2d, Result, Shape};

/// Ten digits and the background, which is class 0.
pub const DIGIT_CLASSES: usize = 11;

/// Four blocks of 3×3 convolutions, each at half the size of the one before, and a way back: a block's map, brought to the
/// next larger block's channels by a 1×1 convolution and to its size by interpolation, is added to that block's own map,
/// and a 3×3 convolution joins the two. The last of these maps has the size of the picture, and its scores are the answer.
///
/// It is this project's. The paper (section 4.2) adds *scores* of deep and shallow layers; here, where strokes are two
/// pixels wide and digits lie against each other, the shallow layers have to be asked which of two neighbours a pixel
/// belongs to, and a sum of two verdicts can't say that: of features it can (Lin et al. 2017, "Feature Pyramid Networks for
/// Object Detection", section 3; Ronneberger et al. 2015, "U-Net", join them side by side).
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
    /// Kinds of things to tell apart.
    pub classes: usize,
}

impl FcnDigits {
    /// For scenes of digits of 24 to 48 pixels: what a position of the last block sees is 76 pixels wide.
    pub const FCN_DIGITS: Self = Self {
        name: "fcn_digits",
        input: Shape::map(1, 96, 96),
        widths: [16, 32, 64, 128],
        convs: [2, 2, 3, 2],
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
                blocks.push((x, width)); // (n, width, h / 2^index, w / 2^index)
            }
            blocks.pop();
            for (index, (block, width)) in blocks.into_iter().enumerate().rev() {
                let number = index + 1;
                let deeper = net.conv(x, Conv2d::k1(width), format!("lateral{number}"))?;
                let deeper = net.upsample_like(deeper, block, Align::Areas)?;
                x = net.add(deeper, block)?;
                x = net.conv_norm_act(
                    x,
                    Conv2d::k3(width),
                    format!("join{number}"),
                    format!("bn_join{number}"),
                )?;
            }
            let scores = net.conv(x, Conv2d::k1(self.classes), "score")?;
            net.output("logits", scores)
        })
    }
}
