//! The fast CPU paths of operations: kernels on slices.
//!
//! An operation that has one gives it in [`crate::Operation::kernel`], and a [`crate::Plan`] runs it: on candle's tape
//! as a custom operation with its own backward, or without a tape, in memory that the plan has laid out.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use candle_core::WithDType;
use zoo_kernels::pieces;
pub use zoo_kernels::{Element, KernelError, Working};

use crate::{Activation, BatchNorm2d, Shape, rng::Stream};

/// A dense tensor as a kernel sees it.
#[derive(Clone, Copy, Debug)]
pub struct Arg<'a, T> {
    /// Batch, channels, height, width; a vector is a map of one pixel. Of a parameter, its length and ones.
    pub dims: [usize; 4],
    /// Its values, row by row. Empty where [`CpuKernel::needs`] left them out on the way back, and for the first
    /// argument of a step that runs in place.
    pub data: &'a [T],
}

impl<T> Arg<'_, T> {
    /// How many values it has, left out or not.
    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }
}

/// What a kernel computes from, and where to.
#[derive(Debug)]
pub struct Forward<'a, T> {
    /// The inputs, then the parameters in the operation's order; behind them what fused operations read, in their
    /// order: a norm's parameters, then the other addend.
    pub args: &'a [Arg<'a, T>],
    /// The result: every number is to be written. It holds leftovers on entry, or the first argument if
    /// [`Forward::in_place`].
    pub out: &'a mut [T],
    /// What the way back needs beside arguments and result: [`CpuKernel::saved`] numbers.
    pub saved: &'a mut [T],
    /// Whether the first argument is in `out`.
    pub in_place: bool,
    /// Random numbers that belong to this node and step.
    pub random: &'a Stream,
}

/// What gradients are computed from.
#[derive(Debug)]
pub struct Backward<'a, T> {
    /// As in the forward pass. What [`CpuKernel::needs`] left out has dimensions, but no values.
    pub args: &'a [Arg<'a, T>],
    /// The result, or nothing if [`CpuKernel::needs`] left it out.
    pub out: &'a [T],
    /// What the forward pass saved.
    pub saved: &'a [T],
    /// The loss's gradient of the result.
    pub grad: &'a [T],
    /// The random numbers that the forward pass had.
    pub random: &'a Stream,
}

/// Which gradients are the same tensor, and so computed once or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shares {
    /// None.
    Nothing,
    /// Those of all arguments: [`CpuKernel::gradients`] is asked for the first alone.
    Arguments,
    /// All arguments have the result's.
    Output,
}

/// What a kernel's gradients read of the forward pass: all else is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    args: u64,
    out: bool,
}

impl Needs {
    /// All arguments and the result.
    pub const ALL: Self = Self { args: u64::MAX, out: true };
    /// Nothing but sizes.
    pub const NOTHING: Self = Self { args: 0, out: false };
    /// The result alone.
    pub const OUT: Self = Self { args: 0, out: true };

    /// The values of argument `index` too, if `needed`.
    pub const fn arg(mut self, index: usize, needed: bool) -> Self {
        if needed {
            self.args |= 1 << (if index < 64 { index } else { 63 });
        }
        self
    }

    /// The result too, if `needed`.
    pub const fn result(mut self, needed: bool) -> Self {
        self.out |= needed;
        self
    }

    /// Whether it names the result.
    pub const fn has_result(&self) -> bool {
        self.out
    }

    /// Whether it names argument `index`.
    pub const fn has(&self, index: usize) -> bool {
        self.args & (1 << (if index < 64 { index } else { 63 })) != 0
    }
}

