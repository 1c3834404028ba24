//! How a layer of one's own is written in ONNX: in words that name no file format, so that whoever describes a network
//! needs nothing else for it.

use std::borrow::Cow;

use crate::Shape;

/// Where an operation stands that is to be written in ONNX.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The shapes of its inputs; only nominal ones if [`Site::free_size`].
    pub inputs: &'a [Shape],
    /// The shape of its output, likewise.
    pub output: Shape,
    /// Whether the file is to take pictures of any height and width.
    pub free_size: bool,
    /// The batch, where it is settled.
    pub batch: Option<usize>,
}

/// An operation as nodes of ONNX (opset 17), in execution order. The last one yields the operation's output.
///
/// ```
/// use zoo_layers::onnx::{Arg, Attribute, Form};
///
/// // 1.7159 tanh(2x/3)
/// let mut form = Form::new();
/// let x = form.call("Mul", [Arg::Input(0), Arg::number(2.0 / 3.0)]);
/// let x = form.call("Tanh", [x]);
/// form.call("Mul", [x, Arg::number(1.7159)]);
/// // An attribute belongs to the call before it.
/// let mut softmax = Form::new();
/// softmax.call("Softmax", [Arg::Input(0)]);
/// softmax.with("axis", Attribute::Int(1));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Form {
    /// Its nodes.
    pub calls: Vec<Call>,
}

/// One node of ONNX.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// ONNX's name for it: `Conv`.
    pub kind: Cow<'static, str>,
    /// Whose name that is; empty for ONNX's own.
    pub domain: Cow<'static, str>,
    /// What it reads.
    pub args: Vec<Arg>,
    /// Its options.
    pub attributes: Vec<(Cow<'static, str>, Attribute)>,
}

/// What a node reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    /// An input of the operation, by its place.
    Input(usize),
    /// A parameter of the operation, by its place.
    Param(usize),
    /// What an earlier call of the form yields, by its place.
    Result(usize),
    /// Numbers that never change, row by row.
    Floats {
        /// Dimensions; none for a single number.
        dims: Vec<usize>,
        /// As many as the dimensions say.
        values: Vec<f32>,
    },
    /// A list of whole numbers that never change.
    Ints(Vec<i64>),
    /// Left out.
    Absent,
}

impl Arg {
    /// A single number.
    pub fn number(value: f32) -> Self {
        Self::Floats { dims: Vec::new(), values: vec![value] }
    }
}

/// An option of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f32),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A word.
    Text(Cow<'static, str>),
}

impl Form {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a node of ONNX's own; gives what it yields.
    pub fn call(&mut self, kind: impl Into<Cow<'static, str>>, args: impl Into<Vec<Arg>>) -> Arg {
        self.calls.push(Call {
            kind: kind.into(),
            domain: Cow::Borrowed(""),
            args: args.into(),
            attributes: Vec::new(),
        });
        Arg::Result(self.calls.len() - 1)
    }

    /// Gives the last node an option.
    pub fn with(&mut self, name: impl Into<Cow<'static, str>>, value: Attribute) -> &mut Self {
        if let Some(call) = self.calls.last_mut() {
            call.attributes.push((name.into(), value));
        }
        self
    }

    /// Says whose name the last node has, where it isn't ONNX's own.
    pub fn of(&mut self, domain: impl Into<Cow<'static, str>>) -> &mut Self {
        if let Some(call) = self.calls.last_mut() {
            call.domain = domain.into();
        }
        self
    }
}
