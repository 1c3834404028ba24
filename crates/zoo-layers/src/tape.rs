//! Kernels on candle's tape: custom operations with backward passes of their own.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Error, Layout, Shape, Storage, Tensor,
};
use zoo_kernels::KernelError;

use crate::{
    kernel::{Arg, Backward, Forward, Kernel, Real, Shares},
    ops::Result,
    rng::Stream,
};

pub(crate) fn refused(error: KernelError) -> Error {
    Error::Msg(error.to_string())
}

/// Whether kernels can take these tensors: on the CPU, all f32 or all f64.
pub(crate) fn takes<'a>(args: impl IntoIterator<Item = &'a Tensor>) -> bool {
    let mut args = args.into_iter().map(|arg| (arg.device().is_cpu(), arg.dtype()));
    match args.next() {
        Some(first @ (true, DType::F32 | DType::F64)) => args.all(|arg| arg == first),
        _ => false,
    }
}

/// A tensor's dimensions as kernels see them.
pub(crate) fn dims4(dims: &[usize]) -> [usize; 4] {
    match *dims {
        [n, c, h, w] => [n, c, h, w],
        [n, c] => [n, c, 1, 1],
        _ => [dims.iter().product(), 1, 1, 1],
    }
}

/// The values of a contiguous tensor on the CPU, behind its storage's guard.
pub(crate) fn values<'g, T: Real>(storage: &'g Storage, layout: &Layout) -> Result<&'g [T]> {
    let Storage::Cpu(storage) = storage else {
        candle_core::bail!("a CPU kernel was given a tensor on another device");
    };
    let start = layout.start_offset();
    let data = storage.as_slice::<T>()?.get(start..start + layout.shape().elem_count());
    data.ok_or_else(|| Error::Msg("a tensor is shorter than its shape".into()))
}