/// An operation on slices, with its gradients, for f32 and f64.
///
/// A kernel holds no state: the same one runs at every step, in several threads at once.
pub trait CpuKernel: Debug + Send + Sync + 'static {
    /// What errors call it.
    fn name(&self) -> &'static str;

    /// Computes the result. Its shape is what [`crate::Operation::output`] says.
    ///
    /// # Errors
    /// What does not fit.
    fn compute<T: Element>(&self, run: Forward<'_, T>) -> Result<(), KernelError>;

    /// Computes the gradients of those arguments whose place in `grads` is filled, with leftovers, on entry: every
    /// number of them.
    ///
    /// # Errors
    /// What does not fit.
    fn gradients<T: Element>(
        &self,
        back: Backward<'_, T>,
        grads: &mut [Option<&mut [T]>],
    ) -> Result<(), KernelError>;

    /// How many numbers it saves for the way back, whatever the batch, for inputs of these shapes.
    fn saved(&self, _inputs: &[Shape]) -> usize {
        0
    }

    /// About what it holds for a while, in memory of its own that is kept, for a batch of inputs of these shapes; forward
    /// or, if `back`, in its gradients.
    fn working(&self, _inputs: &[Shape], _batch: usize, _back: bool) -> Working {
        Working::default()
    }

    /// What the gradients of the arguments that are `wanted` read.
    fn needs(&self, _wanted: &[bool]) -> Needs {
        Needs::ALL
    }

    /// How the arguments' gradients relate.
    fn shares(&self) -> Shares {
        Shares::Nothing
    }

    /// Whether argument `index` has a gradient: one that is read for its size alone has none.
    fn has_gradient(&self, _index: usize) -> bool {
        true
    }

    /// Whether its gradients compare the result with the arguments, so that both must be of one computation: one can't
    /// be rounded without the other.
    fn compares(&self) -> bool {
        false
    }

    /// Whether it can write its result over its first argument.
    fn works_in_place(&self) -> bool {
        false
    }
}

/// A [`CpuKernel`] of any kind: what an operation gives.
pub trait Kernel: Debug + Send + Sync {
    /// See [`CpuKernel::name`].
    fn name(&self) -> &'static str;
    /// See [`CpuKernel::saved`].
    fn saved(&self, inputs: &[Shape]) -> usize;
    /// See [`CpuKernel::working`].
    fn working(&self, inputs: &[Shape], batch: usize, back: bool) -> Working;
    /// See [`CpuKernel::needs`].
    fn needs(&self, wanted: &[bool]) -> Needs;
    /// See [`CpuKernel::shares`].
    fn shares(&self) -> Shares;
    /// See [`CpuKernel::has_gradient`].
    fn has_gradient(&self, index: usize) -> bool;
    /// See [`CpuKernel::compares`].
    fn compares(&self) -> bool;
    /// See [`CpuKernel::works_in_place`].
    fn works_in_place(&self) -> bool;
    /// [`CpuKernel::compute`] in f32.
    ///
    /// # Errors
    /// What does not fit.
    fn compute_f32(&self, run: Forward<'_, f32>) -> Result<(), KernelError>;
    /// [`CpuKernel::compute`] in f64.
    ///
    /// # Errors
    /// What does not fit.
    fn compute_f64(&self, run: Forward<'_, f64>) -> Result<(), KernelError>;
    /// [`CpuKernel::gradients`] in f32.
    ///
    /// # Errors
    /// What does not fit.
    fn gradients_f32(
        &self,
        back: Backward<'_, f32>,
        grads: &mut [Option<&mut [f32]>],
    ) -> Result<(), KernelError>;
    /// [`CpuKernel::gradients`] in f64.
    ///
    /// # Errors
    /// What does not fit.
    fn gradients_f64(
        &self,
        back: Backward<'_, f64>,
        grads: &mut [Option<&mut [f64]>],
    ) -> Result<(), KernelError>;
}

impl<K: CpuKernel> Kernel for K {
    fn name(&self) -> &'static str {
        CpuKernel::name(self)
    }

    fn saved(&self, inputs: &[Shape]) -> usize {
        CpuKernel::saved(self, inputs)
    }

    fn working(&self, inputs: &[Shape], batch: usize, back: bool) -> Working {
        CpuKernel::working(self, inputs, batch, back)
    }

    fn needs(&self, wanted: &[bool]) -> Needs {
        CpuKernel::needs(self, wanted)
    }

    fn shares(&self) -> Shares {
        CpuKernel::shares(self)
    }

    fn has_gradient(&self, index: usize) -> bool {
        CpuKernel::has_gradient(self, index)
    }

    fn compares(&self) -> bool {
        CpuKernel::compares(self)
    }

    fn works_in_place(&self) -> bool {
        CpuKernel::works_in_place(self)
    }

    fn compute_f32(&self, run: Forward<'_, f32>) -> Result<(), KernelError> {
        self.compute(run)
    }

    fn compute_f64(&self, run: Forward<'_, f64>) -> Result<(), KernelError> {
        self.compute(run)
    }

    fn gradients_f32(
        &self,
        back: Backward<'_, f32>,
        grads: &mut [Option<&mut [f32]>],
    ) -> Result<(), KernelError> {
        self.gradients(back, grads)
    }

    fn gradients_f64(
        &self,
        back: Backward<'_, f64>,
        grads: &mut [Option<&mut [f64]>],
    ) -> Result<(), KernelError> {
        self.gradients(back, grads)
    }
}

/// A kernel for an operation to give.
pub(crate) fn shared(kernel: impl CpuKernel) -> Option<Arc<dyn Kernel>> {
    Some(Arc::new(kernel))
}

/// The operations behind one that nothing else reads it through, in this order: its kernel may take them in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Following<'a> {
    /// A norm by running statistics. Its scale, shift, mean and variance are arguments behind the operation's own.
    pub norm: Option<&'a BatchNorm2d>,
    /// The addition of another tensor of the same shape: the last argument.
    pub sum: bool,
    /// An activation.
    pub activation: Option<Activation>,
    /// Whether gradients will be asked for.
    pub way_back: bool,
}

