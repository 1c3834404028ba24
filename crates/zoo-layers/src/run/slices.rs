//! A plan run on slices, without candle's tape: the way forward.

use std::{collections::HashMap, sync::Arc};

use candle_core::{Device, Tensor, Var};

use super::memory::{Memory, Shelved, fresh, spoil};
use crate::{
    Call, Error, Net, Node, Op, Plan, Result, Shape,
    kernel::{Arg, Forward},
    plan::{How, Place, Source, Step, ValueId},
    rng::Stream,
    tape::{refused, values},
};

/// A run of a plan: what it was given, what it computes into.
#[derive(Debug)]
pub(crate) struct Run<T: Shelved> {
    pub(super) plan: Arc<Plan>,
    pub(super) batch: usize,
    pub(super) random: Stream,
    pub(super) memory: Option<Memory<T>>,
    /// What the caller gave: the sources, then, on the way back, the targets' gradients where there are any.
    pub(super) given: Vec<Option<Tensor>>,
    /// The results: in the making, then as tensors.
    making: HashMap<usize, Vec<T>>,
    pub(super) handed: HashMap<usize, Tensor>,
    /// Steps that ran by candle's operations and have a way back.
    pub(super) composed: HashMap<usize, Composed>,
    /// The numbers that it took from the system or the network's memory.
    pub(super) taken: usize,
}

/// A step by candle's operations, on a tape of its own.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(super) inputs: Vec<Tensor>,
    pub(super) out: Tensor,
}

impl<T: Shelved> Run<T> {
    /// Runs the way forward.
    pub(crate) fn forward(net: &Net, plan: Arc<Plan>, given: &[Tensor], random: Stream) -> Result<Self> {
        let given = given.iter().map(|tensor| Ok(Some(tensor.detach().contiguous()?)));
        let given = given.collect::<Result<Vec<_>>>()?;
        let batch = given.iter().flatten().next().map_or(Ok(1), |tensor| tensor.dim(0))?;
        let memory = Some(net.pool().memory(&plan));
        let (making, handed, composed) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut run = Self { plan, batch, random, memory, given, making, handed, composed, taken: 0 };
        for index in 0..run.plan.steps.len() {
            let node = run.plan.steps[index].node();
            run.step(net, index).map_err(|error| match error {
                Error::Candle(source) => Error::Run { node: net.graph().get(node).name.clone(), source },
                other => other,
            })?;
        }
        run.hand_out()?;
        Ok(run)
    }

    /// The targets' values, in their order; results are variables.
    pub(crate) fn targets(&self) -> Result<Vec<Tensor>> {
        self.plan.targets.iter().map(|target| self.target(*target)).collect()
    }

    fn target(&self, value: ValueId) -> Result<Tensor> {
        let tensor = self.tensor_at(self.plan.place(value));
        let tensor =
            tensor.ok_or_else(|| candle_core::Error::msg("a result was asked for before it was there"))?;
        let dims = self.dims(value);
        if tensor.dims() == dims { Ok(tensor.clone()) } else { Ok(tensor.detach().reshape(dims)?) }
    }

    pub(super) fn dims(&self, value: ValueId) -> Vec<usize> {
        self.plan.values[value].shape.with_batch(self.batch)
    }

    pub(super) fn len(&self, value: ValueId) -> usize {
        self.plan.values[value].shape.elements() * self.batch
    }

    fn tensor_at(&self, place: Place) -> Option<&Tensor> {
        match place {
            Place::Given(index) => self.given.get(index)?.as_ref(),
            Place::Handed(index) => self.handed.get(&index),
            Place::Slot(_) | Place::Half(_) => None,
        }
    }