/// Hands the contiguous values of tensors to `work`.
pub(crate) fn with_values<T: Real, R>(
    tensors: &[&Tensor],
    work: impl FnOnce(&[Arg<'_, T>]) -> Result<R>,
) -> Result<R> {
    let tensors = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<Vec<_>>>()?;
    let guards: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut args = Vec::with_capacity(tensors.len());
    for (tensor, (storage, layout)) in tensors.iter().zip(&guards) {
        args.push(Arg { dims: dims4(tensor.dims()), data: values(storage, layout)? });
    }
    work(&args)
}

/// Runs a kernel: `dims` are its result's, and it saves so many numbers. Where an argument is on candle's tape, the
/// result is too; at most three may be. f16 and bf16 go through f32. Gives what was saved as well.
pub(crate) fn run(
    kernel: &Arc<dyn Kernel>,
    args: &[Tensor],
    (dims, saved): (&[usize], usize),
    random: &Stream,
) -> Result<(Tensor, Vec<f64>)> {
    let dtype = args.first().map_or(DType::F32, Tensor::dtype);
    match dtype {
        DType::F64 => run_as::<f64>(kernel, args, (dims, saved), random),
        DType::F32 => run_as::<f32>(kernel, args, (dims, saved), random),
        _ => {
            let wide = args.iter().map(|arg| arg.to_dtype(DType::F32)).collect::<Result<Vec<_>>>()?;
            let (result, saved) = run_as::<f32>(kernel, &wide, (dims, saved), random)?;
            Ok((result.to_dtype(dtype)?, saved))
        }
    }
}

/// How many of these tensors are on the tape.
pub(crate) fn tracked(args: &[Tensor]) -> usize {
    args.iter().filter(|arg| arg.track_op()).count()
}

fn run_as<T: Real>(
    kernel: &Arc<dyn Kernel>,
    args: &[Tensor],
    (dims, saved): (&[usize], usize),
    random: &Stream,
) -> Result<(Tensor, Vec<f64>)> {
    let mut out = vec![T::ZERO; dims.iter().product()];
    let mut saved = vec![T::ZERO; saved];
    let all: Vec<&Tensor> = args.iter().collect();
    with_values::<T, _>(&all, |args| {
        let (out, saved) = (&mut out[..], &mut saved[..]);
        T::compute(kernel.as_ref(), Forward { args, out, saved, in_place: false, random }).map_err(refused)
    })?;
    let told = saved.iter().map(|value| zoo_kernels::Element::to_f64(*value)).collect();
    // candle wants a gradient for whatever is on its tape: an argument that has none, read for its size alone, isn't put there.
    let has_gradient = |place: usize| kernel.shares() != Shares::Nothing || kernel.has_gradient(place);
    let is_tracked = |place: usize| args[place].track_op() && has_gradient(place);
    let tracked: Vec<usize> = (0..args.len()).filter(|place| is_tracked(*place)).collect();
    if tracked.is_empty() {
        return Ok((Tensor::from_vec(out, dims, &Device::Cpu)?, told));
    }
    let constant = |(place, arg): (usize, &Tensor)| (!is_tracked(place)).then(|| arg.detach());
    let constants = args.iter().enumerate().map(constant).collect();
    let result = Mutex::new(Some((T::to_cpu_storage_owned(out), Shape::from(dims))));
    let random = random.clone();
    let taped = Taped { kernel: Arc::clone(kernel), constants, saved, random, result };
    let on_tape = match *tracked {
        [a] => args[a].apply_op1(taped),
        [a, b] => args[a].apply_op2(&args[b], taped),
        [a, b, c] => args[a].apply_op3(&args[b], &args[c], taped),
        _ => candle_core::bail!(
            "candle's tape takes operations of one to three tensors that have gradients, not of {}",
            tracked.len()
        ),
    };
    Ok((on_tape?, told))
}

/// A kernel that has run, on its way onto the tape.
struct Taped<T> {
    kernel: Arc<dyn Kernel>,
    /// The arguments that have no gradient, each in its place.
    constants: Vec<Option<Tensor>>,
    saved: Vec<T>,
    random: Stream,
    result: Mutex<Option<(CpuStorage, Shape)>>,
}

impl<T: Real> Taped<T> {
    fn result(&self) -> Result<(CpuStorage, Shape)> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        result.ok_or_else(|| Error::Msg(format!("{} was put on the tape twice", self.kernel.name())))
    }

    /// The gradients of the arguments on the tape.
    fn gradients<const N: usize>(
        &self,
        variables: [&Tensor; N],
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; N]> {
        let mut given = variables.iter().copied();
        let mut args: Vec<&Tensor> = Vec::with_capacity(self.constants.len());
        for constant in &self.constants {
            let arg = constant.as_ref().or_else(|| given.next());
            args.push(arg.ok_or_else(|| Error::Msg(format!("{} lost an argument", self.kernel.name())))?);
        }
        let shares = self.kernel.shares();
        let variable: Vec<bool> = self.constants.iter().map(Option::is_none).collect();
        let wanted = variable.iter().enumerate().map(|(place, variable)| match shares {
            Shares::Nothing => *variable && self.kernel.has_gradient(place),
            Shares::Arguments => place == 0,
            Shares::Output => false,
        });
        let wanted: Vec<bool> = wanted.collect();
        let computed = match shares {
            Shares::Output => Vec::new(),
            Shares::Nothing | Shares::Arguments => self.compute(&args, &wanted, out, grad)?,
        };
        let gradients: Vec<Option<Tensor>> = match shares {
            Shares::Nothing => {
                let both = computed.into_iter().zip(&variable);
                both.filter(|(_, variable)| **variable).map(|(gradient, _)| gradient).collect()
            }
            Shares::Arguments => vec![computed.into_iter().flatten().next(); N],
            Shares::Output => vec![Some(grad.clone()); N],
        };
        gradients.try_into().map_err(|_| Error::Msg(format!("{} lost a gradient", self.kernel.name())))
    }

    fn compute(
        &self,
        args: &[&Tensor],
        wanted: &[bool],
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let room = |(arg, wanted): (&&Tensor, &bool)| wanted.then(|| vec![T::ZERO; arg.elem_count()]);
        let mut room: Vec<Option<Vec<T>>> = args.iter().zip(wanted).map(room).collect();
        let all = [args, &[out, grad]].concat();
        with_values::<T, _>(&all, |all| {
            let [args @ .., out, grad] = all else {
                candle_core::bail!("{} ran backward without its result", self.kernel.name());
            };
            let (out, grad) = (out.data, grad.data);
            let back = Backward { args, out, saved: &self.saved, grad, random: &self.random };
            let mut into: Vec<Option<&mut [T]>> = room.iter_mut().map(Option::as_deref_mut).collect();
            T::gradients(self.kernel.as_ref(), back, &mut into).map_err(refused)
        })?;
        let tensor = |(grad, arg): (Option<Vec<T>>, &&Tensor)| {
            grad.map(|grad| Tensor::from_vec(grad, arg.dims(), &Device::Cpu)).transpose()
        };
        room.into_iter().zip(args).map(tensor).collect()
    }
}

impl<T: Real> CustomOp1 for Taped<T> {
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

impl<T: Real> CustomOp2 for Taped<T> {
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

impl<T: Real> CustomOp3 for Taped<T> {
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
