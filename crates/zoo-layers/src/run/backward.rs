//! A plan run on slices: the way back.

use std::sync::Arc;

use candle_core::{Device, Tensor, backprop::GradStore};
use zoo_kernels::pieces;

use super::{
    memory::{Shelved, spoil},
    slices::Run,
};
use crate::{
    Error, Net, Op, Result,
    kernel::{Arg, Backward},
    plan::{BackStep, How, Into, Step, Sum, Turn, ValueId},
    tape::{refused, values},
};

/// How many numbers one task adds up.
const TASK: usize = 1 << 14;

impl<T: Shelved> Run<T> {
    /// Runs the way back from the targets' gradients, of which some may be missing. Gives those of the parameters, and
    /// of the nodes that the route names.
    pub(crate) fn backward(
        &mut self,
        net: &Net,
        seeds: Vec<Option<Tensor>>,
    ) -> Result<(GradStore, Vec<Option<Tensor>>)> {
        let plan = Arc::clone(&self.plan);
        let mut known = vec![false; plan.values.len()];
        for (seed, tensor) in plan.seeds.iter().zip(seeds) {
            known[*seed] = tensor.is_some();
            let tensor = tensor.map(|tensor| tensor.detach().to_dtype(T::DTYPE)?.contiguous());
            self.given.push(tensor.transpose()?);
        }
        let mut found = GradStore::default();
        for turn in &plan.back {
            let named = |index: usize, source| {
                let node = net.graph().get(plan.steps[index].node()).name.clone();
                Error::Run { node, source }
            };
            match turn {
                Turn::Again(index, step) => self.perform(net, *index, step).map_err(|error| match error {
                    Error::Candle(source) => named(*index, source),
                    other => other,
                })?,
                Turn::Widen { from, to } => self.widen(*from, *to)?,
                Turn::Back(back) => {
                    if known[back.grad] {
                        let step = &plan.steps[back.step];
                        self.gradients(net, back, step, &mut known, &mut found)
                            .map_err(|source| named(back.step, source))?;
                    }
                    for sum in &back.sums {
                        self.sum(*sum, &mut known)?;
                    }
                }
            }
        }
        let mut named = Vec::with_capacity(plan.gradients_of.len());
        for gradient in &plan.gradients_of {
            let found = gradient.filter(|gradient| known[*gradient]).map(|gradient| {
                let dims = self.dims(gradient);
                self.with_value(gradient, |values| Tensor::from_slice(values, dims, &Device::Cpu))
            });
            named.push(found.transpose()?);
        }
        Ok((found, named))
    }

