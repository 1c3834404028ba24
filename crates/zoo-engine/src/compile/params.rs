//! The weights that are packed: read, counted, checked, and norms folded.

use std::{borrow::Cow, ops::Range};

use rayon::prelude::*;
use zoo_kernels::nhwc::{Conv, Fold};
use zoo_layers::{Graph, Node};

use super::{Draft, broken};
use crate::{Error, Result, Weights, step::Work};

/// Weights of a layer that a thread reads at a time.
const PIECE: usize = 1 << 20;

/// A graph's parameters, where they are.
#[derive(Debug)]
pub(super) struct Params<'a, W: ?Sized> {
    pub(super) graph: &'a Graph,
    pub(super) weights: &'a W,
}

/// A convolution whose weights are still to be packed, and the scale that is folded into them.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) draft: usize,
    pub(super) node: Node,
    pub(super) scale: Option<Vec<f32>>,
}

impl<W: Weights + ?Sized> Params<'_, W> {
    /// Packs what is unpacked, several layers at a time, each part by part.
    pub(super) fn pack(&self, drafts: &mut [Draft], unpacked: &[Unpacked]) -> Result<()> {
        let mut todo = unpacked.iter().peekable();
        let mut jobs = Vec::with_capacity(unpacked.len());
        for (i, draft) in drafts.iter_mut().enumerate() {
            if let Work::Conv { conv, .. } = &mut draft.work
                && let Some(job) = todo.next_if(|job| job.draft == i)
            {
                jobs.push((conv, job));
            }
        }
        let done: Vec<Result<()>> = jobs
            .into_par_iter()
            .with_max_len(1)
            .map(|(conv, job)| self.pack_one(conv, job.node, job.scale.as_deref()))
            .collect();
        done.into_iter().collect()
    }

    fn pack_one(&self, conv: &mut Conv, node: Node, scale: Option<&[f32]>) -> Result<()> {
        for channels in conv.parts(PIECE) {
            let weight = self.rows(node, 0, channels.clone())?;
            let fold = Fold { scale, shift: None };
            let packed = conv.pack(channels, &weight, fold);
            packed.map_err(|source| Error::Kernel { node: self.graph.get(node).name.clone(), source })?;
        }
        Ok(())
    }

    /// A parameter's values, as many as the graph says, and all of them numbers.
    pub(super) fn param(&self, node: Node, place: usize) -> Result<Cow<'_, [f32]>> {
        let rows = self.graph.get(node).params.get(place).and_then(|param| param.shape.first().copied());
        self.rows(node, place, 0..rows.unwrap_or(1))
    }

    /// The same of some of its rows.
    pub(super) fn rows(&self, node: Node, place: usize, rows: Range<usize>) -> Result<Cow<'_, [f32]>> {
        let layer = self.graph.get(node);
        let Some(param) = layer.params.get(place) else {
            return Err(broken(layer, "it lacks a parameter"));
        };
        let (node, name) = (|| layer.name.clone(), || param.name.clone());
        let whole = param.shape.first().copied().unwrap_or(1);
        let (count, each) = (rows.len(), param.elements() / whole.max(1));
        let values = self.weights.rows(param, rows.clone()).map_err(|reason| Error::Weights {
            node: node(),
            name: name(),
            reason,
        })?;
        if values.len() != count * each {
            let mut want = param.shape.clone();
            if let Some(first) = want.first_mut() {
                *first = count;
            }
            return Err(Error::Length { node: node(), name: name(), rows, got: values.len(), want });
        }
        match values.iter().filter(|value| !value.is_finite()).count() {
            0 => Ok(values),
            count => Err(Error::NotFinite { node: node(), name: name(), rows, count, of: values.len() }),
        }
    }

    /// A norm's scale and shift, a bias before it taken in.
    pub(super) fn fold(&self, norm: Node, eps: f64, bias: Option<&[f32]>) -> Result<(Vec<f32>, Vec<f32>)> {
        let [gamma, beta] = [self.param(norm, 0)?, self.param(norm, 1)?];
        let [mean, variance] = [self.param(norm, 2)?, self.param(norm, 3)?];
        let fold = |channel: usize| {
            let at = |values: &[f32]| f64::from(values[channel]);
            let scale = at(&gamma) / (at(&variance) + eps).sqrt();
            let before = bias.map_or(0.0, at) - at(&mean);
            (scale as f32, (at(&beta) + before * scale) as f32)
        };
        // Of nothing there is no scale either, only an infinite one.
        if let Some(channel) = variance.iter().position(|&variance| f64::from(variance) + eps <= 0.0) {
            let node = self.graph.get(norm).name.clone();
            return Err(Error::Variance { node, channel, variance: variance[channel], eps });
        }
        Ok((0..gamma.len()).map(fold).unzip())
    }
}
