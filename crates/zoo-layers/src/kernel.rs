//! The fast CPU paths of operations: how kernels on slices become operations on candle tensors.
//!
//! An operation that has a kernel implements [`CpuKernel`] on slices, for f32 and f64. From that follow two ways
//! to run it: on candle's tape, as a custom operation with its own backward ([`taped`]), and without a tape, when
//! the network drives the reverse pass itself ([`crate::Net::train_pass`]).

use std::{
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Error, Layout, Shape, Storage, Tensor,
    WithDType,
};
use zoo_kernels::{Element, KernelError};

use crate::{
    buffers::{self, Buffers},
    ops::Result,
};

/// A contiguous tensor as a kernel sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arg<'a, T> {
    pub(crate) dims: &'a [usize],
    pub(crate) data: &'a [T],
}

impl<T> Arg<'_, T> {
    /// The dimensions of a map; a vector is a map of one pixel.
    pub(crate) fn shape(&self) -> [usize; 4] {
        match *self.dims {
            [n, c, h, w] => [n, c, h, w],
            [n, c] => [n, c, 1, 1],
            _ => [self.data.len(), 1, 1, 1],
        }
    }
}

/// Which gradients are the same tensor, and so computed once or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shares {
    /// None.
    Nothing,
    /// Those of all arguments: [`CpuKernel::gradients`] is asked for the first alone.
    Arguments,
    /// All arguments have the output's.
    Output,
}

/// An operation on slices, with its gradients.
pub(crate) trait CpuKernel: Debug + Send + Sync + 'static {
    /// What errors call it.
    fn name(&self) -> &'static str;

    /// The output's dimensions for arguments of these.
    fn dims(&self, args: &[&[usize]]) -> Result<Vec<usize>, KernelError>;

    /// Computes the output: every number of `out`, which holds leftovers on entry.
    fn compute<T: Element>(&self, args: &[Arg<'_, T>], out: &mut [T]) -> Result<(), KernelError>;

    /// How the arguments' gradients relate.
    fn shares(&self) -> Shares {
        Shares::Nothing
    }

    /// Computes the gradients of those arguments whose place in `grads` is filled, with leftovers, on entry: every
    /// number of them.
    fn gradients<T: Element>(
        &self,
        args: &[Arg<'_, T>],
        out: &[T],
        grad: &[T],
        grads: &mut [Option<Vec<T>>],
    ) -> Result<(), KernelError>;
}

/// A [`CpuKernel`] on tensors, of any of the two types.
pub(crate) trait Kernel: Debug + Send + Sync {
    /// What errors call it.
    fn name(&self) -> &'static str;

    /// The output's values and shape.
    fn forward(&self, args: &[&Tensor], buffers: Option<&Buffers>) -> Result<(CpuStorage, Shape)>;

    /// How the arguments' gradients relate.
    fn shares(&self) -> Shares;

    /// The gradients of the arguments that are `wanted`.
    fn backward(&self, step: &WayBack<'_>, wanted: &[bool]) -> Result<Vec<Option<Tensor>>>;
}

/// What a gradient is computed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WayBack<'a> {
    pub(crate) args: &'a [&'a Tensor],
    pub(crate) out: &'a Tensor,
    /// The loss's gradient of `out`.
    pub(crate) grad: &'a Tensor,
    /// Where results may take their memory.
    pub(crate) buffers: Option<&'a Buffers>,
}

impl<K: CpuKernel> Kernel for K {
    fn name(&self) -> &'static str {
        CpuKernel::name(self)
    }

    fn forward(&self, args: &[&Tensor], buffers: Option<&Buffers>) -> Result<(CpuStorage, Shape)> {
        match args.first().map(|arg| arg.dtype()) {
            Some(DType::F64) => forward::<K, f64>(self, args, buffers),
            _ => forward::<K, f32>(self, args, buffers),
        }
    }

    fn shares(&self) -> Shares {
        CpuKernel::shares(self)
    }

    fn backward(&self, step: &WayBack<'_>, wanted: &[bool]) -> Result<Vec<Option<Tensor>>> {
        match step.out.dtype() {
            DType::F64 => backward::<K, f64>(self, step, wanted),
            _ => backward::<K, f32>(self, step, wanted),
        }
    }
}

fn refused(error: KernelError) -> Error {
    Error::Msg(error.to_string())
}

/// Whether kernels can take these tensors: on the CPU, all f32 or all f64.
pub(crate) fn takes(args: &[Tensor]) -> bool {
    let dtype = args.first().map(Tensor::dtype);
    matches!(dtype, Some(DType::F32 | DType::F64))
        && args.iter().all(|arg| arg.device().is_cpu() && Some(arg.dtype()) == dtype)
}

/// Hands the contiguous values of tensors to `work`.
fn with_values<T: WithDType + Element, R>(
    tensors: &[&Tensor],
    work: impl FnOnce(&[Arg<'_, T>]) -> Result<R>,
) -> Result<R> {
    let tensors = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut args = Vec::with_capacity(tensors.len());
    for (tensor, (storage, layout)) in tensors.iter().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            candle_core::bail!("a CPU kernel was given a tensor on another device");
        };
        let values: &[T] = storage.as_slice()?;
        let start = layout.start_offset();
        let data = values.get(start..start + tensor.elem_count());
        let data = data.ok_or_else(|| Error::Msg("a tensor is shorter than its shape".into()))?;
        args.push(Arg { dims: tensor.dims(), data });
    }
    work(&args)
}

