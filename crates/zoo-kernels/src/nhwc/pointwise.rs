//! What is done to each number of a map by itself, in one pass: a scale and a shift for each channel, a factor for each
//! channel of each picture (squeeze-and-excitation's), another map added, an activation.

#![expect(unsafe_code, reason = "tasks share the arena")]

use std::ops::Range;

use super::map::Map;
use crate::activation::{Activation, each_activation};
use crate::error::{KernelError, Result, check_len};
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, part, tasks};
use crate::simd::Lanes;

/// `activation((x * scale + shift) * factor + addend)`; what isn't there does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Pointwise<'a> {
    /// One scale and one shift for each channel.
    pub affine: Option<(&'a [f32], &'a [f32])>,
    /// One factor for each channel of each picture: a map of one pixel.
    pub factor: Option<Map>,
    /// A map of the same shape.
    pub addend: Option<Map>,
    /// Applied at last.
    pub activation: Activation,
}

impl Default for Pointwise<'_> {
    fn default() -> Self {
        Self { affine: None, factor: None, addend: None, activation: Activation::Identity }
    }
}

const OP: &str = "pointwise";

/// Computes `out` from `input`, all maps in `arena`. The output may lie where the input does, or the addend.
///
/// # Errors
/// Maps of other shapes, outside of the arena or partly over each other; a scale or shift of another length.
pub fn pointwise(work: &Pointwise<'_>, arena: &mut [f32], input: Map, out: Map) -> Result<()> {
    let shape = out.shape;
    let [n, c, h, w] = shape;
    out.check(OP, arena.len())?;
    for (what, map, want) in [
        ("input", Some(input), shape),
        ("output", Some(out), shape),
        ("addend", work.addend, shape),
        ("factor", work.factor, [n, c, 1, 1]),
    ] {
        let Some(map) = map else { continue };
        if map.shape != want {
            let value = format!("{:?} where {want:?} is wanted", map.shape);
            return Err(KernelError::Value { op: OP, what, value, must: "of the output's shape" });
        }
        map.check(OP, arena.len())?;
        if !map.is_same(&out) {
            out.check_apart(OP, &map)?;
        }
    }
    if let Some((scale, shift)) = work.affine {
        check_len(OP, "scale", scale.len(), &[c])?;
        check_len(OP, "shift", shift.len(), &[c])?;
    }
    let (isa, arena) = (Isa::current(), Shared::new(arena));
    let pixels = n * h * w;
    let cost = pixels * c;
    let count = (cost >> 14).clamp(1, pixels.min(8 * rayon::current_num_threads()));
    tasks(count, cost, |task| {
        let pixels = part(pixels, count, task);
        dispatch(isa, Part { work, arena, input: &input, out: &out, pixels });
    });
    Ok(())
}

/// Some pixels.
struct Part<'a> {
    work: &'a Pointwise<'a>,
    arena: Shared<f32>,
    input: &'a Map,
    out: &'a Map,
    pixels: Range<usize>,
}

impl Kernel<f32> for Part<'_> {
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let (work, [_, c, h, w]) = (self.work, self.out.shape);
        let arena = self.arena.get();
        for pixel in self.pixels.clone() {
            let n = pixel / (h * w);
            let at = |map: &Map| {
                // SAFETY: the maps lie in the arena.
                unsafe { arena.add(super::direct::place(map, pixel)) }
            };
            let (from, to) = (at(self.input).cast_const(), at(self.out));
            let factor = work.factor.as_ref().map(|map| {
                // SAFETY: as above.
                unsafe { arena.add(map.at(n, 0, 0)).cast_const() }
            });
            let addend = work.addend.as_ref().map(|map| at(map).cast_const());
            let mut channel = 0;
            while channel < c {
                let count = S::N.min(c - channel);
                // SAFETY: a pixel has `c` channels in all maps, scale and shift; the output is apart from what is
                // read, or the same place; tasks write other pixels.
                unsafe {
                    let part = |from: *const f32| match count == S::N {
                        true => S::load(from.add(channel)),
                        false => S::load_part(from.add(channel), count),
                    };
                    let mut x = part(from);
                    if let Some((scale, shift)) = work.affine {
                        x = part(shift.as_ptr()).fma(x, part(scale.as_ptr()));
                    }
                    if let Some(factor) = factor {
                        x = x.mul(part(factor));
                    }
                    if let Some(addend) = addend {
                        x = x.add(part(addend));
                    }
                    x = crate::epilogue::finish(x, None, None, None, work.activation);
                    if count == S::N {
                        x.store(to.add(channel));
                    } else {
                        x.store_part(to.add(channel), count);
                    }
                }
                channel += S::N;
            }
            if matches!(work.activation, Activation::Sigmoid | Activation::Tanh) {
                // SAFETY: as above.
                let values = unsafe { std::slice::from_raw_parts_mut(to, c) };
                each_activation!(work.activation, act => for value in values { *value = act.apply(*value) });
            }
        }
    }
}
