//! From a plan to a program: each of the plan's steps becomes one of ours, or none.

use std::borrow::Cow;

use zoo_kernels::{Activation, conv::Conv2d, nhwc, pool::Pool2d};
use zoo_layers::{Graph, Layer, Node, Op, Plan, Shape, Source, Step as Planned, ValueId};

use crate::{
    Error, Options, Result, Weights,
    memory::{CellId, Cells},
    step::{OnPlanes, PlaneArg, Step, Work},
};

mod bands;
mod params;

use params::{Params, Unpacked};

/// What a plan becomes.
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) cells: Cells,
    /// The cell of the picture, and those of the results with their shapes.
    pub(crate) picture: CellId,
    pub(crate) results: Vec<(Home, Shape)>,
}

/// Where a value lies: pixel by pixel, plane by plane, or both.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    /// The map it is, or is read from as a vector.
    pub(crate) shape: [usize; 4],
    pub(crate) pixels: Option<CellId>,
    pub(crate) planes: Option<CellId>,
}

/// A step that is not placed yet.
struct Draft {
    node: String,
    macs: u64,
    work: Work<CellId>,
}

struct Compiler<'a, W: ?Sized> {
    graph: &'a Graph,
    plan: &'a Plan,
    params: Params<'a, W>,
    options: Options,
    batch: usize,
    cells: Cells,
    drafts: Vec<Draft>,
    unpacked: Vec<Unpacked>,
    homes: Vec<Option<Home>>,
    picture: CellId,
}

pub(crate) fn compile<W: Weights + ?Sized>(
    graph: &Graph,
    plan: &Plan,
    weights: &W,
    batch: usize,
    options: Options,
) -> Result<Program> {
    let homes = vec![None; plan.values()];
    let (cells, drafts, unpacked) = (Cells::default(), Vec::new(), Vec::new());
    let params = Params { graph, weights };
    let mut compiler =
        Compiler { graph, plan, params, options, batch, cells, drafts, unpacked, homes, picture: 0 };
    for source in plan.sources() {
        let shape = compiler.dims(*source);
        let cell = compiler.cells.add(shape, false, 0);
        compiler.picture = cell;
        compiler.homes[*source] = Some(Home { shape, pixels: Some(cell), planes: None });
    }
    for step in plan.steps() {
        compiler.step(step)?;
        compiler.count(step);
    }
    compiler.finish()
}

/// What only a fault of the plan's can bring about.
fn broken(layer: &Layer, reason: &str) -> Error {
    Error::Layer { node: layer.name.clone(), reason: format!("its plan is broken: {reason}") }
}

/// What follows a step's first operation.
struct Tail<'a> {
    norm: Option<(Node, f64)>,
    addend: Option<&'a Source>,
    activation: Option<zoo_layers::Activation>,
}

/// The values that a step reads.
fn inputs(step: &Planned) -> Vec<ValueId> {
    let values = step.args().iter().filter_map(|arg| match arg {
        Source::Value(value) => Some(*value),
        Source::Param(..) => None,
    });
    values.collect()
}

