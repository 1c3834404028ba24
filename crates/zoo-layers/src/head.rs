//! What stands at a network's end: a classifier, its input, or nothing.

use std::fmt::Display;

use crate::{Linear, Node, Result, Scope, Shape};

/// What stands at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The classifier, with so many classes: output `logits` `(n, classes)`.
    Classes(usize),
    /// What the classifier reads: output `features` `(n, features)`.
    Pooled,
    /// Nothing: output `features` is the last map.
    None,
}

impl Scope<'_> {
    /// The end of a network, and its output: global average pool, dropout (a probability of 0 is none), and the
    /// layer called `name` that `linear` gives for a number of classes. A vector, as hidden layers make one, is
    /// classified without a pool.
    ///
    /// # Errors
    /// No classes.
    pub fn head(
        &mut self,
        x: Node,
        head: Head,
        dropout: f64,
        linear: impl FnOnce(usize) -> Linear,
        name: impl Display,
    ) -> Result<()> {
        let features = match (head, self.shape(x)) {
            (Head::Classes(_) | Head::Pooled, Shape::Map { .. }) => self.global_avg_pool(x)?,
            _ => x,
        };
        let Head::Classes(classes) = head else { return self.output("features", features) };
        let read = if dropout == 0.0 { features } else { self.dropout(features, dropout)? };
        let logits = self.linear(read, linear(classes), name)?;
        self.output("logits", logits)
    }
}
