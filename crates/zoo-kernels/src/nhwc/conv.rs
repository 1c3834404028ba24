//! Convolutions with packed weights, and how each is computed.

use super::depthwise::Depthwise;
use super::direct::Direct;
use super::map::Map;
use super::winograd::{self, Winograd};
use crate::activation::Activation;
use crate::conv::Conv2d;
use crate::error::{KernelError, Result, Shape, check_len};
use crate::isa::Isa;

pub(super) const OP: &str = "conv2d";

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// All products, pixels by output channels.
    Direct,
    /// Winograd's F(4x4, 3x3): 36 products for each sixteen outputs instead of 144.
    Winograd,
    /// One channel to one channel, without a matrix product.
    Depthwise,
}

impl Method {
    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Winograd => "winograd 4x4",
            Self::Depthwise => "depthwise",
        }
    }
}

/// What is multiplied into weights and added to sums when they are packed: a norm by running statistics, a bias.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fold<'a> {
    /// One factor for each output channel.
    pub scale: Option<&'a [f32]>,
    /// One summand for each output channel.
    pub shift: Option<&'a [f32]>,
}

impl Fold<'_> {
    pub(super) fn scale(&self, channel: usize) -> f32 {
        self.scale.map_or(1.0, |scale| scale[channel])
    }

    pub(super) fn shift(&self, channel: usize) -> f32 {
        self.shift.map_or(0.0, |shift| shift[channel])
    }
}

/// What follows a convolution's sums before they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// A map of the output's shape that is added.
    pub residual: Option<Map>,
    /// Identity, ReLU or ReLU6; others are too long to stand in every tile, and are refused.
    pub activation: Activation,
}

/// A convolution with its weights packed for inputs of one shape.
#[derive(Debug)]
pub struct Conv {
    spec: Conv2d,
    input: Shape,
    output: Shape,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    Direct(Direct),
    Winograd(Winograd),
    Depthwise(Depthwise),
}

impl Conv {
    /// The fastest method for an input of this shape, by a model of measured costs; without Winograd's, whose rounding
    /// errors are a few times larger, if `exact`.
    ///
    /// # Errors
    /// A shape that the convolution can't take.
    pub fn choose(spec: &Conv2d, input: Shape, exact: bool) -> Result<Method> {
        let output = spec.output_shape(input)?;
        let is_depthwise = spec.is_depthwise() && spec.in_channels > 1;
        Ok(match is_depthwise {
            true => Method::Depthwise,
            false if !exact && winograd::pays(spec, output, Isa::current()) => Method::Winograd,
            false => Method::Direct,
        })
    }

    /// Packs `weight` `(out_channels, in_channels / groups, kernel_height, kernel_width)` with what is folded into it.
    ///
    /// # Errors
    /// A shape that the convolution can't take, slices of another length, a method that can't compute it.
    pub fn new(spec: &Conv2d, input: Shape, weight: &[f32], fold: Fold<'_>, method: Method) -> Result<Self> {
        let output = spec.output_shape(input)?;
        check_len(OP, "weight", weight.len(), &spec.weight_shape())?;
        for (what, values) in [("scale", fold.scale), ("shift", fold.shift)] {
            if let Some(values) = values {
                check_len(OP, what, values.len(), &[spec.out_channels])?;
            }
        }
        let isa = Isa::current();
        let packed = match method {
            Method::Direct => Packed::Direct(Direct::new(spec, weight, fold, isa)),
            Method::Winograd if winograd::fits(spec) => {
                Packed::Winograd(Winograd::new(spec, weight, fold, isa))
            }
            Method::Depthwise if spec.is_depthwise() => {
                Packed::Depthwise(Depthwise::new(spec, weight, fold, isa))
            }
            Method::Winograd | Method::Depthwise => {
                return Err(KernelError::Value {
                    op: OP,
                    what: "method",
                    value: format!("{} for {spec:?}", method.name()),
                    must: "one that can compute it: `Conv::choose` gives it",
                });
            }
        };
        Ok(Self { spec: *spec, input, output, packed })
    }

    /// How it is computed.
    pub fn method(&self) -> Method {
        match self.packed {
            Packed::Direct(_) => Method::Direct,
            Packed::Winograd(_) => Method::Winograd,
            Packed::Depthwise(_) => Method::Depthwise,
        }
    }

    /// The output's shape.
    pub fn output(&self) -> Shape {
        self.output
    }

    /// The numbers that packed weights and biases take.
    pub fn packed_len(&self) -> usize {
        match &self.packed {
            Packed::Direct(direct) => direct.len(),
            Packed::Winograd(winograd) => winograd.len(),
            Packed::Depthwise(depthwise) => depthwise.len(),
        }
    }

    /// About how many numbers a thread works in beside the arena.
    pub fn working(&self) -> usize {
        match &self.packed {
            Packed::Winograd(winograd) => winograd.working(self.output),
            Packed::Direct(_) | Packed::Depthwise(_) => 0,
        }
    }

    /// Computes `out` from `input`, both in `arena`, for any number of pictures. The residual may lie where the output
    /// does.
    ///
    /// # Errors
    /// Maps of other shapes, outside of the arena or over each other; an activation that isn't done here.
    pub fn run(&self, arena: &mut [f32], input: Map, out: Map, tail: Tail) -> Result<()> {
        check_shape("input", input.shape, of_batch(self.input, out.shape[0]))?;
        check_shape("output", out.shape, of_batch(self.output, input.shape[0]))?;
        input.check(OP, arena.len())?;
        out.check(OP, arena.len())?;
        out.check_apart(OP, &input)?;
        if let Some(residual) = tail.residual {
            check_shape("residual", residual.shape, out.shape)?;
            residual.check(OP, arena.len())?;
            if !residual.is_same(&out) {
                out.check_apart(OP, &residual)?;
            }
        }
        if matches!(tail.activation, Activation::Sigmoid | Activation::Tanh) {
            return Err(KernelError::Value {
                op: OP,
                what: "activation",
                value: format!("{:?}", tail.activation),
                must: "identity, ReLU or ReLU6: do the others behind it",
            });
        }
        match &self.packed {
            Packed::Direct(direct) => direct.run(arena, &input, &out, tail),
            Packed::Winograd(winograd) => winograd.run(arena, &input, &out, tail),
            Packed::Depthwise(depthwise) => depthwise.run(arena, &input, &out, tail),
        }
        Ok(())
    }

    /// What is computed.
    pub fn spec(&self) -> &Conv2d {
        &self.spec
    }
}

fn of_batch([_, c, h, w]: Shape, n: usize) -> Shape {
    [n, c, h, w]
}

/// Refuses a map of another shape than was compiled for.
pub(super) fn check_shape(what: &'static str, got: Shape, want: Shape) -> Result<()> {
    match got == want {
        true => Ok(()),
        false => Err(KernelError::Value {
            op: OP,
            what,
            value: format!("{got:?} where {want:?} was packed for"),
            must: "of the shape that it was packed for",
        }),
    }
}