/// The two number types, by the one kernel that runs on both.
pub(crate) trait Real: Element + WithDType {
    fn compute(kernel: &dyn Kernel, run: Forward<'_, Self>) -> Result<(), KernelError>;

    fn gradients(
        kernel: &dyn Kernel,
        back: Backward<'_, Self>,
        grads: &mut [Option<&mut [Self]>],
    ) -> Result<(), KernelError>;
}

impl Real for f32 {
    fn compute(kernel: &dyn Kernel, run: Forward<'_, f32>) -> Result<(), KernelError> {
        kernel.compute_f32(run)
    }

    fn gradients(
        kernel: &dyn Kernel,
        back: Backward<'_, f32>,
        grads: &mut [Option<&mut [f32]>],
    ) -> Result<(), KernelError> {
        kernel.gradients_f32(back, grads)
    }
}

impl Real for f64 {
    fn compute(kernel: &dyn Kernel, run: Forward<'_, f64>) -> Result<(), KernelError> {
        kernel.compute_f64(run)
    }

    fn gradients(
        kernel: &dyn Kernel,
        back: Backward<'_, f64>,
        grads: &mut [Option<&mut [f64]>],
    ) -> Result<(), KernelError> {
        kernel.gradients_f64(back, grads)
    }
}

/// About how many numbers are worked on at a time where a result goes over its argument: they stay in the nearest cache.
pub(crate) const PIECE: usize = 4096;

/// Writes a result over its first argument, planes of `plane` numbers by planes, at most `group` whole multiples of
/// which belong together: `each` is given the first plane's place, what was there, and where the result goes.
pub(crate) fn over<T: Element>(
    values: &mut [T],
    plane: usize,
    group: usize,
    each: impl Fn(usize, &[T], &mut [T]) -> Result<(), KernelError> + Sync,
) -> Result<(), KernelError> {
    let most = group.min(PIECE / plane.max(1));
    let planes = (1..=most).rev().find(|planes| group.is_multiple_of(*planes)).unwrap_or(1);
    let refused = OnceLock::new();
    pieces(values, planes * plane.max(1), |start, values| {
        let before = values.to_vec();
        if let Err(error) = each(start / plane.max(1), &before, values) {
            let _ = refused.set(error);
        }
    });
    refused.into_inner().map_or(Ok(()), Err)
}
