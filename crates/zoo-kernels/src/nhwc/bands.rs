//! A depthwise convolution together with the 1x1 convolutions before and behind it, in bands of rows.
//!
//! An inverted residual makes six times as many channels as it takes, only to fold them up again; a separable convolution
//! reads all that its depthwise part has written. Here some rows at a time go through all of it, so that what lies between
//! stays in the cache, and never is in the arena. Rows that two bands see are kept from the one to the next; only where
//! another thread goes on are they computed twice.

#![expect(unsafe_code, reason = "tasks share the arena, and bands lie in memory of their own")]

use std::ops::Range;

use super::conv::{Conv, Method, OP, Tail, check_shape};
use super::map::Map;
use crate::activation::Activation;
use crate::caches::Caches;
use crate::error::{KernelError, Result, Shape};
use crate::par::{Shared, part, tasks};
use crate::scratch;

/// The convolutions, each with what follows its sums.
#[derive(Debug)]
pub struct Bands {
    expand: Option<(Conv, Activation)>,
    depthwise: (Conv, Activation),
    project: Option<(Conv, Activation)>,
}

/// Whether a convolution takes each pixel by itself.
fn is_pointwise(conv: &Conv) -> bool {
    let spec = conv.spec();
    conv.method().is_direct()
        && spec.kernel_size == [1, 1]
        && spec.stride == [1, 1]
        && spec.padding == Default::default()
        && spec.groups == 1
}

/// That a sum ends in what a tile can do.
fn is_short(activation: Activation) -> bool {
    !matches!(activation, Activation::Sigmoid | Activation::Tanh)
}

impl Bands {
    /// Whether a 1x1 convolution and the depthwise one behind it, or that and the 1x1 behind it, can be computed together.
    pub fn fits(first: &Conv, second: &Conv) -> bool {
        let depthwise = |conv: &Conv| conv.method() == Method::Depthwise;
        (is_pointwise(first) && depthwise(second)) || (depthwise(first) && is_pointwise(second))
    }

    /// Of convolutions that read each other's results.
    ///
    /// # Errors
    /// Convolutions that don't fit, or fit each other.
    pub fn new(
        expand: Option<(Conv, Activation)>,
        depthwise: (Conv, Activation),
        project: Option<(Conv, Activation)>,
    ) -> Result<Self> {
        let parts = [expand.as_ref(), project.as_ref()];
        let right =
            parts.into_iter().flatten().all(|(conv, activation)| is_pointwise(conv) && is_short(*activation))
                && depthwise.0.method() == Method::Depthwise
                && is_short(depthwise.1);
        if !right {
            return Err(KernelError::Value {
                op: OP,
                what: "band",
                value: format!("{expand:?}, {depthwise:?}, {project:?}"),
                must: "a depthwise convolution between 1x1 ones: `Bands::fits` tells",
            });
        }
        if let Some((conv, _)) = &expand {
            check_shape("expansion", conv.output(), depthwise.0.input())?;
        }
        if let Some((conv, _)) = &project {
            check_shape("depthwise result", depthwise.0.output(), conv.input())?;
        }
        Ok(Self { expand, depthwise, project })
    }

    /// The output's shape.
    pub fn output(&self) -> Shape {
        self.project.as_ref().map_or(self.depthwise.0.output(), |(conv, _)| conv.output())
    }

    fn input(&self) -> Shape {
        self.expand.as_ref().map_or(self.depthwise.0.input(), |(conv, _)| conv.input())
    }

    /// The numbers that packed weights and biases take.
    pub fn packed_len(&self) -> usize {
        let others = [&self.expand, &self.project].into_iter().flatten();
        self.depthwise.0.packed_len() + others.map(|(conv, _)| conv.packed_len()).sum::<usize>()
    }

    /// How many numbers a thread works in beside the arena.
    pub fn working(&self) -> usize {
        let [expanded, filtered] = self.room(self.rows());
        expanded + filtered
    }

    /// Numbers of so many rows of the depthwise convolution's result, and of what they see.
    fn room(&self, rows: usize) -> [usize; 2] {
        let (conv, _) = &self.depthwise;
        let ([_, c, h, w], [_, _, _, ow]) = (conv.input(), conv.output());
        let spec = conv.spec();
        let seen = ((rows - 1) * spec.stride[0] + (spec.kernel_size[0] - 1) * spec.dilation[0] + 1).min(h);
        let expanded = if self.expand.is_some() { seen * w * c } else { 0 };
        let filtered = if self.project.is_some() { rows * ow * c } else { 0 };
        [expanded, filtered]
    }

    /// Rows of a band: as many as stay in the cache.
    fn rows(&self) -> usize {
        let [_, _, oh, _] = self.depthwise.0.output();
        let near = Caches::current().block() / size_of::<f32>();
        let fits = |rows: &usize| self.room(*rows).iter().sum::<usize>() <= near;
        (1..=oh).take_while(fits).last().unwrap_or(1)
    }

