//! What is explained: a class, seen from a layer's map.

use candle_core::{D, Tensor};
use zoo_layers::{Graph, Mode, Net, Node, Op, Shape};

use crate::{Error, Result};

/// A class, and the layer whose maps are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    class: usize,
    at: Node,
}

impl Target {
    /// A class at the last map before the picture is no picture any more.
    ///
    /// # Errors
    /// [`Error::UnknownClass`]; [`Error::NoMap`] if the network has none.
    pub fn new(net: &Net, class: usize) -> Result<Self> {
        let graph = net.graph();
        let output = graph.main_output().node;
        let no_map = || Error::NoMap {
            node: graph.get(output).name.clone(),
            shape: graph.get(output).output,
            other: None,
        };
        let at = last_map(graph).ok_or_else(no_map)?;
        Self { class, at }.checked(net)
    }

    /// A class at the named layer, scope (its last layer) or output.
    ///
    /// # Errors
    /// The same; a name that nothing has; a layer without a map, or one beside the way to the answer.
    pub fn at(net: &Net, class: usize, name: &str) -> Result<Self> {
        let at = net.graph().find(name)?;
        Self { class, at }.checked(net)
    }

    fn checked(self, net: &Net) -> Result<Self> {
        let graph = net.graph();
        let output = graph.main_output();
        let classes = graph.get(output.node).output.channels();
        if self.class >= classes {
            return Err(Error::UnknownClass { model: graph.name().into(), class: self.class, classes });
        }
        check_map(graph, self.at)?;
        if !graph.ancestors([output.node]).contains(self.at) {
            let (model, node) = (graph.name().into(), graph.get(self.at).name.clone());
            return Err(Error::Beside { model, node, output: output.name.clone() });
        }
        Ok(self)
    }

    /// The class.
    pub const fn class(self) -> usize {
        self.class
    }

    /// The layer.
    pub const fn node(self) -> Node {
        self.at
    }

    /// The class's score, `answers` being the main output `(n, classes)` or `(n, classes, h, w)`: the sum over the
    /// pictures, of a map the mean over its places.
    pub(crate) fn score(self, answers: &Tensor) -> Result<Tensor> {
        let score = answers.narrow(1, self.class, 1)?;
        Ok(match score.rank() {
            4 => score.mean(D::Minus1)?.mean(D::Minus1)?.sum_all()?,
            _ => score.sum_all()?,
        })
    }
}

/// That a layer gives a map.
pub(crate) fn check_map(graph: &Graph, node: Node) -> Result<()> {
    match graph.get(node).output {
        Shape::Map { height, width, .. } if height * width > 1 => Ok(()),
        shape => {
            let other = last_map(graph).map(|node| graph.get(node).name.clone());
            Err(Error::NoMap { node: graph.get(node).name.clone(), shape, other })
        }
    }
}

/// The last layer that computes a map of several pixels for the answer, and is no pool: behind a pool, places are less
/// exact. Of a network that answers with a map, the widest of those with the fewest pixels.
fn last_map(graph: &Graph) -> Option<Node> {
    let needed = graph.ancestors([graph.main_output().node]);
    let is_map = |shape: Shape| matches!(shape, Shape::Map { height, width, .. } if height * width > 1);
    let computes = |op: &Op| {
        !matches!(op, Op::Input(_) | Op::MaxPool2d(_) | Op::AvgPool2d(_) | Op::AdaptiveAvgPool2d(_))
            && !op.operation().is_view(Mode::Eval)
    };
    let mut maps = graph
        .nodes()
        .filter(|(node, layer)| needed.contains(*node) && is_map(layer.output) && computes(&layer.op));
    match is_map(graph.get(graph.main_output().node).output) {
        false => maps.next_back().map(|(node, _)| node),
        true => {
            let rank = |shape: Shape| {
                let [height, width] = shape.size();
                (std::cmp::Reverse(height * width), shape.channels())
            };
            maps.max_by_key(|(_, layer)| rank(layer.output)).map(|(node, _)| node)
        }
    }
}
