//! Depthwise convolutions and the 1x1 convolutions around them become one step each.

use std::ops::Range;

use zoo_kernels::nhwc::{Bands, Conv, Method};

use super::Draft;
use crate::{
    Error, Result,
    memory::{CellId, Cells},
    step::Work,
};

/// Rows of a map from which on bands pay: of fewer, threads share too few, and all of it stays in the cache anyway.
const FEWEST: usize = 28;

/// Takes convolutions together that read each other's results and that nobody else reads.
pub(super) fn fuse(drafts: Vec<Draft>, cells: &mut Cells, results: &[CellId]) -> Result<Vec<Draft>> {
    let mut fused: Vec<Draft> = Vec::with_capacity(drafts.len());
    let mut drafts = drafts.into_iter().enumerate().peekable();
    while let Some((i, draft)) = drafts.next() {
        let mut chain = vec![draft];
        while let (Some(last), Some((_, next))) = (chain.last(), drafts.peek())
            && chain.len() < 3
            && follows(last, next, chain.len() == 1 || is_depthwise(last), cells, i + chain.len(), results)
        {
            chain.extend(drafts.next().map(|(_, next)| next));
        }
        match chain.len() {
            1 => fused.append(&mut chain),
            count => fused.push(together(chain, i + 1..i + count, cells)?),
        }
    }
    Ok(fused)
}

fn is_depthwise(draft: &Draft) -> bool {
    matches!(&draft.work, Work::Conv { conv, .. } if conv.method() == Method::Depthwise)
}

/// Whether `next`, the step behind step `now`, can be computed with the one before it.
fn follows(last: &Draft, next: &Draft, goes_on: bool, cells: &Cells, now: usize, results: &[CellId]) -> bool {
    let (
        Work::Conv { conv: first, out, residual: None, .. },
        Work::Conv { conv: second, input, residual, .. },
    ) = (&last.work, &next.work)
    else {
        return false;
    };
    let cell = &cells.cells[*out];
    let alone = (cell.born, cell.last) == (now, now + 1) && cell.inside.is_none() && !results.contains(out);
    goes_on
        && input == out
        && alone
        && *residual != Some(*out)
        && (residual.is_none() || !is_depthwise(next))
        && Bands::fits(first, second)
        && depthwise_rows(first, second) >= FEWEST
}

/// Rows of the depthwise one's result.
fn depthwise_rows(first: &Conv, second: &Conv) -> usize {
    let depthwise = if first.spec().is_depthwise() { first } else { second };
    depthwise.output()[2]
}

/// Two or three convolutions, the steps from the first to the last of `steps`, as one.
fn together(chain: Vec<Draft>, steps: Range<usize>, cells: &mut Cells) -> Result<Draft> {
    let macs = chain.iter().map(|draft| draft.macs).sum();
    let node = chain.first().map_or_else(String::new, |draft| draft.node.clone());
    let (mut expand, mut depthwise, mut project) = (None, None, None);
    let (mut from, mut to, mut beside) = (None, None, None);
    for draft in chain {
        let Work::Conv { conv, input, out, residual, activation } = draft.work else { continue };
        from = from.or(Some(input));
        beside = beside.or(residual);
        if let Some(between) = to.replace(out)
            && between != out
        {
            cells.forget(between);
        }
        let part = Some((*conv, activation));
        match (&depthwise, part.as_ref().is_some_and(|(conv, _)| conv.spec().is_depthwise())) {
            (None, true) => depthwise = part,
            (None, false) => expand = part,
            (Some(_), _) => project = part,
        }
    }
    let broken = || Error::Layer { node: node.clone(), reason: "its bands are broken".into() };
    let (Some(depthwise), Some(input), Some(out)) = (depthwise, from, to) else { return Err(broken()) };
    let bands = Bands::new(expand, depthwise, project)
        .map_err(|source| Error::Kernel { node: node.clone(), source })?;
    // All of it is read while all of it is written.
    cells.used(out, steps.start);
    for read in [Some(input), beside].into_iter().flatten() {
        cells.used(read, steps.end);
    }
    Ok(Draft { node, macs, work: Work::Bands { bands: Box::new(bands), input, out, residual: beside } })
}
