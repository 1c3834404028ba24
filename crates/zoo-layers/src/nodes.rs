//! Sets of nodes: one bit of knowledge for each node of a graph.

use crate::Node;

/// Some nodes of one graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSet {
    holds: Vec<bool>,
}

impl NodeSet {
    /// None of a graph's `nodes` nodes.
    pub fn none(nodes: usize) -> Self {
        Self { holds: vec![false; nodes] }
    }

    /// Whether it holds `node`.
    pub fn contains(&self, node: Node) -> bool {
        self.holds.get(node.0).copied().unwrap_or(false)
    }

    /// Adds a node; whether it is new.
    pub fn insert(&mut self, node: Node) -> bool {
        if self.holds.len() <= node.0 {
            self.holds.resize(node.0 + 1, false);
        }
        !std::mem::replace(&mut self.holds[node.0], true)
    }

    /// Its nodes in execution order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Node> {
        self.holds.iter().enumerate().filter(|(_, holds)| **holds).map(|(index, _)| Node(index))
    }

    /// How many nodes it holds.
    pub fn len(&self) -> usize {
        self.holds.iter().filter(|holds| **holds).count()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        !self.holds.contains(&true)
    }
}

impl Extend<Node> for NodeSet {
    fn extend<I: IntoIterator<Item = Node>>(&mut self, nodes: I) {
        for node in nodes {
            self.insert(node);
        }
    }
}
