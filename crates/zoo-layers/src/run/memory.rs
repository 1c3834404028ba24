//! The memory of a run: slots as its plan laid them out, used again by the next run of the same plan.
//!
//! A fresh buffer of some megabytes costs nearly as much as filling it: the system hands it out page by page, each
//! cleared first. So a network keeps what its last runs computed into.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor};

use crate::{Element, Plan, kernel::Real};

/// How many memories wait for their next run: one of training, one of evaluation, and some for other threads.
const WAITING: usize = 4;

/// What one run computes into.
#[derive(Debug)]
pub(crate) struct Memory<T> {
    plan: Arc<Plan>,
    pub(super) slots: Vec<Vec<T>>,
    /// Numbers of half the size, as bf16.
    pub(super) halves: Vec<Vec<u16>>,
    /// What each step saves.
    pub(super) saved: Vec<Vec<T>>,
}

impl<T: Real> Memory<T> {
    pub(super) fn new(plan: &Arc<Plan>) -> Self {
        let saved = plan.steps.iter().map(|step| vec![T::ZERO; step.saved]).collect();
        let slots = plan.slots.iter().map(|_| Vec::new()).collect();
        let halves = plan.halves.iter().map(|_| Vec::new()).collect();
        Self { plan: Arc::clone(plan), slots, halves, saved }
    }

    /// The same of a slot for numbers of half the size.
    pub(super) fn take_half(&mut self, slot: usize, len: usize) -> Vec<u16> {
        let memory = std::mem::take(&mut self.halves[slot]);
        if memory.len() < len { vec![0; len] } else { memory }
    }

    /// A slot's memory, at least so long, with leftovers in it.
    pub(super) fn take(&mut self, slot: usize, len: usize) -> Vec<T> {
        let mut memory = std::mem::take(&mut self.slots[slot]);
        if memory.len() < len {
            memory = fresh(len);
        }
        memory
    }

    /// The numbers it holds, two of half the size as one.
    pub(super) fn elements(&self) -> usize {
        let halves: usize = self.halves.iter().map(Vec::len).sum();
        self.slots.iter().chain(&self.saved).map(Vec::len).sum::<usize>() + halves.div_ceil(2)
    }
}

/// New memory.
pub(crate) fn fresh<T: Real>(len: usize) -> Vec<T> {
    vec![T::ZERO; len]
}

/// Kernels must write every number: one of a layer from outside that doesn't gives NaN, and not what another layer left.
/// Where debug assertions are on, and so in tests, so do ours.
pub(crate) fn spoil<T: Real>(memory: &mut [T], is_strange: bool) {
    if is_strange || cfg!(debug_assertions) {
        memory.fill(<T as Element>::from_f64(f64::NAN));
    }
}

/// What waits for its next use.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    f32: Shelf<f32>,
    f64: Shelf<f64>,
}

#[derive(Debug)]
pub(crate) struct Shelf<T> {
    memories: Mutex<Vec<Memory<T>>>,
    /// Gradients of parameters, which are handed out and come back.
    gradients: Mutex<Vec<Vec<T>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { memories: Mutex::default(), gradients: Mutex::default() }
    }
}

/// A number type's shelf.
pub(crate) trait Shelved: Real {
    fn shelf(pool: &Pool) -> &Shelf<Self>;
}

impl Shelved for f32 {
    fn shelf(pool: &Pool) -> &Shelf<f32> {
        &pool.f32
    }
}

impl Shelved for f64 {
    fn shelf(pool: &Pool) -> &Shelf<f64> {
        &pool.f64
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Memory for a run of this plan.
    pub(super) fn memory<T: Shelved>(&self, plan: &Arc<Plan>) -> Memory<T> {
        let mut waiting = lock(&T::shelf(self).memories);
        match waiting.iter().position(|memory| Arc::ptr_eq(&memory.plan, plan)) {
            Some(place) => waiting.remove(place),
            None => Memory::new(plan),
        }
    }

    /// Takes a run's memory back; the one that waits longest goes if there are too many.
    pub(super) fn give<T: Shelved>(&self, memory: Memory<T>) {
        let mut waiting = lock(&T::shelf(self).memories);
        waiting.push(memory);
        if waiting.len() > WAITING {
            waiting.remove(0);
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        lock(&self.f32.memories).clear();
        lock(&self.f64.memories).clear();
        lock(&self.f32.gradients).clear();
        lock(&self.f64.gradients).clear();
    }

    /// Room for a parameter's gradient, with leftovers in it.
    pub(super) fn gradient<T: Shelved>(&self, len: usize) -> Vec<T> {
        let mut waiting = lock(&T::shelf(self).gradients);
        match waiting.iter().position(|memory| memory.len() == len) {
            Some(place) => waiting.swap_remove(place),
            None => fresh(len),
        }
    }

    /// Keeps no more gradients than a step has: those of candle's tape are not taken from here, but come here too.
    pub(crate) fn trim(&self, gradients: usize) {
        lock(&self.f32.gradients).truncate(gradients);
        lock(&self.f64.gradients).truncate(gradients);
    }

    /// Takes the memory of a gradient that nobody else has: clones of it, and views, lose their values.
    pub(crate) fn reclaim(&self, gradient: &Tensor) {
        // A tensor that can't be taken apart is simply dropped.
        let _ = gradient.inplace_op1(&Reclaim(self));
    }
}

struct Reclaim<'p>(&'p Pool);

impl InplaceOp1 for Reclaim<'_> {
    fn name(&self) -> &'static str {
        "reclaim"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        match std::mem::replace(storage, CpuStorage::F32(Vec::new())) {
            CpuStorage::F32(values) => lock(&self.0.f32.gradients).push(values),
            CpuStorage::F64(values) => lock(&self.0.f64.gradients).push(values),
            _ => {}
        }
        Ok(())
    }
}
