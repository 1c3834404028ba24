//! Tiles between the picture's layout and vectors of channels, in which the transforms work.

#![expect(unsafe_code, reason = "transposes blocks through pointers")]

use std::ops::Range;

use super::transform::{IN, Line, OUT, both};
use crate::element::Element;
use crate::epilogue::Epilogue;
use crate::simd::{Lanes, zero};

/// Planes of one size, a picture's channels side by side, as the pixels of a tensor lie.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
}

impl Planes {
    fn at(&self, picture: usize, channel: usize, y: usize) -> usize {
        ((picture * self.channels + channel) * self.size[0] + y) * self.size[1]
    }

    /// Lays `N` channels of row `y`, columns `x`, side by side, pixel after pixel; what lies outside is zero.
    ///
    /// # Safety
    /// `source` has all channels of `picture`, and `to` room for `N` pixels more than `x` has.
    #[inline(always)]
    unsafe fn gather<S: Lanes<Elem = T>, T: Element>(
        &self,
        source: &[T],
        [picture, channel]: [usize; 2],
        y: isize,
        x: Range<isize>,
        to: *mut T,
    ) {
        let [height, width] = self.size;
        let columns = (x.end - x.start) as usize;
        let (low, high) = (x.start.max(0), x.end.min(width as isize));
        // SAFETY: every row and column is cut to the plane; a whole block is read past a row's end only where the
        // slice goes on, and written past `columns` only into the room that the caller promises.
        unsafe {
            if y < 0 || y as usize >= height || low >= high {
                return zero::<S>(to, columns * S::N);
            }
            let (before, count) = ((low - x.start) as usize, (high - low) as usize);
            let from = self.at(picture, channel, y as usize) + low as usize;
            let inner = to.add(before * S::N);
            for at in (0..count).step_by(S::N) {
                let block = from + at;
                if block + (S::N - 1) * height * width + S::N <= source.len() {
                    let block = source.as_ptr().add(block);
                    S::transpose(block, height * width, inner.add(at * S::N), S::N);
                } else {
                    for lane in 0..S::N {
                        for i in at..count {
                            *inner.add(i * S::N + lane) = source[from + lane * height * width + i];
                        }
                    }
                }
            }
            zero::<S>(to, before * S::N);
            zero::<S>(inner.add(count * S::N), (columns - before - count) * S::N);
        }
    }

    /// Transforms `columns` neighbouring tiles of `I` by `I` pixels, `OUT` apart, of `N` channels. The products of
    /// a tile go `step` apart from `to` on, and tiles `tile_step` apart.
    ///
    /// # Safety
    /// As [`Planes::gather`], with room for `I` lines and `N` pixels more in `lines`, and `to` has these places.
    #[inline(always)]
    pub(super) unsafe fn transform<S: Lanes<Elem = T>, T: Element, L: Line<I, IN>, const I: usize>(
        &self,
        source: &[T],
        place: [usize; 2],
        [top, left]: [isize; 2],
        columns: usize,
        lines: &mut [T],
        (to, tile_step, step): (*mut T, usize, usize),
    ) {
        let wide = OUT * columns + I - OUT;
        // SAFETY: the caller's promise; a line's room behind it is the next line, which is written after it, or the
        // room behind all.
        unsafe {
            for i in 0..I {
                let to = lines.as_mut_ptr().add(i * wide * S::N);
                self.gather::<S, T>(source, place, top + i as isize, left..left + wide as isize, to);
            }
            for column in 0..columns {
                let from = lines.as_ptr().add(column * OUT * S::N);
                both::<S, L, I, IN>(from, [wide * S::N, S::N], to.add(column * tile_step), [IN * step, step]);
            }
        }
    }

    /// As [`Planes::scatter`], and does to the pixels what follows.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    pub(super) unsafe fn finish<S: Lanes<Elem = T>, T: Element>(
        &self,
        from: *const T,
        count: usize,
        [picture, channel]: [usize; 2],
        [y, x]: [usize; 2],
        target: *mut T,
        (block, epilogue): (&mut [T], &Epilogue<'_, T>),
    ) {
        let plane = self.size[0] * self.size[1];
        let to = self.at(picture, channel, y) + x;
        for at in (0..count).step_by(S::N) {
            // SAFETY: the caller's promise; `block` has `N * N` numbers.
            unsafe {
                S::transpose(from.add(at * S::N), S::N, block.as_mut_ptr(), S::N);
                for lane in 0..S::N {
                    let to = to + lane * plane + at;
                    let follows = epilogue.of(channel + lane, to);
                    let from = block.as_ptr().add(lane * S::N);
                    follows.copy::<S>(from, target.add(to), S::N.min(count - at));
                }
            }
        }
    }

    /// Takes `count` pixels of `N` channels, pixel after pixel, to row `y` from column `x` on.
    ///
    /// # Safety
    /// The row lies in the planes of `target`, which nobody else writes, and `from` can be read for `N` pixels more.
    #[inline(always)]
    pub(super) unsafe fn scatter<S: Lanes<Elem = T>, T: Element>(
        &self,
        from: *const T,
        count: usize,
        [picture, channel]: [usize; 2],
        [y, x]: [usize; 2],
        target: *mut T,
        block: &mut [T],
    ) {
        let plane = self.size[0] * self.size[1];
        // SAFETY: the caller's promise; a block that isn't whole goes through `block`, of `N * N` numbers.
        unsafe {
            let to = target.add(self.at(picture, channel, y) + x);
            for at in (0..count).step_by(S::N) {
                let (from, to) = (from.add(at * S::N), to.add(at));
                if at + S::N <= count {
                    S::transpose(from, S::N, to, plane);
                    continue;
                }
                S::transpose(from, S::N, block.as_mut_ptr(), S::N);
                for lane in 0..S::N {
                    S::load(block.as_ptr().add(lane * S::N)).store_part(to.add(lane * plane), count - at);
                }
            }
        }
    }
}
