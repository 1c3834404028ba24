//! The shapes of values as a file tells them: numbers, and names for what is free.

use std::fmt;

use zoo_layers::{Graph, Node, Shape};

use crate::{Error, Options, Result, form::FLOAT, proto::Message};

/// One side of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// So many.
    Fixed(usize),
    /// Any number, under this name: the same name, the same number.
    Free(String),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(side) => side.fmt(f),
            Self::Free(name) => name.fmt(f),
        }
    }
}

/// What goes into a network or comes out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its name in the file.
    pub name: String,
    /// Its sides, the batch first.
    pub dims: Vec<Dim>,
}

/// Written as `logits (batch, 1000)`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims.iter().map(Dim::to_string).collect();
        write!(f, "{} ({})", self.name, dims.join(", "))
    }
}

/// A named value of f32: `ValueInfoProto`.
pub(crate) fn message(Value { name, dims }: &Value) -> Result<Message> {
    let mut shape = Message::new();
    for dim in dims {
        let dim = match dim {
            Dim::Fixed(side) => {
                let wide = i64::try_from(*side)
                    .map_err(|_| Error::TooLarge { what: format!("a side of `{name}`"), value: *side })?;
                Message::new().int(1, wide)
            }
            Dim::Free(name) => Message::new().text(2, name),
        };
        shape = shape.message(1, &dim);
    }
    let tensor = Message::new().int(1, FLOAT).message(2, &shape);
    Ok(Message::new().text(1, name).message(2, &Message::new().message(1, &tensor)))
}

/// What is known of the shapes of a network's values.
pub(crate) struct Dims<'a> {
    graph: &'a Graph,
    batch: Dim,
    /// The same network for pictures of two other sizes, if the size is free.
    others: Option<[Graph; 2]>,
}

impl<'a> Dims<'a> {
    /// Checks that the network takes other sizes, where that is asked of it.
    pub(crate) fn new(graph: &'a Graph, options: &Options) -> Result<Self> {
        let batch = options.batch.map_or_else(|| Dim::Free("batch".into()), Dim::Fixed);
        let others = match graph.input() {
            Shape::Map { height, width, .. } if options.free_size => {
                let at = |more: [usize; 2]| {
                    let size = [height.saturating_add(more[0]), width.saturating_add(more[1])];
                    graph
                        .at_size(size[0], size[1])
                        .map_err(|source| Error::FixedSize { graph: graph.name().into(), source })
                };
                Some([at([64, 160])?, at([224, 96])?])
            }
            _ => None,
        };
        Ok(Self { graph, batch, others })
    }

    /// Whether height and width are free.
    pub(crate) fn free_size(&self) -> bool {
        self.others.is_some()
    }

    /// The sides of a node's value, the batch first. Where the size is free and a side follows it, it is the picture's
    /// own, or has a name of its own.
    pub(crate) fn of(&self, node: Node, name: &str) -> Value {
        Value { name: name.into(), dims: self.sides(node, name) }
    }

    fn sides(&self, node: Node, name: &str) -> Vec<Dim> {
        let dims = self.graph.get(node).output.dims();
        let words: &[&str] = if dims.len() == 1 { &["features"] } else { &["channels", "height", "width"] };
        let sides = dims.iter().zip(words).enumerate();
        let side = |(axis, (side, word)): (usize, (&usize, &&str))| self.side(node, axis, *side, word, name);
        std::iter::once(self.batch.clone()).chain(sides.map(side)).collect()
    }

    /// One side behind the batch, called by a word.
    fn side(&self, node: Node, axis: usize, side: usize, word: &str, name: &str) -> Dim {
        let Some(others) = &self.others else { return Dim::Fixed(side) };
        let at = |graph: &Graph, node: Node| graph.get(node).output.dims().get(axis).copied();
        if others.iter().all(|other| at(other, node) == Some(side)) {
            return Dim::Fixed(side);
        }
        let follows = |graph: &Graph| at(graph, node) == at(graph, Graph::PICTURE);
        match follows(self.graph) && others.iter().all(follows) {
            true => Dim::Free(word.into()),
            false => Dim::Free(format!("{name}.{word}")),
        }
    }
}