    fn gradients(
        &mut self,
        net: &Net,
        back: &BackStep,
        step: &Step,
        known: &mut [bool],
        found: &mut GradStore,
    ) -> candle_core::Result<()> {
        for into in back.into.iter().flatten() {
            if let Into::Fresh(value) | Into::Shared(value) = into {
                known[*value] = true;
            }
        }
        if step.how == How::View {
            return Ok(());
        }
        let Some(kernel) = &step.kernel else {
            return self.compose_back(back, known, found);
        };
        let mut rooms: Vec<Option<Vec<T>>> = Vec::with_capacity(back.into.len());
        for (into, arg) in back.into.iter().zip(&step.args) {
            rooms.push(match (into, arg) {
                (Some(Into::Fresh(value)), _) => Some(self.take(*value)),
                (Some(Into::Param(node, place)), _) => {
                    Some(net.pool().gradient(net.param(*node, *place)?.elem_count()))
                }
                _ => None,
            });
        }
        let lens = back.into.iter().zip(&rooms).map(|(into, room)| match into {
            Some(Into::Fresh(value)) => self.len(*value),
            _ => room.as_ref().map_or(0, Vec::len),
        });
        let lens: Vec<usize> = lens.collect();
        let is_strange = matches!(net.graph().get(step.node()).op, Op::Custom(_));
        if rooms.iter().any(Option::is_some) {
            let mut into: Vec<Option<&mut [T]>> = rooms
                .iter_mut()
                .zip(&lens)
                .map(|(room, len)| room.as_mut().map(|room| &mut room[..*len]))
                .collect();
            into.iter_mut().flatten().for_each(|into| spoil(into, is_strange));
            if kernel.shares() == crate::Shares::Arguments {
                // It is asked for the first alone, which may be the gradient of another that is wanted.
                let some = into.iter_mut().find_map(Option::take);
                into[0] = some;
            }
            let (random, saved) = (&self.random(step.node()), self.saved(back.step));
            let read = |place: usize, _| back.args[place];
            self.with_args(net, step, read, |args: &[Arg<'_, T>]| {
                self.with_value(back.grad, |grad| {
                    let mut run = |out: &[T]| {
                        let back = Backward { args, out, saved, grad, random };
                        T::gradients(kernel.as_ref(), back, &mut into).map_err(refused)
                    };
                    match back.out {
                        Some(out) => self.with_value(out, run),
                        None => run(&[]),
                    }
                })
            })?;
        }
        for ((into, room), len) in back.into.iter().zip(rooms).zip(lens) {
            match (into, room) {
                (Some(Into::Fresh(value)), Some(room)) => self.put(*value, room),
                (Some(Into::Param(node, place)), Some(room)) => {
                    let variable = net.variable(*node, *place)?;
                    debug_assert_eq!(room.len(), len);
                    found.insert(variable, Tensor::from_vec(room, variable.dims(), &Device::Cpu)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn saved(&self, step: usize) -> &[T] {
        self.memory.as_ref().map_or(&[], |memory| &memory.saved[step])
    }

    /// The same by candle's tape: the gradient of `Σ output · gradient` is the chain rule's.
    fn compose_back(
        &mut self,
        back: &BackStep,
        known: &mut [bool],
        found: &mut GradStore,
    ) -> candle_core::Result<()> {
        let Some(composed) = self.composed.remove(&back.step) else {
            candle_core::bail!("a layer without a kernel lost its way forward");
        };
        let dims = composed.out.dims().to_vec();
        let grad = self.with_value(back.grad, |grad| Tensor::from_slice(grad, dims, &Device::Cpu))?;
        let gradients = (&composed.out * grad)?.sum_all()?.backward()?;
        for (into, variable) in back.into.iter().zip(&composed.inputs) {
            let gradient = gradients.get(variable);
            match (into, gradient) {
                (Some(Into::Fresh(value)), Some(gradient)) => {
                    let gradient = gradient.contiguous()?;
                    let mut room = self.take(*value);
                    let (storage, layout) = gradient.storage_and_layout();
                    room[..self.len(*value)].copy_from_slice(values(&storage, layout)?);
                    self.put(*value, room);
                }
                // The layer does not depend on it.
                (Some(Into::Fresh(value)), None) => known[*value] = false,
                (Some(Into::Param(..)), Some(gradient)) => drop(found.insert(variable, gradient.clone())),
                _ => {}
            }
        }
        Ok(())
    }

    /// `into = before + part`, where one of the two may be missing.
    fn sum(&mut self, sum: Sum, known: &mut [bool]) -> candle_core::Result<()> {
        let Sum { before, part, into } = sum;
        known[into] = known[before] || known[part];
        let buffer = |value: ValueId| self.plan.values[value].buffer;
        let lies_in = |value: ValueId| known[value] && buffer(value) == buffer(into);
        let parts: Vec<ValueId> =
            [before, part].into_iter().filter(|value| known[*value] && !lies_in(*value)).collect();
        let mut started = lies_in(before) || lies_in(part);
        let mut room = self.take(into);
        let len = self.len(into);
        for part in parts {
            self.with_value(part, |part| {
                pieces(&mut room[..len], TASK, |start, room| {
                    let part = &part[start..start + room.len()];
                    match started {
                        true => room.iter_mut().zip(part).for_each(|(sum, part)| *sum += *part),
                        false => room.copy_from_slice(part),
                    }
                });
                Ok(())
            })?;
            started = true;
        }
        self.put(into, room);
        Ok(())
    }
}
