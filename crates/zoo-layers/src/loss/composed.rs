//! Losses in candle's operations, for devices without kernels.

use candle_core::{D, DType, Device, Result, Tensor};

use super::Loss;

/// As [`Loss::of`], where all was found to fit.
pub(super) fn loss(loss: &Loss, logits: &Tensor, labels: &[i64], weights: &[f64]) -> Result<Tensor> {
    let rows = match logits.rank() {
        4 => logits.permute((0, 2, 3, 1))?.contiguous()?.flatten(0, 2)?,
        _ => logits.clone(),
    };
    // The maximum is taken off without its gradient, which is nothing but rounding.
    let shifted = rows.broadcast_sub(&rows.max_keepdim(D::Minus1)?.detach())?;
    let log_p = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?;
    let of = Positions { loss, log_p, labels, weights };
    let mut total = Tensor::zeros((), logits.dtype(), logits.device())?;
    if loss.cross_entropy != 0.0 {
        total = (total + (of.cross_entropy()? * loss.cross_entropy)?)?;
    }
    if loss.dice != 0.0 {
        total = (total + (of.dice()? * loss.dice)?)?;
    }
    if loss.focal != 0.0 {
        total = (total + (of.focal()? * loss.focal)?)?;
    }
    Ok(total)
}

struct Positions<'a> {
    loss: &'a Loss,
    /// `(positions, classes)`.
    log_p: Tensor,
    labels: &'a [i64],
    weights: &'a [f64],
}

impl Positions<'_> {
    fn weight(&self, class: usize) -> f64 {
        self.weights.get(class).copied().unwrap_or(1.0)
    }

    /// The positions that count, and their classes.
    fn counted(&self) -> impl Iterator<Item = (usize, usize)> {
        let counts = self.labels.iter().enumerate().filter(|(_, label)| self.loss.ignored != Some(**label));
        counts.map(|(position, &label)| (position, label as usize))
    }

    /// What all positions that count do count together.
    fn all(&self) -> f64 {
        self.counted().map(|(_, class)| self.weight(class)).sum()
    }

    fn tensor(&self, values: Vec<f64>, dims: &[usize]) -> Result<Tensor> {
        let tensor = Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(self.log_p.dtype())?;
        tensor.to_device(self.log_p.device())
    }

    /// For each position that counts a row: what its other classes are wanted to have, and its label's.
    fn wanted(&self, others: impl Fn(usize) -> f64, label: impl Fn(usize) -> f64) -> Result<Tensor> {
        let dims = self.log_p.dims();
        let mut wanted = vec![0.0; dims[0] * dims[1]];
        for (position, class) in self.counted() {
            let row = &mut wanted[position * dims[1]..][..dims[1]];
            row.fill(others(class));
            row[class] = label(class);
        }
        self.tensor(wanted, dims)
    }

    fn cross_entropy(&self) -> Result<Tensor> {
        let (even, weight) = (self.loss.smoothing / self.log_p.dim(1)? as f64, |class| self.weight(class));
        let wanted = self.wanted(
            |class| weight(class) * even,
            |class| weight(class) * (1.0 - self.loss.smoothing + even),
        )?;
        let total = (&self.log_p * wanted)?.sum_all()?;
        total.to_dtype(DType::F64)?.affine(-1.0 / self.all(), 0.0)?.to_dtype(self.log_p.dtype())
    }

    fn focal(&self) -> Result<Tensor> {
        let all = self.all();
        let wanted = self.wanted(|_| 0.0, |class| self.weight(class) / all)?;
        let doubt = self.log_p.exp()?.affine(-1.0, 1.0)?;
        let losses = match self.loss.gamma == 0.0 {
            true => self.log_p.clone(),
            false => (doubt.powf(self.loss.gamma)? * &self.log_p)?,
        };
        (losses * wanted)?.sum_all()?.neg()
    }

    fn dice(&self) -> Result<Tensor> {
        let (positions, classes) = self.log_p.dims2()?;
        let (mut counted, mut labelled) = (vec![0.0; positions], vec![0.0; classes]);
        for (position, class) in self.counted() {
            counted[position] = 1.0;
            labelled[class] += 1.0;
        }
        let share = |class: usize| if labelled[class] > 0.0 { self.weight(class) } else { 0.0 };
        let all: f64 = (0..classes).map(share).sum();
        let shares = self.tensor((0..classes).map(|class| share(class) / all).collect(), &[classes])?;
        let counted = self.tensor(counted, &[positions, 1])?;
        let labelled = self.tensor(labelled, &[classes])?;
        let given = self.log_p.exp()?;
        let both = (&given * self.wanted(|_| 0.0, |_| 1.0)?)?.sum(0)?;
        let given = given.broadcast_mul(&counted)?.sum(0)?;
        let coefficients = (both.affine(2.0, 1.0)? / (given + labelled)?.affine(1.0, 1.0)?)?;
        (coefficients * shares)?.sum_all()?.affine(-1.0, 1.0)
    }
}
