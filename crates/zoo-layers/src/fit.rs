//! Which pictures a network takes.

use std::collections::BTreeSet;

use crate::{Error, Graph, Mode, Result, Route, Shape, ops::Input};

impl Graph {
    /// The same network with every shape inferred again for another picture.
    ///
    /// # Errors
    /// A picture too small for a node, with the smallest square one that the network takes; one for which a node
    /// would need other parameters.
    pub fn at(&self, input: Shape) -> Result<Self> {
        self.inferred(input).map_err(|error| match error {
            Error::Misfit { node, op, mut reason } => {
                let [height, width] = input.size();
                if let Some(side) = self.smallest_side().filter(|side| height.min(width) < *side) {
                    let smallest = self.input().resized(side, side);
                    reason += &format!("; the smallest square picture `{}` takes is {smallest}", self.name());
                }
                let answering = self.active(Mode::Eval);
                if self.nodes().any(|(at, layer)| layer.name == node && !answering.contains(at)) {
                    let main = &self.main_output().name;
                    reason += &format!(
                        "; `{node}` serves training only, and the network cut at `{main}` takes smaller ones"
                    );
                }
                Error::Misfit { node, op, reason }
            }
            other => other,
        })
    }

    /// The same network at another height and width.
    ///
    /// # Errors
    /// As [`Graph::at`].
    pub fn at_size(&self, height: usize, width: usize) -> Result<Self> {
        self.at(self.input().resized(height, width))
    }

    /// The side of the smallest square picture that the network takes, up to its nominal one; nothing if it takes
    /// no square.
    ///
    /// ```
    /// use zoo_layers::{Graph, MaxPool2d, Shape};
    ///
    /// let graph = Graph::build("pools", Shape::map(3, 32, 32), |net, picture| {
    ///     let x = net.max_pool(picture, MaxPool2d::new(3, 2), "pool1")?;
    ///     let x = net.max_pool(x, MaxPool2d::new(3, 2), "pool2")?;
    ///     net.output("features", x)
    /// })?;
    /// assert_eq!(graph.smallest_side(), Some(7)); // 7 pixels become 3, and 3 become 1
    /// # Ok::<(), zoo_layers::Error>(())
    /// ```
    pub fn smallest_side(&self) -> Option<usize> {
        let [height, width] = self.input().size();
        (1..=height.max(width)).find(|&side| self.inferred(self.input().resized(side, side)).is_ok())
    }

    /// Why the part of the network that a route needs can't take this picture.
    pub(crate) fn refusal(&self, route: &Route, picture: Shape) -> Option<Error> {
        let names: BTreeSet<&str> =
            route.targets().iter().map(|target| self.get(*target).name.as_str()).collect();
        self.cut(&names.into_iter().collect::<Vec<_>>()).ok()?.at(picture).err()
    }

    fn inferred(&self, input: Shape) -> Result<Self> {
        let moved = self.with_ops(|_, layer| match layer.inputs.is_empty() {
            true => Input { shape: input }.into(),
            false => layer.op.clone(),
        })?;
        for (layer, moved) in self.layers().iter().zip(moved.layers()) {
            let mut params = layer.params.iter().zip(&moved.params);
            if let Some((old, new)) = params.find(|(old, new)| old.shape != new.shape) {
                return Err(Error::FixedSize {
                    node: layer.name.clone(),
                    op: layer.op.operation().kind(),
                    param: old.name.clone(),
                    has: old.shape.clone(),
                    needs: new.shape.clone(),
                    input,
                    nominal: self.input(),
                });
            }
        }
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Conv2d, Graph, Linear, MaxPool2d, Shape};

    fn message(graph: &Graph, height: usize, width: usize) -> String {
        graph.at_size(height, width).unwrap_err().to_string()
    }

    #[test]
    fn a_small_picture_is_told_the_node_and_what_would_fit() {
        let graph = Graph::build("pooled", Shape::map(3, 64, 64), |net, picture| {
            let x = net.conv(picture, Conv2d::k3(4).stride(2), "conv1")?;
            let x = net.max_pool(x, MaxPool2d::new(3, 3), "pool1")?;
            net.head(x, crate::Head::Classes(2), 0.0, crate::Linear::new, "fc")
        });
        let graph = graph.unwrap();
        assert_eq!(graph.smallest_side(), Some(5));
        for (height, width) in [(4, 4), (64, 3)] {
            let error = message(&graph, height, width);
            assert!(error.starts_with("`pool1`") && error.ends_with("`pooled` takes is 3x5x5"), "{error}");
        }
        assert!(message(&graph, 0, 9).starts_with("`input`"));
    }

    #[test]
    fn a_dense_layer_fixes_the_size() {
        let graph = Graph::build("dense", Shape::map(1, 6, 6), |net, picture| {
            let x = net.max_pool(picture, MaxPool2d::new(2, 2), "pool1")?;
            let x = net.flatten(x)?;
            let x = net.linear(x, Linear::new(2), "fc")?;
            net.output("logits", x)
        });
        let graph = graph.unwrap();
        assert_eq!(graph.smallest_side(), Some(6));
        assert!(message(&graph, 8, 8).contains("takes 1x6x6"));
        assert!(message(&graph, 1, 1).contains("takes is 1x6x6"));
    }
}
