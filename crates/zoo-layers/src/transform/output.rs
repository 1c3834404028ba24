//! Another number of classes.

use std::collections::HashSet;

use crate::{Error, Graph, Node, Op, Result};

impl Graph {
    /// The same network for `classes` classes: the classifier before each output, auxiliary ones included, gets
    /// so many outputs and keeps its name.
    ///
    /// # Errors
    /// No classes; an output without a classifier, that is a linear layer or convolution with nothing after it
    /// but pools, dropout, flattening, softmax or resizing.
    pub fn with_num_classes(&self, classes: usize) -> Result<Self> {
        let classifiers: HashSet<Node> =
            self.outputs.iter().map(|output| self.classifier(output.node)).collect::<Result<_>>()?;
        self.with_ops(|node, layer| match layer.op.clone() {
            Op::Linear(mut linear) if classifiers.contains(&node) => {
                linear.out_features = classes;
                linear.into()
            }
            Op::Conv2d(mut conv) if classifiers.contains(&node) => {
                conv.out_channels = classes;
                conv.into()
            }
            other => other,
        })
    }

    /// The layer that decides between classes for the output `node`.
    fn classifier(&self, mut node: Node) -> Result<Node> {
        loop {
            let layer = self.get(node);
            match (&layer.op, layer.inputs.as_slice()) {
                (Op::Linear(_) | Op::Conv2d(_), _) => return Ok(node),
                // What follows an activation is a feature, not a logit.
                (op, &[before]) if layer.params.is_empty() && !matches!(op, Op::Activation(_)) => {
                    node = before;
                }
                (op, _) => {
                    return Err(Error::Misfit {
                        node: layer.name.clone(),
                        op: op.operation().kind(),
                        reason: format!(
                            "no classifier leads here, so `{}` can't be given another number of classes; \
                             describe it with a head of its own",
                            self.name
                        ),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Conv2d, Graph, Linear, Result, Shape};

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
