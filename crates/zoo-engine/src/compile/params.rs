//! The weights that are packed: read, counted, checked, and norms folded.

use std::{borrow::Cow, ops::Range};

use zoo_layers::Node;

use super::Compiler;
use crate::{Error, Result, Weights};

impl<W: Weights + ?Sized> Compiler<'_, W> {
    /// A parameter's values, as many as the graph says, and all of them numbers.
    pub(super) fn param(&self, node: Node, place: usize) -> Result<Cow<'_, [f32]>> {
        let rows = self.graph.get(node).params.get(place).and_then(|param| param.shape.first().copied());
        self.rows(node, place, 0..rows.unwrap_or(1))
    }

    /// The same of some of its rows.
    pub(super) fn rows(&self, node: Node, place: usize, rows: Range<usize>) -> Result<Cow<'_, [f32]>> {
        let layer = self.graph.get(node);
        let Some(param) = layer.params.get(place) else {
            return Err(self.broken(layer, "it lacks a parameter"));
        };
        let (node, name) = (|| layer.name.clone(), || param.name.clone());
        let whole = param.shape.first().copied().unwrap_or(1);
        let (count, each) = (rows.len(), param.elements() / whole.max(1));
        let values = self.weights.rows(param, rows).map_err(|reason| Error::Weights {
            node: node(),
            name: name(),
            reason,
        })?;
        if values.len() != count * each {
            let (got, want) = (values.len(), param.shape.clone());
            return Err(Error::Length { node: node(), name: name(), got, want });
        }
        match values.iter().filter(|value| !value.is_finite()).count() {
            0 => Ok(values),
            count => Err(Error::NotFinite { node: node(), name: name(), count, of: values.len() }),
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
        Ok((0..gamma.len()).map(fold).unzip())
    }
}
