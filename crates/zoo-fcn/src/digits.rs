//! A small fully convolutional network in the paper's manner, for scenes of handwritten digits.

use zoo_layers::{Conv2d, ConvTranspose2d, Graph, Init, MaxPool2d, Node, Result, Scope, Shape};

/// Ten digits and the background, which is class 0.
pub const DIGIT_CLASSES: usize = 11;

/// A small network with the paper's fusion of scores taken to the whole size: four blocks of 3×3 convolutions, each at half
/// the size of the one before, each with scores of its own. It is this project's, for pictures in which strokes are two
/// pixels wide and the eighth of a size shows nothing of them: which digit it is, the deep scores say, and where its ink
/// ends, the shallow ones.
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
    /// For scenes of digits of 24 to 48 pixels: what a score of the last block sees is 84 pixels wide.
    pub const FCN_DIGITS: Self = Self {
        name: "fcn_digits",
        input: Shape::map(1, 96, 96),
        widths: [16, 24, 48, 96],
        convs: [2, 2, 2, 3],
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
            let mut scores = None;
            for (index, block) in blocks.into_iter().enumerate().rev() {
                scores = Some(self.scores(net, block, scores, index + 1)?);
            }
            match scores {
                Some(logits) => net.output("logits", logits),
                None => Err(net.misfit("logits", "FCN", "it has no block")),
            }
        })
    }

    /// A block's scores, and added to them those of the deeper blocks, made twice as large. The shallow ones start at zero:
    /// the network begins as its coarsest.
    fn scores(&self, net: &mut Scope<'_>, block: Node, deeper: Option<Node>, number: usize) -> Result<Node> {
        let conv = Conv2d::k1(self.classes).bias_init(Init::ZEROS);
        let name = format!("score{number}");
        let Some(deeper) = deeper else { return net.conv(block, conv, name) };
        let scores = net.conv(block, conv.weight_init(Init::ZEROS), name)?;
        let larger = ConvTranspose2d::new(self.classes, 4, 2).no_bias().weight_init(Init::Bilinear);
        let deeper = net.conv_transpose(deeper, larger, format!("upscore{number}"))?;
        let deeper = net.crop_like(deeper, scores, 1)?;
        net.add(deeper, scores)
    }
}