    /// A step on the way forward: running statistics move, and what is kept in half the size is rounded.
    fn step(&mut self, net: &Net, index: usize) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let step = &plan.steps[index];
        self.perform(net, index, step)?;
        if step.saved > 0 {
            let saved = self.memory.as_ref().map_or(&[][..], |memory| &memory.saved[index]);
            let count = self.batch * plan.values[step.out].shape.size().iter().product::<usize>();
            net.move_statistics(step.node(), saved, count)?;
        }
        for (value, half) in &step.narrows {
            self.narrow(*value, *half)?;
        }
        Ok(())
    }

    /// Runs a step, the one of this number or its second run.
    pub(super) fn perform(&mut self, net: &Net, index: usize, step: &Step) -> Result<()> {
        if step.how == How::View {
            return Ok(());
        }
        let mut out = self.take(step.out);
        let len = self.len(step.out);
        if step.how == How::Fresh {
            spoil(&mut out[..len], matches!(net.graph().get(step.node()).op, Op::Custom(_)));
        }
        let mut saved = std::mem::take(&mut self.memory_mut().saved[index]);
        let result = match step.kernel {
            Some(_) => self.compute(net, step, &mut out[..len], &mut saved).map_err(Error::from),
            None => self.compose(net, index, step, &mut out[..len]),
        };
        self.put(step.out, out);
        self.memory_mut().saved[index] = saved;
        result
    }

    pub(super) fn memory_mut(&mut self) -> &mut Memory<T> {
        let plan = &self.plan;
        self.memory.get_or_insert_with(|| Memory::new(plan))
    }

    /// The memory of a value that is to be written.
    pub(super) fn take(&mut self, value: ValueId) -> Vec<T> {
        let len = self.len(value);
        match self.plan.place(value) {
            Place::Slot(slot) => {
                let whole = self.plan.slots[slot] * self.batch;
                self.memory_mut().take(slot, whole)
            }
            Place::Handed(index) => self.making.remove(&index).unwrap_or_else(|| fresh(len)),
            Place::Given(_) | Place::Half(_) => fresh(len),
        }
    }

    pub(super) fn put(&mut self, value: ValueId, memory: Vec<T>) {
        match self.plan.place(value) {
            Place::Slot(slot) => self.memory_mut().slots[slot] = memory,
            Place::Handed(index) => drop(self.making.insert(index, memory)),
            Place::Given(_) | Place::Half(_) => {}
        }
    }

    /// Hands the values of arguments to `work`: `read` says what is read in the place of each, the others have sizes
    /// alone.
    pub(super) fn with_args<R>(
        &self,
        net: &Net,
        step: &Step,
        read: impl Fn(usize, ValueId) -> Option<ValueId>,
        work: impl FnOnce(&[Arg<'_, T>]) -> candle_core::Result<R>,
    ) -> candle_core::Result<R> {
        let mut tensors = Vec::with_capacity(step.args.len());
        for (place, arg) in step.args.iter().enumerate() {
            tensors.push(match *arg {
                Source::Param(node, param) => Some(net.param(node, param)?.contiguous()?),
                Source::Value(value) => {
                    read(place, value).and_then(|value| self.tensor_at(self.plan.place(value)).cloned())
                }
            });
        }
        let guards: Vec<_> = tensors.iter().map(|t| t.as_ref().map(Tensor::storage_and_layout)).collect();
        let mut args = Vec::with_capacity(step.args.len());
        for (place, (arg, guard)) in step.args.iter().zip(&guards).enumerate() {
            let data: &[T] = match (arg, guard) {
                (_, Some((storage, layout))) => values(storage, layout)?,
                (Source::Value(value), None) => match read(place, *value) {
                    Some(value) => self.slice(value)?,
                    None => &[],
                },
                (Source::Param(..), None) => &[],
            };
            let dims = match *arg {
                Source::Value(value) => dims4(self.plan.values[value].shape, self.batch),
                Source::Param(..) => [data.len(), 1, 1, 1],
            };
            args.push(Arg { dims, data });
        }
        work(&args)
    }

    /// A value in our own memory.
    pub(super) fn slice(&self, value: ValueId) -> candle_core::Result<&[T]> {
        let memory = match self.plan.place(value) {
            Place::Slot(slot) => self.memory.as_ref().map(|memory| &memory.slots[slot]),
            Place::Handed(index) => self.making.get(&index),
            Place::Given(_) | Place::Half(_) => None,
        };
        let values = memory.and_then(|memory| memory.get(..self.len(value)));
        values.ok_or_else(|| candle_core::Error::msg("a value was read before it was there"))
    }

    /// Hands a value to `work`, wherever it lies.
    pub(super) fn with_value<R>(
        &self,
        value: ValueId,
        work: impl FnOnce(&[T]) -> candle_core::Result<R>,
    ) -> candle_core::Result<R> {
        match self.tensor_at(self.plan.place(value)) {
            Some(tensor) => {
                let tensor = tensor.contiguous()?;
                let (storage, layout) = tensor.storage_and_layout();
                work(values(&storage, layout)?)
            }
            None => work(self.slice(value)?),
        }
    }

    fn compute(&self, net: &Net, step: &Step, out: &mut [T], saved: &mut [T]) -> candle_core::Result<()> {
        let Some(kernel) = &step.kernel else { return Ok(()) };
        let (random, in_place) = (&self.random(step.node()), step.how == How::InPlace);
        self.with_args(
            net,
            step,
            |place, value| (place > 0 || !in_place).then_some(value),
            |args| {
                T::compute(kernel.as_ref(), Forward { args, out, saved, in_place, random }).map_err(refused)
            },
        )
    }

    pub(super) fn random(&self, node: Node) -> Stream {
        self.random.fork(node.index() as u64)
    }

    /// A layer without a kernel: by candle's operations, on a tape of its own if it has a way back.
    fn compose(&mut self, net: &Net, index: usize, step: &Step, out: &mut [T]) -> Result<()> {
        let node = step.node();
        let mut args = Vec::with_capacity(step.args.len());
        for arg in &step.args {
            let constant = match *arg {
                Source::Param(node, place) => net.param(node, place)?.clone(),
                Source::Value(value) => self
                    .with_value(value, |values| Tensor::from_slice(values, self.dims(value), &Device::Cpu))?,
            };
            args.push(match (arg, step.taped) {
                (Source::Param(node, place), true) => net.variable(*node, *place)?.clone(),
                (Source::Value(_), true) => Var::from_tensor(&constant)?.into_inner(),
                (_, false) => constant,
            });
        }
        let (inputs, params) = args.split_at(step.inputs);
        let call = Call { inputs, params, mode: step.mode, random: self.random(node) };
        let operation = net.graph().get(node).op.operation();
        let result = operation.forward(call)?.contiguous()?;
        let expected = self.dims(step.out);
        if result.dims() != expected {
            let (node, op) = (net.graph().get(node).name.clone(), operation.kind());
            return Err(Error::WrongShape { node, op, got: result.dims().to_vec(), expected });
        }
        let result = result.to_dtype(T::DTYPE)?;
        {
            let (storage, layout) = result.storage_and_layout();
            out.copy_from_slice(values(&storage, layout)?);
        }
        if step.taped {
            let inputs = args.into_iter().collect();
            self.composed.insert(index, Composed { inputs, out: result });
        }
        Ok(())
    }

    /// The results become tensors: variables, so that a loss can begin at them without a copy.
    fn hand_out(&mut self) -> Result<()> {
        for target in self.plan.targets.clone() {
            if let Place::Handed(index) = self.plan.place(target)
                && let Some(values) = self.making.remove(&index)
            {
                self.taken += values.len();
                let result = Var::from_vec(values, self.dims(target), &Device::Cpu)?;
                self.handed.insert(index, result.into_inner());
            }
        }
        Ok(())
    }

    /// The numbers that the run took: its slots, its results and what it saved.
    pub(crate) fn taken(&self) -> usize {
        self.taken + self.memory.as_ref().map_or(0, Memory::elements)
    }

    /// Gives the memory back for the next run.
    pub(crate) fn end(&mut self, net: &Net) {
        if let Some(memory) = self.memory.take() {
            net.pool().give(memory);
        }
    }
}

/// A value's dimensions as kernels see them.
pub(super) fn dims4(shape: Shape, batch: usize) -> [usize; 4] {
    let [height, width] = shape.size();
    [batch, shape.channels(), height, width]
}
