//! Pools, channels innermost: what a window's pixels give, vector by vector of channels.

#![expect(unsafe_code, reason = "tasks share the arena")]

use std::ops::Range;

use super::map::Map;
use crate::error::{KernelError, Result};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::pool::{Pool2d, Window, adaptive_windows, windows};
use crate::simd::Lanes;

/// `out` = the largest value of each window, or NaN if there is one in it; both maps in `arena`.
///
/// # Errors
/// As [`Pool2d::output_shape`]; maps of other shapes, outside of the arena or over each other.
pub fn max_pool(pool: &Pool2d, arena: &mut [f32], input: Map, out: Map) -> Result<()> {
    let (rows, columns) = both(pool, "max_pool2d", arena.len(), [&input, &out])?;
    run("max_pool2d", Step::Max, &rows, &columns, pool.dilation, arena, input, out)
}

/// `out` = the mean of each window; both maps in `arena`.
///
/// # Errors
/// As [`max_pool`]; a dilation, which an average has not.
pub fn average_pool(pool: &Pool2d, arena: &mut [f32], input: Map, out: Map) -> Result<()> {
    let (rows, columns) = both(pool, "avg_pool2d", arena.len(), [&input, &out])?;
    if pool.dilation != [1, 1] {
        return Err(KernelError::Value {
            op: "avg_pool2d",
            what: "dilation",
            value: format!("{:?}", pool.dilation),
            must: "1",
        });
    }
    run("avg_pool2d", Step::Average, &rows, &columns, [1, 1], arena, input, out)
}

/// `out` = the means of as many regions as it has pixels, which share the input out evenly; both maps in `arena`.
///
/// # Errors
/// Maps of other channels, outside of the arena or over each other.
pub fn global_average(arena: &mut [f32], input: Map, out: Map) -> Result<()> {
    let op = "adaptive_avg_pool2d";
    input.check(op, arena.len())?;
    out.check(op, arena.len())?;
    let [rows, columns] = [2, 3].map(|i| adaptive_windows(input.shape[i], out.shape[i]));
    run(op, Step::Average, &rows, &columns, [1, 1], arena, input, out)
}

/// The windows along both axes, of maps that lie in an arena of this length: others could have more than there is room for.
fn both(
    pool: &Pool2d,
    op: &'static str,
    len: usize,
    [input, out]: [&Map; 2],
) -> Result<(Vec<Window>, Vec<Window>)> {
    input.check(op, len)?;
    out.check(op, len)?;
    let want = pool.output_shape(input.shape)?;
    super::conv::check_shape("the pool's output", out.shape, want)?;
    let [rows, columns] = [0, 1].map(|i| windows(pool, i, input.shape[2 + i], out.shape[2 + i]));
    Ok((rows, columns))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Max,
    Average,
}

#[expect(clippy::too_many_arguments, reason = "the three pools differ in these")]
fn run(
    op: &'static str,
    step: Step,
    rows: &[Window],
    columns: &[Window],
    dilation: [usize; 2],
    arena: &mut [f32],
    input: Map,
    out: Map,
) -> Result<()> {
    input.check(op, arena.len())?;
    out.check(op, arena.len())?;
    out.check_apart(op, &input)?;
    let [n, c, oh, ow] = out.shape;
    super::conv::check_shape("the pool's output", [n, c, oh, ow], [input.shape[0], input.shape[1], oh, ow])?;
    let (isa, arena) = (Isa::current(), Shared::new(arena));
    // Large windows have few pixels to share out: channels are, too.
    let [_, _, h, w] = input.shape;
    let work = n * c * (h * w).max(oh * ow);
    let pixels = n * oh * ow;
    let wanted = (work >> 14).clamp(1, 8 * rayon::current_num_threads());
    let blocks = wanted.min(pixels);
    let groups = wanted.div_ceil(blocks).min(c.div_ceil(CHANNELS));
    tasks(blocks * groups, work, |task| {
        let pixels = part(pixels, blocks, task / groups);
        let vectors = part(c.div_ceil(CHANNELS), groups, task % groups);
        let channels = vectors.start * CHANNELS..c.min(vectors.end * CHANNELS);
        let windows = Windows { rows, columns, dilation };
        dispatch(isa, Part { step, windows, arena, input: &input, out: &out, pixels, channels });
    });
    Ok(())
}

/// Channels that a task takes at least.
const CHANNELS: usize = 64;

#[derive(Clone, Copy)]
struct Windows<'a> {
    rows: &'a [Window],
    columns: &'a [Window],
    dilation: [usize; 2],
}

/// Some output pixels, some of their channels.
struct Part<'a> {
    step: Step,
    windows: Windows<'a>,
    arena: Shared<f32>,
    input: &'a Map,
    out: &'a Map,
    pixels: Range<usize>,
    channels: Range<usize>,
}

impl Kernel<f32> for Part<'_> {
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let [_, _, oh, ow] = self.out.shape;
        for pixel in self.pixels.clone() {
            let (n, y, x) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
            let (rows, columns) = (&self.windows.rows[y], &self.windows.columns[x]);
            let out = self.out.at(n, y, x);
            let mut channel = self.channels.start;
            while channel < self.channels.end {
                let count = S::N.min(self.channels.end - channel);
                let result = match self.step {
                    Step::Max => self.window::<S, true>(n, [rows, columns], channel, count),
                    Step::Average => {
                        let sum = self.window::<S, false>(n, [rows, columns], channel, count);
                        sum.mul(S::splat(1.0 / (rows.count * columns.count) as f32))
                    }
                };
                // SAFETY: the map lies in the arena; tasks write other pixels or other channels.
                unsafe {
                    let to = self.arena.get().add(out + channel);
                    if count == S::N { result.store(to) } else { result.store_part(to, count) }
                }
                channel += count;
            }
        }
    }
}

impl Part<'_> {
    /// The largest values of `count` channels of a window, or their sums: row by row, so that sums stay short.
    #[inline(always)]
    fn window<S: Lanes<Elem = f32>, const MAX: bool>(
        &self,
        n: usize,
        [rows, columns]: [&Window; 2],
        channel: usize,
        count: usize,
    ) -> S {
        let nothing = S::splat(if MAX { f32::NEG_INFINITY } else { 0.0 });
        let mut all = nothing;
        let mut y = rows.inside.start;
        while y < rows.inside.end {
            let mut row = nothing;
            let mut x = columns.inside.start;
            while x < columns.inside.end {
                // SAFETY: the map lies in the arena, apart from the output; windows are inside of it.
                let pixel = unsafe {
                    let from = self.arena.get().add(self.input.at(n, y, x) + channel);
                    if count == S::N { S::load(from) } else { S::load_part(from, count) }
                };
                row = if MAX { row.larger(pixel) } else { row.add(pixel) };
                x += self.windows.dilation[1];
            }
            all = if MAX { all.larger(row) } else { all.add(row) };
            y += self.windows.dilation[0];
        }
        all
    }
}