impl<W: Weights + ?Sized> Compiler<'_, W> {
    fn dims(&self, value: ValueId) -> [usize; 4] {
        match self.plan.shape(value) {
            Shape::Map { channels, height, width } => [self.batch, channels, height, width],
            Shape::Vector { features } => [self.batch, features, 1, 1],
        }
    }

    /// The moment of the step that is being made.
    fn now(&self) -> usize {
        self.drafts.len() + 1
    }

    fn step(&mut self, step: &Planned) -> Result<()> {
        let graph = self.graph;
        let node = step.nodes()[0];
        let layer = graph.get(node);
        let first = self.first(step, layer)?;
        if step.is_view() {
            self.homes[step.out()] = self.homes[first];
            return Ok(());
        }
        let tail = Self::tail(graph, step)?;
        match &layer.op {
            Op::Conv2d(conv) => {
                let spec = conv.spec(self.home(first, layer)?.shape);
                self.conv(step, layer, &spec, tail)
            }
            Op::Linear(linear) => {
                let [_, c, h, w] = self.home(first, layer)?.shape;
                let spec = Conv2d { kernel_size: [h, w], ..Conv2d::new(c, linear.out_features, 1) };
                self.conv(step, layer, &spec, tail)
            }
            Op::MaxPool2d(pool) => {
                let spec = pool.spec(self.home(first, layer)?.shape);
                self.pool(step, layer, spec, true)
            }
            Op::AvgPool2d(pool) => {
                let spec = pool.spec(self.home(first, layer)?.shape);
                self.pool(step, layer, spec, false)
            }
            Op::Subsample(subsample) => {
                let spec = Pool2d { stride: subsample.stride, ..Pool2d::new(1, 1) };
                self.pool(step, layer, spec, true)
            }
            Op::AdaptiveAvgPool2d(_) => {
                let input = self.pixels(first, layer)?;
                let out = self.fresh(step);
                self.push(layer, Work::Average { input, out });
                Ok(())
            }
            Op::Concat(_) => self.concat(step, layer),
            Op::BatchNorm2d(norm) => {
                let affine = Some(self.params.fold(node, norm.eps, None)?);
                self.pointwise(step, layer, affine, None, tail)
            }
            Op::ChannelAffine(_) => {
                let affine = Some((
                    self.params.param(node, 0)?.into_owned(),
                    self.params.param(node, 1)?.into_owned(),
                ));
                self.pointwise(step, layer, affine, None, tail)
            }
            Op::ChannelScaleShift(given) => {
                let single = |values: &[f64]| values.iter().map(|value| *value as f32).collect();
                let affine = Some((single(&given.scale), single(&given.shift)));
                self.pointwise(step, layer, affine, None, tail)
            }
            Op::ScaleChannels(_) => {
                let Some(Source::Value(scales)) = step.args().get(1).copied() else {
                    return Err(broken(layer, "it has no scales"));
                };
                self.pointwise(step, layer, None, Some(scales), tail)
            }
            Op::Activation(activation) if activation.in_kernels().is_some() => {
                let tail = Tail { activation: Some(*activation), ..tail };
                self.pointwise(step, layer, None, None, tail)
            }
            Op::Add(_) => self.add(step, layer, tail),
            _ => self.on_planes(step, layer),
        }
    }

    fn tail<'s>(graph: &Graph, step: &'s Planned) -> Result<Tail<'s>> {
        let mut tail = Tail { norm: None, addend: None, activation: None };
        for node in &step.nodes()[1..] {
            match &graph.get(*node).op {
                Op::BatchNorm2d(norm) => tail.norm = Some((*node, norm.eps)),
                Op::Add(_) => tail.addend = step.args().last(),
                Op::Activation(activation) => tail.activation = Some(*activation),
                _ => return Err(broken(graph.get(*node), "nothing takes it as what follows a product")),
            }
        }
        Ok(tail)
    }

    /// The value of a step's first input.
    fn first(&self, step: &Planned, layer: &Layer) -> Result<ValueId> {
        match step.args().first() {
            Some(Source::Value(first)) => Ok(*first),
            _ => Err(broken(layer, "it reads nothing")),
        }
    }

    /// Writes a step's multiply-accumulates for one picture of this size, by the operation's own rule, to what computes
    /// them.
    fn count(&mut self, step: &Planned) {
        let layer = self.graph.get(step.nodes()[0]);
        let inputs: Vec<Shape> =
            inputs(step).into_iter().take(layer.inputs.len()).map(|value| self.plan.shape(value)).collect();
        let macs = layer.op.operation().macs(&inputs, &self.plan.shape(step.out()));
        let computes = |draft: &&mut Draft| {
            draft.node == layer.name && matches!(draft.work, Work::Conv { .. } | Work::Planes(_))
        };
        if let Some(draft) = self.drafts.iter_mut().rev().find(computes) {
            draft.macs = macs;
        }
    }

    fn home(&self, value: ValueId, layer: &Layer) -> Result<Home> {
        self.homes[value].ok_or_else(|| broken(layer, "a value is read before it is there"))
    }

    /// The cell of a value, pixel by pixel.
    fn pixels(&mut self, value: ValueId, layer: &Layer) -> Result<CellId> {
        let home = self.home(value, layer)?;
        if let Some(cell) = home.pixels {
            return Ok(cell);
        }
        let Some(planes) = home.planes else { return Err(broken(layer, "a value lies nowhere")) };
        let cell = self.cells.add(home.shape, false, self.now());
        self.push(layer, Work::FromPlanes { input: planes, out: cell });
        self.homes[value] = Some(Home { pixels: Some(cell), ..home });
        Ok(cell)
    }

    /// The cells of values that are added, which must have one shape: a map that is read as a vector becomes one.
    fn alike(&mut self, values: &[ValueId], layer: &Layer) -> Result<Vec<CellId>> {
        let shapes =
            values.iter().map(|value| Ok(self.home(*value, layer)?.shape)).collect::<Result<Vec<_>>>()?;
        let is_one = shapes.windows(2).all(|two| two[0] == two[1]);
        let cell =
            |value: &ValueId| if is_one { self.pixels(*value, layer) } else { self.as_is(*value, layer) };
        values.iter().map(cell).collect()
    }

    /// The cell of a value in its own shape: a vector, even where it lies as the map that it was.
    fn as_is(&mut self, value: ValueId, layer: &Layer) -> Result<CellId> {
        let (dims, home) = (self.dims(value), self.home(value, layer)?);
        if home.shape == dims {
            return self.pixels(value, layer);
        }
        let planes = self.planes(value, layer)?;
        let cell = self.cells.add(dims, false, self.now());
        self.push(layer, Work::FromPlanes { input: planes, out: cell });
        self.homes[value] = Some(Home { shape: dims, pixels: Some(cell), planes: Some(planes) });
        Ok(cell)
    }

    /// The cell of a value, plane by plane.
    fn planes(&mut self, value: ValueId, layer: &Layer) -> Result<CellId> {
        let home = self.home(value, layer)?;
        if let Some(cell) = home.planes {
            return Ok(cell);
        }
        let Some(pixels) = home.pixels else { return Err(broken(layer, "a value lies nowhere")) };
        let cell = self.cells.add(home.shape, true, self.now());
        self.push(layer, Work::ToPlanes { input: pixels, out: cell });
        self.homes[value] = Some(Home { planes: Some(cell), ..home });
        Ok(cell)
    }

    /// A new cell for a step's result.
    fn fresh(&mut self, step: &Planned) -> CellId {
        let shape = self.dims(step.out());
        self.fresh_of(step, shape)
    }

    fn fresh_of(&mut self, step: &Planned, shape: [usize; 4]) -> CellId {
        let cell = self.cells.add(shape, false, self.now());
        self.homes[step.out()] = Some(Home { shape, pixels: Some(cell), planes: None });
        cell
    }

    /// The first argument's cell if the result goes over it, else a new one. The plan takes a concatenation for a copy: here
    /// its parts lie inside of it, and whoever reads one later must not find the other written over.
    fn over(&mut self, step: &Planned, input: CellId, shape: [usize; 4]) -> CellId {
        if !step.is_in_place() || self.cells.is_shared(input) {
            return self.fresh_of(step, shape);
        }
        self.homes[step.out()] = Some(Home { shape, pixels: Some(input), planes: None });
        input
    }

    /// Adds a step, and marks what it uses.
    fn push(&mut self, layer: &Layer, work: Work<CellId>) {
        let now = self.now();
        for cell in work.cells() {
            self.cells.used(cell, now);
        }
        self.drafts.push(Draft { node: layer.name.clone(), macs: 0, work });
    }

    fn conv(&mut self, step: &Planned, layer: &Layer, spec: &Conv2d, tail: Tail<'_>) -> Result<()> {
        let node = step.nodes()[0];
        let first = self.first(step, layer)?;
        let input = self.pixels(first, layer)?;
        let shape = self.home(first, layer)?.shape;
        let residual = match tail.addend {
            Some(Source::Value(value)) => Some(self.as_is(*value, layer)?),
            _ => None,
        };
        let kernel = |source| Error::Kernel { node: layer.name.clone(), source };
        let method = nhwc::Conv::choose(spec, shape, self.options.exact).map_err(kernel)?;
        let bias = if layer.params.len() > 1 { Some(self.params.param(node, 1)?) } else { None };
        let (scale, shift) = match tail.norm {
            Some((norm, eps)) => {
                let (scale, shift) = self.params.fold(norm, eps, bias.as_deref())?;
                (Some(scale), Some(Cow::Owned(shift)))
            }
            None => (None, bias),
        };
        let fold = nhwc::Fold { scale: None, shift: shift.as_deref() };
        let conv = nhwc::Conv::empty(spec, shape, fold, method).map_err(kernel)?;
        self.unpacked.push(Unpacked { draft: self.drafts.len(), node, scale });
        if input == self.picture && spec.in_channels <= 4 && method.is_direct() {
            // With zeros around the picture the rows of a first kernel are one piece each.
            let (halo, p) = (&mut self.cells.cells[input].halo, spec.padding);
            halo.top = halo.top.max(p.top);
            halo.bottom = halo.bottom.max(p.bottom);
            halo.left = halo.left.max(p.left);
            halo.right = halo.right.max(p.right);
        }
        let out = self.fresh(step);
        let (activation, late) = self.split(layer, tail.activation)?;
        self.push(layer, Work::Conv { conv: Box::new(conv), input, out, residual, activation });
        if late != Activation::Identity {
            let (affine, factor, addend) = (None, None, None);
            self.push(layer, Work::Pointwise { affine, factor, addend, activation: late, input: out, out });
        }
        Ok(())
    }

    /// An activation as what stands in every tile and what comes behind.
    fn split(
        &self,
        layer: &Layer,
        activation: Option<zoo_layers::Activation>,
    ) -> Result<(Activation, Activation)> {
        let Some(activation) = activation else { return Ok((Activation::Identity, Activation::Identity)) };
        match activation.in_kernels() {
            Some(late @ (Activation::Sigmoid | Activation::Tanh)) => Ok((Activation::Identity, late)),
            Some(activation) => Ok((activation, Activation::Identity)),
            None => Err(broken(layer, "it has an activation that kernels lack")),
        }
    }

    fn pool(&mut self, step: &Planned, layer: &Layer, pool: Pool2d, is_max: bool) -> Result<()> {
        let first = self.first(step, layer)?;
        let input = self.pixels(first, layer)?;
        let out = self.fresh(step);
        self.push(layer, Work::Pool { pool, is_max, input, out });
        Ok(())
    }

    fn pointwise(
        &mut self,
        step: &Planned,
        layer: &Layer,
        affine: Option<(Vec<f32>, Vec<f32>)>,
        factor: Option<ValueId>,
        tail: Tail<'_>,
    ) -> Result<()> {
        let first = self.first(step, layer)?;
        let (input, addend) = match tail.addend {
            Some(Source::Value(value)) => match self.alike(&[first, *value], layer)?[..] {
                [input, addend] => (input, Some(addend)),
                _ => return Err(broken(layer, "a sum has two parts")),
            },
            _ => (self.pixels(first, layer)?, None),
        };
        let factor = factor.map(|value| self.pixels(value, layer)).transpose()?;
        let activation = match tail.activation.map(zoo_layers::Activation::in_kernels) {
            None => Activation::Identity,
            Some(Some(activation)) => activation,
            Some(None) => return Err(broken(layer, "it has an activation that kernels lack")),
        };
        let shape = self.home(first, layer)?.shape;
        let out = self.over(step, input, shape);
        self.push(layer, Work::Pointwise { affine, factor, addend, activation, input, out });
        Ok(())
    }

    /// A sum of several maps: one after the other, the activation behind the last.
    fn add(&mut self, step: &Planned, layer: &Layer, tail: Tail<'_>) -> Result<()> {
        let values = inputs(step);
        let cells = self.alike(&values, layer)?;
        let activation = tail.activation.and_then(zoo_layers::Activation::in_kernels);
        let activation = activation.unwrap_or(Activation::Identity);
        let shape = self.home(values[0], layer)?.shape;
        let out = self.over(step, cells[0], shape);
        let mut input = cells[0];
        for (i, addend) in cells.iter().enumerate().skip(1) {
            let activation = if i + 1 == cells.len() { activation } else { Activation::Identity };
            let (affine, factor, addend) = (None, None, Some(*addend));
            self.push(layer, Work::Pointwise { affine, factor, addend, activation, input, out });
            input = out;
        }
        if cells.len() == 1 {
            let (affine, factor, addend) = (None, None, None);
            self.push(layer, Work::Pointwise { affine, factor, addend, activation, input, out });
        }
        Ok(())
    }

    /// A concatenation: its parts are computed where they belong, or copied there.
    fn concat(&mut self, step: &Planned, layer: &Layer) -> Result<()> {
        let values = inputs(step);
        let is_map = matches!(self.plan.shape(step.out()), Shape::Map { .. });
        for value in &values {
            // A map that is read as a vector has its numbers in another order than the vector.
            let [_, _, h, w] = self.home(*value, layer)?.shape;
            if !is_map && h * w > 1 {
                return self.on_planes(step, layer);
            }
        }
        let parts = values.iter().map(|value| self.pixels(*value, layer)).collect::<Result<Vec<_>>>()?;
        let out = self.fresh(step);
        let mut channel = 0;
        for (i, part) in parts.iter().enumerate() {
            let cell = &self.cells.cells[*part];
            let channels = cell.shape[1];
            let is_own = cell.inside.is_none() && *part != self.picture && !parts[..i].contains(part);
            if is_own {
                self.cells.cells[*part].inside = Some((out, channel));
                let now = self.now();
                self.cells.used(*part, now);
            } else {
                let shape = cell.shape;
                let copy = self.cells.add(shape, false, self.now());
                self.cells.cells[copy].inside = Some((out, channel));
                let (affine, factor, addend, activation) = (None, None, None, Activation::Identity);
                self.push(
                    layer,
                    Work::Pointwise { affine, factor, addend, activation, input: *part, out: copy },
                );
            }
            channel += channels;
        }
        Ok(())
    }

    /// An operation that has no kernel on pixels.
    fn on_planes(&mut self, step: &Planned, layer: &Layer) -> Result<()> {
        let mut args = Vec::new();
        for arg in step.args() {
            args.push(match *arg {
                Source::Value(value) => {
                    let (plane, is_map) =
                        (self.planes(value, layer)?, matches!(self.plan.shape(value), Shape::Map { .. }));
                    PlaneArg::Value { plane, shape: self.dims(value), is_map }
                }
                Source::Param(node, place) => PlaneArg::Param {
                    values: self.params.param(node, place)?.into_owned(),
                    shape: self.graph.get(node).params[place].shape.clone(),
                },
            });
        }
        let shape = self.dims(step.out());
        let out = self.cells.add(shape, true, self.now());
        let is_map = matches!(self.plan.shape(step.out()), Shape::Map { .. });
        let (op, kernel) = (layer.op.clone(), step.kernel().cloned());
        self.push(layer, Work::Planes(Box::new(OnPlanes { op, kernel, args, shape, is_map, out })));
        self.homes[step.out()] = Some(Home { shape, pixels: None, planes: Some(out) });
        Ok(())
    }

    fn finish(mut self) -> Result<Program> {
        let end = self.drafts.len() + 1;
        let mut results = Vec::new();
        for target in self.plan.targets() {
            let home = self.home(*target, &self.graph.layers()[0])?;
            if let Some(cell) = home.planes.or(home.pixels) {
                self.cells.used(cell, end);
            }
            results.push((home, self.plan.shape(*target)));
        }
        self.params.pack(&mut self.drafts, &self.unpacked)?;
        let results_in: Vec<CellId> = results.iter().filter_map(|(home, _)| home.pixels).collect();
        let drafts = bands::fuse(self.drafts, &mut self.cells, &results_in)?;
        self.cells.place();
        let cells = self.cells;
        let steps = drafts.into_iter();
        let steps =
            steps.map(|Draft { node, macs, work }| Step { node, macs, work: work.placed(&cells) }).collect();
        Ok(Program { steps, cells, picture: self.picture, results })
    }
}
