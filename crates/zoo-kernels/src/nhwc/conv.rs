//! Convolutions with packed weights, and how each is computed.

#![expect(unsafe_code, reason = "bands are computed in memory of their own")]

use std::iter;
use std::ops::Range;

use super::depthwise::Depthwise;
use super::direct::{Direct, Sums};
use super::forms::{self, Form};
use super::map::Map;
use super::winograd::Winograd;
use crate::activation::Activation;
use crate::conv::Conv2d;
use crate::error::{KernelError, Result, Shape, check_len};
use crate::isa::Isa;
use crate::par::Shared;

pub(super) const OP: &str = "conv2d";

/// How a convolution is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// All products, pixels by output channels.
    Direct,
    /// The same in short sums, which are added up apart: rounding errors are a half to a third as large.
    Exact,
    /// Winograd's F(4x4, 3x3): 36 products for each sixteen outputs instead of 144.
    Winograd4,
    /// Winograd's F(2x2, 3x3): 16 products for each four outputs instead of 36.
    Winograd2,
    /// One channel to one channel, without a matrix product.
    Depthwise,
}

impl Method {
    fn of(form: Form) -> Self {
        match form {
            Form::Two => Self::Winograd2,
            Form::Four => Self::Winograd4,
        }
    }

    /// Whether all products are computed as they are written.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Direct | Self::Exact)
    }

    /// Its name in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Exact => "direct, short sums",
            Self::Winograd4 => "winograd 4x4",
            Self::Winograd2 => "winograd 2x2",
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

    fn check(&self, spec: &Conv2d) -> Result<()> {
        for (what, values) in [("scale", self.scale), ("shift", self.shift)] {
            if let Some(values) = values {
                check_len(OP, what, values.len(), &[spec.out_channels])?;
            }
        }
        Ok(())
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
    /// The fastest method for an input of this shape, by a model of measured costs; if `exact`, the one with the smallest
    /// rounding errors. It is the same for any number of pictures and threads.
    ///
    /// # Errors
    /// A shape that the convolution can't take.
    pub fn choose(spec: &Conv2d, input: Shape, exact: bool) -> Result<Method> {
        let output = spec.output_shape(input)?;
        let is_depthwise = spec.is_depthwise() && spec.in_channels > 1;
        if is_depthwise {
            return Ok(Method::Depthwise);
        }
        if exact {
            return Ok(Method::Exact);
        }
        Ok(forms::pays(spec, output, Isa::current()).map_or(Method::Direct, Method::of))
    }

    /// Packs `weight` `(out_channels, in_channels / groups, kernel_height, kernel_width)` with what is folded into it.
    ///
    /// # Errors
    /// A shape that the convolution can't take, slices of another length, a method that can't compute it.
    pub fn new(spec: &Conv2d, input: Shape, weight: &[f32], fold: Fold<'_>, method: Method) -> Result<Self> {
        spec.output_shape(input)?;
        crate::error::check_len(OP, "weight", weight.len(), &spec.weight_shape())?;
        let mut conv = Self::empty(spec, input, fold, method)?;
        conv.pack(0..spec.out_channels, weight, fold)?;
        Ok(conv)
    }

    /// The same with weights of zero, for [`Conv::pack`] to fill in part by part, so that large ones need not be in
    /// memory twice.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn empty(spec: &Conv2d, input: Shape, fold: Fold<'_>, method: Method) -> Result<Self> {
        let output = spec.output_shape(input)?;
        fold.check(spec)?;
        let isa = Isa::current();
        let packed = match method {
            Method::Direct => Packed::Direct(Direct::new(spec, fold, isa, Sums::Long)),
            Method::Exact => Packed::Direct(Direct::new(spec, fold, isa, Sums::Short)),
            Method::Winograd4 if forms::fits(spec) => {
                Packed::Winograd(Winograd::new(spec, Form::Four, fold, isa))
            }
            Method::Winograd2 if forms::fits(spec) => {
                Packed::Winograd(Winograd::new(spec, Form::Two, fold, isa))
            }
            Method::Depthwise if spec.is_depthwise() => Packed::Depthwise(Depthwise::new(spec, fold, isa)),
            Method::Winograd4 | Method::Winograd2 | Method::Depthwise => {
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

    /// The output channels in parts that can be packed one after the other, of about `numbers` weights each.
    pub fn parts(&self, numbers: usize) -> Vec<Range<usize>> {
        let [_, depth, kh, kw] = self.spec.weight_shape();
        let most = (numbers / (depth * kh * kw).max(1)).max(1);
        let panels: Vec<Range<usize>> = match &self.packed {
            Packed::Direct(direct) => direct.panels().collect(),
            Packed::Winograd(winograd) => winograd.panels().collect(),
            Packed::Depthwise(_) => iter::once(0..self.spec.out_channels).collect(),
        };
        let mut parts: Vec<Range<usize>> = Vec::new();
        for panel in panels {
            match parts.last_mut() {
                Some(part) if panel.end - part.start <= most => part.end = panel.end,
                _ => parts.push(panel),
            }
        }
        parts
    }

    /// Packs the weights of some output channels, one or several of the [`parts`](Conv::parts), with the scale that is
    /// folded into them.
    ///
    /// # Errors
    /// Slices of another length; channels that are not whole parts.
    pub fn pack(&mut self, channels: Range<usize>, weight: &[f32], fold: Fold<'_>) -> Result<()> {
        let [_, depth, kh, kw] = self.spec.weight_shape();
        check_len(OP, "weight", weight.len(), &[channels.len(), depth, kh, kw])?;
        fold.check(&self.spec)?;
        let parts = self.parts(0);
        let begins = parts.iter().any(|part| part.start == channels.start);
        let ends = parts.iter().any(|part| part.end == channels.end);
        if !begins || !ends {
            return Err(KernelError::Value {
                op: OP,
                what: "channels",
                value: format!("{channels:?}"),
                must: "one or several of `Conv::parts`",
            });
        }
        match &mut self.packed {
            Packed::Direct(direct) => direct.pack(&channels, weight, fold),
            Packed::Winograd(winograd) => winograd.pack(&channels, weight, fold),
            Packed::Depthwise(depthwise) => depthwise.pack(&channels, weight, fold),
        }
        Ok(())
    }

    /// How it is computed.
    pub fn method(&self) -> Method {
        match &self.packed {
            Packed::Direct(direct) => match direct.sums() {
                Sums::Long => Method::Direct,
                Sums::Short => Method::Exact,
            },
            Packed::Winograd(winograd) => Method::of(winograd.form()),
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

    /// A direct convolution on this thread alone, from a map in one memory to one in another, with the residual in a third.
    ///
    /// # Safety
    /// The maps have the right shapes and lie in their memories; nobody else writes what is read or uses what is written.
    pub(super) unsafe fn run_alone(&self, memories: [Shared<f32>; 3], input: &Map, out: &Map, tail: Tail) {
        if let Packed::Direct(direct) = &self.packed {
            // SAFETY: the caller's promise.
            unsafe { direct.run_alone(memories, input, out, tail) };
        }
    }

    /// Some rows of a depthwise convolution, likewise.
    ///
    /// # Safety
    /// As [`Conv::run_alone`]; of the maps only the rows that are read and written need be in memory.
    pub(super) unsafe fn run_rows(
        &self,
        memories: [Shared<f32>; 2],
        input: &Map,
        out: &Map,
        rows: Range<usize>,
        activation: Activation,
    ) {
        if let Packed::Depthwise(depthwise) = &self.packed {
            // SAFETY: the caller's promise.
            unsafe { depthwise.run_alone(memories, input, out, rows, activation) };
        }
    }

    /// The input's shape that it was packed for.
    pub fn input(&self) -> Shape {
        self.input
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