/// A buffer to write to.
fn buffer<T: WithDType + Element>(buffers: Option<&Buffers>, len: usize) -> Vec<T> {
    buffers.map_or_else(|| buffers::fresh(len), |buffers| buffers.take(len))
}

fn forward<K: CpuKernel, T: WithDType + Element>(
    kernel: &K,
    args: &[&Tensor],
    buffers: Option<&Buffers>,
) -> Result<(CpuStorage, Shape)> {
    with_values::<T, _>(args, |args| {
        let dims: Vec<&[usize]> = args.iter().map(|arg| arg.dims).collect();
        let dims = kernel.dims(&dims).map_err(refused)?;
        let mut out = buffer(buffers, dims.iter().product());
        kernel.compute(args, &mut out).map_err(refused)?;
        Ok((T::to_cpu_storage_owned(out), dims.into()))
    })
}

/// Runs a kernel outside of candle's tape.
pub(crate) fn untaped(kernel: &dyn Kernel, args: &[&Tensor], buffers: Option<&Buffers>) -> Result<Tensor> {
    match kernel.forward(args, buffers)? {
        (CpuStorage::F64(values), shape) => Tensor::from_vec(values, shape, &Device::Cpu),
        (CpuStorage::F32(values), shape) => Tensor::from_vec(values, shape, &Device::Cpu),
        _ => candle_core::bail!("{} gave neither f32 nor f64", kernel.name()),
    }
}

fn backward<K: CpuKernel, T: WithDType + Element>(
    kernel: &K,
    step: &WayBack<'_>,
    wanted: &[bool],
) -> Result<Vec<Option<Tensor>>> {
    let mut all = step.args.to_vec();
    all.extend([step.out, step.grad]);
    let grads = with_values::<T, _>(&all, |all| {
        let [args @ .., out, grad] = all else {
            candle_core::bail!("a kernel ran backward without its result");
        };
        let room = |(arg, wanted): (&Arg<'_, T>, &bool)| wanted.then(|| buffer(step.buffers, arg.data.len()));
        let mut grads: Vec<Option<Vec<T>>> = args.iter().zip(wanted).map(room).collect();
        kernel.gradients(args, out.data, grad.data, &mut grads).map_err(refused)?;
        Ok(grads)
    })?;
    let tensor = |(grad, arg): (Option<Vec<T>>, &&Tensor)| {
        grad.map(|grad| Tensor::from_vec(grad, arg.dims(), &Device::Cpu)).transpose()
    };
    grads.into_iter().zip(step.args).map(tensor).collect()
}

/// Runs a kernel of one to three arguments on candle's tape. f16 and bf16 go through f32.
pub(crate) fn taped(kernel: Arc<dyn Kernel>, args: &[Tensor]) -> Result<Tensor> {
    let dtype = args.first().map_or(DType::F32, Tensor::dtype);
    if matches!(dtype, DType::F16 | DType::BF16) {
        let wide = args.iter().map(|arg| arg.to_dtype(DType::F32)).collect::<Result<Vec<_>>>()?;
        return taped(kernel, &wide)?.to_dtype(dtype);
    }
    let all: Vec<&Tensor> = args.iter().collect();
    if !args.iter().any(Tensor::track_op) {
        return untaped(kernel.as_ref(), &all, None);
    }
    let result = kernel.forward(&all, None)?;
    let taped = Taped { kernel, result: Mutex::new(Some(result)) };
    match args {
        [a] => a.apply_op1(taped),
        [a, b] => a.apply_op2(b, taped),
        [a, b, c] => a.apply_op3(b, c, taped),
        _ => candle_core::bail!(
            "candle's tape takes operations of one to three tensors, not of {}",
            args.len()
        ),
    }
}

/// A kernel that has run, on its way onto the tape.
struct Taped {
    kernel: Arc<dyn Kernel>,
    result: Mutex<Option<(CpuStorage, Shape)>>,
}

impl Taped {
    fn result(&self) -> Result<(CpuStorage, Shape)> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or_else(|| Error::Msg(format!("{} was put on the tape twice", self.kernel.name())))
    }

    fn gradients<const N: usize>(
        &self,
        args: [&Tensor; N],
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let wanted = args.map(Tensor::track_op);
        let first = |grads: Vec<Option<Tensor>>| grads.into_iter().flatten().next();
        let step = WayBack { args: &args, out, grad, buffers: None };
        let same = match self.kernel.shares() {
            Shares::Nothing => None,
            Shares::Output => Some(grad.clone()),
            Shares::Arguments => {
                let mut only = vec![false; N];
                only[..1].fill(true);
                first(self.kernel.backward(&step, &only)?)
            }
        };
        let grads = match same {
            Some(same) => wanted.iter().map(|wanted| wanted.then(|| same.clone())).collect(),
            None => self.kernel.backward(&step, &wanted)?,
        };
        grads.try_into().map_err(|_| Error::Msg(format!("{} lost a gradient", self.kernel.name())))
    }
}

impl CustomOp1 for Taped {
    fn name(&self) -> &'static str {
        self.kernel.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.result()
    }

    fn bwd(&self, a: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.gradients([a], out, grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Taped {
    fn name(&self) -> &'static str {
        self.kernel.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.result()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.gradients([a, b], out, grad)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Taped {
    fn name(&self) -> &'static str {
        self.kernel.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.result()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.gradients([a, b, c], out, grad)?;
        Ok((a, b, c))
    }
}
