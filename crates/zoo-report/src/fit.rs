//! The cheapest way to train in so much memory.

use zoo_layers::{Graph, Mode, Op, Plan, Recompute, Result};

use crate::{Lesson, Training};

/// A way to train, and what it takes.
#[derive(Clone, Debug)]
pub struct Fit {
    /// How the network learns.
    pub lesson: Lesson,
    /// What that takes.
    pub training: Training,
    /// How many times as long a picture takes as in the plain lesson.
    pub slowdown: f64,
}

/// What came of the search.
#[derive(Clone, Debug)]
pub enum Fitted {
    /// The cheapest lesson that fits.
    Fits(Box<Fit>),
    /// None does; this one takes least.
    Least(Box<Fit>),
}

/// Whether some layer normalises by the statistics of the batch, so that a batch in parts is not the whole one.
pub fn has_batch_norms(graph: &Graph, lesson: &Lesson) -> bool {
    let learning = graph.active(Mode::Train);
    let mut norms = learning.iter().filter(|node| matches!(graph.get(*node).op, Op::BatchNorm2d(_)));
    norms.any(|node| !lesson.frozen.has_statistics(node))
}

/// The cheapest way to train as `lesson` does in `limit` bytes: what gives the same gradients before what gives rounded
/// ones, and batches in parts last where norms go by the batch; among those the fastest.
///
/// # Errors
/// A graph that can't be planned.
pub fn fit(graph: &Graph, lesson: &Lesson, limit: u64) -> Result<Fitted> {
    let mut ways = Vec::new();
    let plain = lesson.plan(graph)?;
    let has_norms = has_batch_norms(graph, lesson);
    for keep_bf16 in if lesson.keep_bf16 { &[true][..] } else { &[false, true][..] } {
        for recompute in [Recompute::Nothing, Recompute::Cheap, Recompute::All] {
            let with = Lesson { recompute, keep_bf16: *keep_bf16, ..lesson.clone() };
            let plan = if (recompute, *keep_bf16) == (lesson.recompute, lesson.keep_bf16) {
                plain.clone()
            } else {
                with.plan(graph)?
            };
            let slowdown = plan.slowdown() / plain.slowdown();
            for parts in parts(lesson.batch, has_norms) {
                let with = split(&with, parts);
                let training = Training::planned(graph, &with, &plan);
                let is_other = u8::from(*keep_bf16) + if parts > 1 && has_norms { 2 } else { 0 };
                ways.push((is_other, slowdown, parts, Fit { lesson: with, training, slowdown }));
            }
        }
    }
    ways.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(&b.2)));
    let least = ways.iter().map(|way| &way.3).min_by_key(|fit| fit.training.peak_bytes);
    let found = ways.iter().map(|way| &way.3).find(|fit| fit.training.peak_bytes <= limit);
    Ok(match (found, least) {
        (Some(fit), _) => Fitted::Fits(Box::new(fit.clone())),
        (None, Some(fit)) => Fitted::Least(Box::new(fit.clone())),
        (None, None) => {
            let training = Training::planned(graph, lesson, &plain);
            Fitted::Least(Box::new(Fit { lesson: lesson.clone(), training, slowdown: 1.0 }))
        }
    })
}

/// The same step of several passes, each of so large a part of the batch.
pub(crate) fn split(lesson: &Lesson, parts: u64) -> Lesson {
    Lesson {
        batch: lesson.batch.div_ceil(parts),
        accumulate: lesson.accumulate.saturating_mul(parts),
        ..lesson.clone()
    }
}

/// Into how many parts a batch may be cut, so that all are alike: its divisors. A part of one picture has no statistics for a
/// norm that goes by its batch.
pub(crate) fn parts(batch: u64, has_norms: bool) -> Vec<u64> {
    let (most, fewest) = (batch.max(1), smallest(has_norms));
    let fits = |parts: &u64| most.is_multiple_of(*parts) && (*parts == 1 || most / parts >= fewest);
    (1..=most.min(4096)).filter(fits).collect()
}

/// The smallest batch that can be learned from.
pub(crate) fn smallest(has_norms: bool) -> u64 {
    if has_norms { 2 } else { 1 }
}

/// A plan's slowdown beside another's, per picture.
pub(crate) fn beside(plan: &Plan, plain: &Plan) -> f64 {
    let work = |plan: &Plan| plan.work() as f64 * plan.slowdown();
    work(plan) / work(plain).max(1.0)
}
