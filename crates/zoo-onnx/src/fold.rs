//! Batch norms folded into the convolutions before them: their scale into the weight, their shift into the bias.

use std::collections::HashMap;

use zoo_layers::{Graph, Layer, Mode, Node, Op, Param};

use crate::{Error, Result, Weights, tensor::gather};

/// A norm that goes into the convolution before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fold<'a> {
    conv: &'a Layer,
    norm: &'a Layer,
    eps: f64,
}

/// The norms that can be folded, by node: what reads the convolution is the norm alone.
pub(crate) fn folds(graph: &Graph) -> HashMap<Node, Node> {
    let active = graph.active(Mode::Eval);
    let mut readers: HashMap<Node, usize> = HashMap::new();
    for (_, layer) in graph.nodes().filter(|(node, _)| active.contains(*node)) {
        for input in &layer.inputs {
            *readers.entry(*input).or_default() += 1;
        }
    }
    for output in graph.outputs_in(Mode::Eval) {
        *readers.entry(output.node).or_default() += 1;
    }
    let folded = |(node, layer): (Node, &Layer)| {
        let conv = *layer.inputs.first()?;
        let fits = active.contains(node)
            && matches!(layer.op, Op::BatchNorm2d(_))
            && matches!(graph.get(conv).op, Op::Conv2d(_))
            && readers.get(&conv) == Some(&1);
        fits.then_some((node, conv))
    };
    graph.nodes().filter_map(folded).collect()
}

impl<'a> Fold<'a> {
    /// Of a norm and the convolution before it.
    pub(crate) fn new(conv: &'a Layer, norm: &'a Layer) -> Option<Self> {
        match &norm.op {
            Op::BatchNorm2d(op) => Some(Self { conv, norm, eps: op.eps }),
            _ => None,
        }
    }

    /// The convolution's weight.
    pub(crate) fn weight(&self) -> Option<&'a Param> {
        self.conv.params.first()
    }

    /// Scale and shift of each channel.
    fn affine(&self, weights: &dyn Weights) -> Result<Vec<(f64, f64)>> {
        let bias = self.conv.params.get(1).map(|bias| gather(bias, weights)).transpose()?;
        let norm: Vec<Vec<f32>> =
            self.norm.params.iter().map(|param| gather(param, weights)).collect::<Result<_>>()?;
        let [gamma, beta, mean, variance] = &norm[..] else { return Ok(Vec::new()) };
        let mut affine = Vec::with_capacity(gamma.len());
        for (channel, gamma) in gamma.iter().enumerate() {
            let at = |values: &[f32]| values.get(channel).copied().map_or(0.0, f64::from);
            let scale = f64::from(*gamma) / (at(variance) + self.eps).sqrt();
            if !scale.is_finite() {
                let (node, variance) = (self.norm.name.clone(), at(variance) as f32);
                return Err(Error::Unfoldable { node, channel, variance, eps: self.eps });
            }
            let bias = bias.as_ref().map_or(0.0, |bias| at(bias));
            affine.push((scale, at(beta) + (bias - at(mean)) * scale));
        }
        Ok(affine)
    }

    /// The convolution's weight, each filter times its channel's scale.
    pub(crate) fn weights(
        &self,
        weights: &dyn Weights,
        take: &mut dyn FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let Some(param) = self.weight() else { return Ok(()) };
        let affine = self.affine(weights)?;
        let filter = param.elements() / affine.len().max(1);
        let mut place = 0;
        let mut scaled = Vec::new();
        weights.values(param, &mut |values| {
            scaled.clear();
            scaled.extend(values.iter().enumerate().map(|(more, value)| {
                let scale = affine.get((place + more) / filter.max(1)).map_or(1.0, |(scale, _)| *scale);
                (f64::from(*value) * scale) as f32
            }));
            place += values.len();
            take(&scaled)
        })
    }

    /// The bias that the convolution has with the norm in it.
    pub(crate) fn shifts(&self, weights: &dyn Weights) -> Result<Vec<f32>> {
        Ok(self.affine(weights)?.into_iter().map(|(_, shift)| shift as f32).collect())
    }
}
