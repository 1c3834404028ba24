//! The weights that are packed: read, counted, checked, and norms folded.

use std::{borrow::Cow, ops::Range};

use rayon::prelude::*;
use zoo_kernels::nhwc::{Conv, Fold};
use zoo_layers::{Graph, Node, Param};

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
        let each: usize = conv.spec().weight_shape()[1..].iter().product();
        let fold = Fold { scale, shift: None };
        let failed = |source| Error::Kernel { node: self.graph.get(node).name.clone(), source };
        let mut whole = None;
        for channels in conv.parts(PIECE) {
            if whole.is_none()
                && let Some(rows) = self.rows(node, 0, channels.clone())?
            {
                conv.pack(channels, &rows, fold).map_err(failed)?;
                continue;
            }
            let all = whole.take().map_or_else(|| self.param(node, 0), Ok)?;
            conv.pack(channels.clone(), &all[channels.start * each..channels.end * each], fold)
                .map_err(failed)?;
            whole = Some(all);
        }
        Ok(())
    }

    /// A parameter's values, as many as the graph says, and all of them numbers.
    pub(super) fn param(&self, node: Node, place: usize) -> Result<Cow<'_, [f32]>> {
        let param = self.named(node, place)?;
        let values = self.weights.values(param).map_err(|reason| self.refused(node, param, reason))?;
        self.checked(node, param, 0..param.shape.first().copied().unwrap_or(1), values)
    }

    /// The same of some of its rows, where these can be had alone.
    fn rows(&self, node: Node, place: usize, rows: Range<usize>) -> Result<Option<Cow<'_, [f32]>>> {
        let param = self.named(node, place)?;
        let values = self.weights.rows(param, rows.clone());
        let values = values.map_err(|reason| self.refused(node, param, reason))?;
        values.map(|values| self.checked(node, param, rows, values)).transpose()
    }

    fn named(&self, node: Node, place: usize) -> Result<&Param> {
        let layer = self.graph.get(node);
        layer.params.get(place).ok_or_else(|| broken(layer, "it lacks a parameter"))
    }

    fn refused(&self, node: Node, param: &Param, reason: String) -> Error {
        Error::Weights { node: self.graph.get(node).name.clone(), name: param.name.clone(), reason }
    }

    fn checked<'v>(
        &self,
        node: Node,
        param: &Param,
        rows: Range<usize>,
        values: Cow<'v, [f32]>,
    ) -> Result<Cow<'v, [f32]>> {
        let (node, name) = (self.graph.get(node).name.clone(), param.name.clone());
        let whole = param.shape.first().copied().unwrap_or(1);
        if values.len() != rows.len() * (param.elements() / whole.max(1)) {
            let mut want = param.shape.clone();
            if let Some(first) = want.first_mut() {
                *first = rows.len();
            }
            return Err(Error::Length { node, name, rows, got: values.len(), want });
        }
        match values.iter().filter(|value| !value.is_finite()).count() {
            0 => Ok(values),
            count => Err(Error::NotFinite { node, name, rows, count, of: values.len() }),
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
