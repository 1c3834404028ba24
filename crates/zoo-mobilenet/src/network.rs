//! Stem, inverted residuals, last 1×1, classifier (table 2).

use zoo_layers::{Conv2d, Graph, Init, Linear, Node, Padding, Result, Scope};

use crate::{
    MobileNetV2,
    block::{Unit, conv_norm_relu6, inverted_residual},
};

impl MobileNetV2 {
    /// The network as a graph.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn graph(&self) -> Result<Graph> {
        Graph::build(self.name, self.input, |net, picture| {
            let x = self.backbone(net, picture)?; // (n, 1280, 7, 7)
            let linear = |classes| Linear::new(classes).weight_init(CLASSIFIER).bias_init(Init::ZEROS);
            net.head(x, self.head, self.dropout, linear, "classifier.1")
        })
    }

    /// All convolutions within a network of one's own, under `features`; returns the last map
    /// `(n, 1280, h/32, w/32)`.
    ///
    /// # Errors
    /// Options that do not fit, by node.
    pub fn backbone(&self, net: &mut Scope<'_>, picture: Node) -> Result<Node> {
        if self.width == 0 {
            return Err(net.misfit(
                "features",
                "stage",
                "a width of 0 % leaves no channels; give at least 1 %",
            ));
        }
        let mut features = net.enter("features");
        features.set_norm(features.norm_options().eps(self.eps));
        let stem = Conv2d::k3(self.channels(self.stem)).stride(2).padding(self.strided_padding);
        let mut x = conv_norm_relu6(&mut features, picture, stem, 0)?; // (n, 32, 112, 112)
        let mut place = 1;
        for stage in self.stages {
            for index in 0..stage.units {
                let stride = if index == 0 { stage.stride } else { 1 };
                let unit = Unit {
                    expansion: stage.expansion,
                    out_channels: self.channels(stage.channels),
                    stride,
                    padding: if stride == 1 { Padding::Half } else { self.strided_padding },
                };
                x = inverted_residual(&mut features.enter(place), x, unit)?; // (n, 320, 7, 7) at last
                place += 1;
            }
        }
        conv_norm_relu6(&mut features, x, Conv2d::k1(self.num_features()), place) // (n, 1280, 7, 7)
    }

    /// Channels of the last map.
    pub const fn num_features(&self) -> usize {
        let wider = if self.width > 100 { self.width } else { 100 };
        scaled(self.last, wider)
    }

    const fn channels(&self, nominal: usize) -> usize {
        scaled(nominal, self.width)
    }
}

/// How torchvision draws the classifier.
const CLASSIFIER: Init = Init::Normal { std: 0.01 };

/// `percent` of the channels, as the nearest multiple of 8, at least 8, but never under 90 % of what was asked
/// for: the rounding of the authors' code.
const fn scaled(channels: usize, percent: usize) -> usize {
    let hundredths = channels.saturating_mul(percent);
    let rounded = hundredths.saturating_add(400) / 800 * 8;
    let rounded = if rounded < 8 { 8 } else { rounded };
    match rounded.saturating_mul(1000) < hundredths.saturating_mul(9) {
        true => rounded + 8,
        false => rounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_the_authors() {
        assert_eq!([16, 24, 32, 64, 96, 160, 320].map(|c| scaled(c, 35)), [8, 8, 16, 24, 32, 56, 112]);
        assert_eq!([16, 24, 32, 64, 96, 160, 320].map(|c| scaled(c, 140)), [24, 32, 48, 88, 136, 224, 448]);
        assert_eq!(scaled(1280, 140), 1792);
    }
}
