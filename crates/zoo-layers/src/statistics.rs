//! The running statistics of batch norms, which move at each training step.

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor, Var};

use crate::{Element, Net, Node, Op, kernel::Real, ops::BatchStatistics};

impl Net {
    /// The running statistics move towards those of a batch of `count` values for each channel: their means, then
    /// their variances divided by the count.
    pub(crate) fn move_statistics<T: Real>(
        &self,
        node: Node,
        saved: &[T],
        count: usize,
    ) -> candle_core::Result<()> {
        let Op::BatchNorm2d(norm) = &self.graph().get(node).op else { return Ok(()) };
        let (mean, variance) = saved.split_at(saved.len() / 2);
        let momentum = self.momentum.unwrap_or(norm.momentum);
        let unbiased = count as f64 / count.saturating_sub(1).max(1) as f64;
        for (place, seen, factor) in [(MEAN, mean, 1.0), (VARIANCE, variance, unbiased)] {
            let running = self.param(node, place)?;
            match running.dtype() == T::DTYPE && running.device().is_cpu() {
                true => running.inplace_op1(&Towards { seen, factor, momentum })?,
                false => {
                    let seen: Vec<f64> = seen.iter().map(|value| Element::to_f64(*value) * factor).collect();
                    let seen = Tensor::from_vec(seen, running.dims(), &candle_core::Device::Cpu)?;
                    self.move_tensor(node, place, &seen, momentum)?;
                }
            }
        }
        Ok(())
    }

    /// The same by candle's operations, on any device.
    pub(crate) fn move_by_tensors(&self, node: Node, batch: &BatchStatistics) -> candle_core::Result<()> {
        let Op::BatchNorm2d(norm) = &self.graph().get(node).op else { return Ok(()) };
        let momentum = self.momentum.unwrap_or(norm.momentum);
        self.move_tensor(node, MEAN, &batch.mean, momentum)?;
        self.move_tensor(node, VARIANCE, &batch.variance, momentum)
    }

    fn move_tensor(&self, node: Node, place: usize, seen: &Tensor, momentum: f64) -> candle_core::Result<()> {
        let running = self.variable(node, place)?;
        let seen = seen.to_dtype(DType::F32)?.to_device(running.device())?.to_dtype(running.dtype())?;
        let moved = ((running.detach() * (1.0 - momentum))? + (seen * momentum)?)?;
        Var::from_tensor(running)?.set(&moved)
    }
}

/// Where a batch norm's parameters keep the running mean and variance.
const MEAN: usize = 2;
const VARIANCE: usize = 3;

/// Moves a statistic where it lies.
struct Towards<'a, T> {
    seen: &'a [T],
    factor: f64,
    momentum: f64,
}

impl<T: Real> InplaceOp1 for Towards<'_, T> {
    fn name(&self) -> &'static str {
        "running_statistics"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let moved = |running: f64, seen: &T| {
            running * (1.0 - self.momentum) + Element::to_f64(*seen) * self.factor * self.momentum
        };
        let start = layout.start_offset();
        match storage {
            CpuStorage::F32(running) => {
                let pairs = running.iter_mut().skip(start).zip(self.seen);
                pairs.for_each(|(running, seen)| *running = moved(f64::from(*running), seen) as f32);
            }
            CpuStorage::F64(running) => {
                let pairs = running.iter_mut().skip(start).zip(self.seen);
                pairs.for_each(|(running, seen)| *running = moved(*running, seen));
            }
            _ => candle_core::bail!("running statistics are f32 or f64 here"),
        }
        Ok(())
    }
}
