//! What stands at a network's end: a classifier, its input, or nothing.

use std::fmt::Display;

use crate::{Linear, Node, Result, Scope};

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
    /// The usual end of a network, and its output: global average pool, dropout (a probability of 0 is none),
    /// and a linear layer called `name`.
    ///
    /// # Errors
    /// No classes; `x` is not a map.
    pub fn head(&mut self, x: Node, head: Head, dropout: f64, name: impl Display) -> Result<()> {
        match head {
            Head::Classes(classes) => {
                let mut x = self.global_avg_pool(x)?;
                if dropout != 0.0 {
                    x = self.dropout(x, dropout)?;
                }
                let logits = self.linear(x, Linear::new(classes), name)?;
                self.output("logits", logits)
            }
            Head::Pooled => {
                let x = self.global_avg_pool(x)?;
                self.output("features", x)
            }
            Head::None => self.output("features", x),
        }
    }
}
