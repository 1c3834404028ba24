//! Pools, channels innermost: what a window's pixels give, vector by vector of channels.

#![expect(unsafe_code, reason = "tasks share the arena")]

use std::ops::Range;

use super::map::Map;
use crate::error::{KernelError, Result};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::pool::{Pool2d, Window, adaptive_windows, larger, windows};
use crate::simd::Lanes;

/// `out` = the largest value of each window, or NaN if there is one in it; both maps in `arena`.
///
/// # Errors
/// As [`Pool2d::output_shape`]; maps of other shapes, outside of the arena or over each other.
pub fn max_pool(pool: &Pool2d, arena: &mut [f32], input: Map, out: Map) -> Result<()> {
    let (rows, columns) = both(pool, &input, &out)?;
    run("max_pool2d", Step::Max, &rows, &columns, pool.dilation, arena, input, out)
}

/// `out` = the mean of each window; both maps in `arena`.
///
/// # Errors
/// As [`max_pool`]; a dilation, which an average has not.
pub fn average_pool(pool: &Pool2d, arena: &mut [f32], input: Map, out: Map) -> Result<()> {
    let (rows, columns) = both(pool, &input, &out)?;
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

fn both(pool: &Pool2d, input: &Map, out: &Map) -> Result<(Vec<Window>, Vec<Window>)> {
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
        let mut row = [0.0; CHANNELS];
        for pixel in self.pixels.clone() {
            let (n, y, x) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
            let (rows, columns) = (&self.windows.rows[y], &self.windows.columns[x]);
            let mut channel = self.channels.start;
            while channel < self.channels.end {
                let count = CHANNELS.min(self.channels.end - channel);
                // SAFETY: the maps lie in the arena, apart from each other; windows are inside the input; tasks write
                // other pixels or other channels.
                let (arena, to) = unsafe {
                    let place = self.out.at(n, y, x) + channel;
                    (self.arena.get(), self.arena.slice(place, count))
                };
                let from = |y: usize, x: usize| {
                    // SAFETY: as above.
                    unsafe { std::slice::from_raw_parts(arena.add(self.input.at(n, y, x) + channel), count) }
                };
                let lines = rows.inside.clone().step_by(self.windows.dilation[0]);
                match self.step {
                    Step::Max => {
                        to.fill(f32::NEG_INFINITY);
                        for y in lines {
                            for x in columns.inside.clone().step_by(self.windows.dilation[1]) {
                                for (most, &x) in to.iter_mut().zip(from(y, x)) {
                                    *most = larger(*most, x);
                                }
                            }
                        }
                    }
                    Step::Average => {
                        // Row by row, so that sums stay short.
                        to.fill(0.0);
                        let row = &mut row[..count];
                        for y in lines {
                            row.fill(0.0);
                            for x in columns.inside.clone() {
                                for (sum, &x) in row.iter_mut().zip(from(y, x)) {
                                    *sum += x;
                                }
                            }
                            for (sum, &row) in to.iter_mut().zip(&*row) {
                                *sum += row;
                            }
                        }
                        let scale = 1.0 / (rows.count * columns.count) as f32;
                        for sum in to {
                            *sum *= scale;
                        }
                    }
                }
                channel += count;
            }
        }
    }
}
