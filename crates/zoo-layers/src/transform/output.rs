//! Another number of classes.

use crate::{Error, Graph, Node, NodeSet, Op, Result};

impl Graph {
    /// The same network for `classes` classes: the classifiers before each output, auxiliary ones included, get
    /// so many outputs and keep their names. Transposed convolutions that make scores larger follow them.
    ///
    /// # Errors
    /// No classes; an output without a classifier, that is a linear layer or convolution with nothing after it
    /// but pools, dropout, flattening, softmax, resizing, or the sum with another one's scores.
    pub fn with_num_classes(&self, classes: usize) -> Result<Self> {
        let mut scores = NodeSet::none(self.layers().len());
        let mut open: Vec<Node> = self.outputs.iter().map(|output| output.node).collect();
        while let Some(node) = open.pop() {
            if scores.insert(node) {
                open.extend(self.scores_before(node)?);
            }
        }
        self.with_ops(|node, layer| match layer.op.clone() {
            Op::Linear(mut linear) if scores.contains(node) => {
                linear.out_features = classes;
                linear.into()
            }
            Op::Conv2d(mut conv) if scores.contains(node) => {
                conv.out_channels = classes;
                conv.into()
            }
            Op::ConvTranspose2d(mut conv) if scores.contains(node) => {
                conv.out_channels = classes;
                conv.into()
            }
            other => other,
        })
    }

    /// Of what `node` reads, all that holds one value for each class; nothing if `node` is a classifier.
    fn scores_before(&self, node: Node) -> Result<Vec<Node>> {
        let layer = self.get(node);
        match (&layer.op, layer.inputs.as_slice()) {
            (Op::Linear(_) | Op::Conv2d(_), _) => Ok(Vec::new()),
            (Op::Add(_), inputs) => Ok(inputs.to_vec()),
            // The second input is read for its size only.
            (Op::ConvTranspose2d(_) | Op::Upsample(_) | Op::Crop(_), &[before, ..]) => Ok(vec![before]),
            // What follows an activation is a feature, not a logit.
            (op, &[before]) if layer.params.is_empty() && !matches!(op, Op::Activation(_)) => {
                Ok(vec![before])
            }
            (op, _) => Err(Error::Misfit {
                node: layer.name.clone(),
                op: op.operation().kind(),
                reason: format!(
                    "no classifier leads here, so `{}` can't be given another number of classes; describe it with \
                     a head of its own",
                    self.name
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Align, Conv2d, ConvTranspose2d, Graph, Linear, Result, Shape};

    fn two_heads() -> Result<Graph> {
        Graph::build("two heads", Shape::map(3, 16, 16), |net, picture| {
            let x = net.conv_norm_act(picture, Conv2d::k3(8).stride(2), "conv1", "bn1")?;
            let aux = net.global_avg_pool(x)?;
            let aux = net.linear(aux, Linear::new(10), "aux.fc")?;
            let logits = net.conv(x, Conv2d::k1(10), "classifier")?;
            let logits = net.global_avg_pool(logits)?;
            net.output("logits", logits)?;
            net.training_output("aux", aux)
        })
    }

    #[test]
    fn every_classifier_gets_the_classes_and_nothing_else_changes() {
        let (old, new) = (two_heads().unwrap(), two_heads().unwrap().with_num_classes(3).unwrap());
        for output in new.outputs() {
            assert_eq!(new.get(output.node).output, Shape::vector(3));
        }
        for (old, new) in old.params().zip(new.params()) {
            assert_eq!(old.name, new.name);
            let is_classifier = old.name.starts_with("aux.fc") || old.name.starts_with("classifier");
            assert_eq!(old.shape != new.shape, is_classifier, "{}", old.name);
        }
    }

    /// Scores from two layers, one made larger, added and brought to the picture's size.
    #[test]
    fn scores_that_are_fused_and_made_larger_all_follow() {
        let graph = Graph::build("fused", Shape::map(3, 16, 16), |net, picture| {
            let fine = net.conv(picture, Conv2d::k3(8).stride(2), "conv1")?;
            let coarse = net.conv(fine, Conv2d::k3(8).stride(2), "conv2")?;
            let coarse = net.conv(coarse, Conv2d::k1(10), "coarse")?;
            let coarse = net.conv_transpose(coarse, ConvTranspose2d::new(10, 4, 2).no_bias(), "larger")?;
            let fine = net.conv(fine, Conv2d::k1(10), "fine")?;
            let coarse = net.crop_like(coarse, fine, 1)?;
            let scores = net.add(coarse, fine)?;
            let scores = net.upsample_like(scores, picture, Align::Areas)?;
            net.output("out", scores)
        });
        let new = graph.unwrap().with_num_classes(4).unwrap();
        assert_eq!(new.get(new.main_output().node).output, Shape::map(4, 16, 16));
        assert_eq!(new.layer("larger").unwrap().params[0].shape, [4, 4, 4, 4]);
        assert_eq!(new.layer("conv2").unwrap().output.channels(), 8);
    }

    #[test]
    fn no_classes_and_no_classifier_are_refused_by_name() {
        let error = two_heads().unwrap().with_num_classes(0).unwrap_err().to_string();
        assert!(error.contains("aux.fc") && error.contains('0'), "{error}");
        let features = Graph::build("features", Shape::map(3, 16, 16), |net, picture| {
            let x = net.conv_norm_act(picture, Conv2d::k3(8), "conv1", "bn1")?;
            let x = net.global_avg_pool(x)?;
            net.output("features", x)
        });
        let error = features.unwrap().with_num_classes(5).unwrap_err().to_string();
        assert!(error.contains("relu") && error.contains("features"), "{error}");
    }
}