    /// Computes `out` from `input`, both in `arena`, for any number of pictures.
    ///
    /// # Errors
    /// Maps of other shapes, outside of the arena or over each other.
    pub fn run(&self, arena: &mut [f32], input: Map, out: Map, residual: Option<Map>) -> Result<()> {
        let of_batch = |[_, c, h, w]: Shape, n: usize| [n, c, h, w];
        check_shape("input", input.shape, of_batch(self.input(), out.shape[0]))?;
        check_shape("output", out.shape, of_batch(self.output(), input.shape[0]))?;
        input.check(OP, arena.len())?;
        out.check(OP, arena.len())?;
        out.check_apart(OP, &input)?;
        if let Some(residual) = residual {
            check_shape("residual", residual.shape, out.shape)?;
            residual.check(OP, arena.len())?;
            if !residual.is_same(&out) {
                out.check_apart(OP, &residual)?;
            }
            if self.project.is_none() {
                return Err(KernelError::Value {
                    op: OP,
                    what: "residual",
                    value: "behind a depthwise convolution".into(),
                    must: "behind a projection",
                });
            }
        }
        let arena = Shared::new(arena);
        let ([n, ..], [_, _, oh, _]) = (out.shape, self.depthwise.0.output());
        // As few parts as keep all threads busy: between parts rows are computed twice.
        let threads = rayon::current_num_threads();
        let parts = threads.div_ceil(n).min(oh);
        tasks(n * parts, usize::MAX, |task| {
            let band = Band { bands: self, arena, input, out, residual, picture: task / parts };
            band.all(part(oh, parts, task % parts));
        });
        Ok(())
    }
}

/// One picture's run.
struct Band<'a> {
    bands: &'a Bands,
    arena: Shared<f32>,
    input: Map,
    out: Map,
    residual: Option<Map>,
    picture: usize,
}

impl Band<'_> {
    /// Some rows, band by band.
    fn all(&self, rows: Range<usize>) {
        let most = self.bands.rows().min(rows.len());
        let [expanded, filtered] = self.bands.room(most);
        let mut expanded = scratch::take::<f32>(expanded);
        let mut filtered = scratch::take::<f32>(filtered);
        let count = rows.len().div_ceil(most);
        // The rows of the expansion that are there.
        let mut there = 0..0;
        for i in 0..count {
            let band = part(rows.len(), count, i);
            there = self.band(
                rows.start + band.start..rows.start + band.end,
                &mut expanded,
                &mut filtered,
                there,
            );
        }
    }

    /// One band; `there` are the rows that lie at the beginning of `expanded`. Gives those that lie there afterwards.
    fn band(
        &self,
        rows: Range<usize>,
        expanded: &mut [f32],
        filtered: &mut [f32],
        there: Range<usize>,
    ) -> Range<usize> {
        let Bands { expand, depthwise: (depthwise, follows), project } = self.bands;
        let (spec, n) = (depthwise.spec(), self.picture);
        let ([_, c, h, w], [_, _, oh, ow]) = (depthwise.input(), depthwise.output());
        let reach = (spec.kernel_size[0] - 1) * spec.dilation[0] + 1;
        let top = spec.padding.top;
        let seen = (rows.start * spec.stride[0]).saturating_sub(top).min(h)
            ..((rows.end - 1) * spec.stride[0] + reach).saturating_sub(top).min(h);
        let (whole, arena) = (Map::dense(0, [1, c, h, w]), self.arena);
        // The memory in which a whole map would begin, had it not only these rows.
        let shifted = |memory: &mut [f32], map: &Map, first: usize| {
            Shared::at(memory.as_mut_ptr().wrapping_sub(first * map.row))
        };
        let (source, input) = match expand {
            None => (arena, self.input.rows(n, 0..h)),
            Some((conv, activation)) => {
                // What the last band has computed moves to the beginning, and the rest is new.
                let kept = seen.start.max(there.start)..seen.end.min(there.end).max(seen.start);
                let new = if kept.is_empty() { seen.clone() } else { kept.end..seen.end.max(kept.end) };
                if !kept.is_empty() {
                    let from = (kept.start - there.start) * whole.row;
                    expanded.copy_within(from..from + kept.len() * whole.row, 0);
                }
                let memory = shifted(expanded, &whole, seen.start);
                if !new.is_empty() {
                    let (input, to) = (self.input.rows(n, new.clone()), whole.rows(0, new));
                    let tail = Tail { residual: None, activation: *activation };
                    // SAFETY: `Bands::run` checked the input's map; of the whole expansion the band's rows lie in
                    // `expanded`, which has room for as many as a band sees, and is this thread's own.
                    unsafe { conv.run_alone([arena, memory, arena], &input, &to, tail) };
                }
                (memory, whole)
            }
        };
        match project {
            None => {
                let out = self.out.rows(n, 0..oh);
                // SAFETY: the rows that the band sees are there, and the output is in the arena, where no other task
                // writes these rows.
                unsafe { depthwise.run_rows([source, arena], &input, &out, rows.clone(), *follows) };
            }
            Some((conv, activation)) => {
                let between = Map::dense(0, [1, c, oh, ow]);
                let memory = shifted(filtered, &between, rows.start);
                let residual = self.residual.map(|residual| residual.rows(n, rows.clone()));
                let tail = Tail { residual, activation: *activation };
                let (from, to) = (between.rows(0, rows.clone()), self.out.rows(n, rows.clone()));
                // SAFETY: as above; `filtered` has room for a band's rows.
                unsafe {
                    depthwise.run_rows([source, memory], &input, &between, rows.clone(), *follows);
                    conv.run_alone([memory, arena, arena], &from, &to, tail);
                }
            }
        }
        seen
    }
}
