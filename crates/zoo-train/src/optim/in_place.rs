//! Updates of parameters and state where they lie, number by number, on all threads.

use candle_core::{CpuStorage, InplaceOp1, InplaceOp3, Layout, Result, Tensor, WithDType, bail};
use zoo_kernels::Element;
use zoo_kernels::pieces;

/// Numbers that a thread takes at once.
const CHUNK: usize = 1 << 14;

/// What becomes of one number of a tensor, given the numbers at its place in two others.
pub(crate) trait Formula: Sync {
    fn number<T: Element>(&self, x: T, a: T, b: T) -> T;
}

/// Whether [`update`] can take this tensor.
pub(crate) fn takes(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), candle_core::DType::F32 | candle_core::DType::F64)
}

/// `x = formula(x, a, b)`, for contiguous tensors of one shape.
pub(crate) fn update(x: &Tensor, a: &Tensor, b: &Tensor, formula: impl Formula) -> Result<()> {
    x.inplace_op3(&a.contiguous()?, &b.contiguous()?, &Update(formula))
}

/// `x = x * factor`, for a contiguous tensor.
pub(crate) fn scale(x: &Tensor, factor: f64) -> Result<()> {
    x.inplace_op1(&Scale(factor))
}

struct Scale(f64);

impl Scale {
    fn run<T: Element>(&self, x: &mut [T]) {
        let factor = T::from_f64(self.0);
        pieces(x, CHUNK, |_, x| x.iter_mut().for_each(|x| *x *= factor));
    }
}

impl InplaceOp1 for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("a gradient isn't contiguous") };
        match x {
            CpuStorage::F32(x) => self.run(&mut x[start..end]),
            CpuStorage::F64(x) => self.run(&mut x[start..end]),
            _ => bail!("a gradient is f32 or f64"),
        }
        Ok(())
    }
}

struct Update<F>(F);

impl<F: Formula> Update<F> {
    fn run<T: Element>(&self, x: &mut [T], a: &[T], b: &[T]) {
        pieces(x, CHUNK, |start, x| {
            for (x, (&a, &b)) in x.iter_mut().zip(a[start..].iter().zip(&b[start..])) {
                *x = self.0.number(*x, a, b);
            }
        });
    }
}

/// The numbers of a contiguous tensor.
fn part<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice()?[start..end]),
        None => bail!("an optimizer was given a tensor that isn't contiguous"),
    }
}

impl<F: Formula> InplaceOp3 for Update<F> {
    fn name(&self) -> &'static str {
        "optimizer step"
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("an optimizer was given a parameter that isn't contiguous")
        };
        match x {
            CpuStorage::F32(x) => self.run(&mut x[start..end], part(a, a_layout)?, part(b, b_layout)?),
            CpuStorage::F64(x) => self.run(&mut x[start..end], part(a, a_layout)?, part(b, b_layout)?),
            _ => bail!("an optimizer updates f32 and f64 in place"),
        }
        Ok(())
    }
}
