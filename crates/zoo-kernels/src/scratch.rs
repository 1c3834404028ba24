//! Scratch memory: buffers that are kept between calls, aligned to cache lines.
//!
//! What a task works in is its thread's own. What a whole layer works in, transformed weights for example, is whoever's opens
//! the layer's loops, which is one thread now and another later: all share these, so that they aren't kept once for each.

#![expect(unsafe_code, reason = "hands out a cache-line aligned part of a pooled vector")]

use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use crate::element::Element;

/// A cache line, and an AVX-512 vector.
const LINE: usize = 64;
/// Buffers that a thread keeps, and that all share; more are freed, so that nesting can't hoard memory.
const KEPT: usize = 8;

/// Numbers that begin at a cache line.
pub(crate) struct Aligned<T> {
    buffer: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Element> Aligned<T> {
    /// Takes `len` numbers of `buffer`, or of a new one if that is too short.
    fn of(mut buffer: Vec<T>, len: usize) -> Self {
        let padded = padded::<T>(len);
        if buffer.len() < padded {
            // Dropped first: growing in place would copy content that nobody reads.
            drop(std::mem::take(&mut buffer));
            buffer = vec![T::ZERO; padded];
        }
        let misaligned = buffer.as_ptr() as usize % LINE;
        let start = if misaligned == 0 { 0 } else { (LINE - misaligned) / size_of::<T>() };
        Self { buffer, start, len }
    }

    /// `len` zeros, of nobody's pool.
    pub(crate) fn zeroed(len: usize) -> Self {
        Self::of(Vec::new(), len)
    }
}

/// The length of a vector in which `len` numbers begin at a cache line, wherever it lies.
fn padded<T>(len: usize) -> usize {
    len.saturating_add(LINE / size_of::<T>())
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `of` made the vector at least `len` plus one cache line long, and `start` is at most
        // the elements of one cache line, so `start + len` lies within it.
        unsafe { self.buffer.get_unchecked(self.start..self.start + self.len) }
    }
}

impl<T> DerefMut for Aligned<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`.
        unsafe { self.buffer.get_unchecked_mut(self.start..self.start + self.len) }
    }
}

/// Where a buffer is kept.
#[derive(Clone, Copy)]
enum Home {
    Thread,
    All,
}

impl Home {
    /// Does something with the buffers that are kept there: nothing while a thread ends, whose own may be gone.
    fn with<T: Element, R>(self, work: impl FnOnce(&mut Vec<Vec<T>>) -> R) -> Option<R> {
        match self {
            Self::Thread => T::pool().try_with(|pool| work(&mut pool.borrow_mut())).ok(),
            Self::All => Some(work(&mut T::shared().lock().unwrap_or_else(PoisonError::into_inner))),
        }
    }
}

/// A buffer on loan. Its content is whatever its last user left.
pub(crate) struct Scratch<T: Element> {
    numbers: Aligned<T>,
    home: Home,
}

/// Lends `len` elements that begin at a cache line, for a task.
pub(crate) fn take<T: Element>(len: usize) -> Scratch<T> {
    lend(Home::Thread, len)
}

/// Lends `len` elements that begin at a cache line, for a layer whose tasks share them. What it takes at once is said by
/// [`crate::conv::working`].
pub(crate) fn take_shared<T: Element>(len: usize) -> Scratch<T> {
    lend(Home::All, len)
}

fn lend<T: Element>(home: Home, len: usize) -> Scratch<T> {
    let buffer = home.with(|pool| pick(pool, padded::<T>(len))).flatten();
    Scratch { numbers: Aligned::of(buffer.unwrap_or_default(), len), home }
}

/// The smallest buffer that is large enough, else the largest, which then grows.
fn pick<T>(pool: &mut Vec<Vec<T>>, len: usize) -> Option<Vec<T>> {
    let fits = (0..pool.len()).filter(|&i| pool[i].len() >= len).min_by_key(|&i| pool[i].len());
    let pick = fits.or_else(|| (0..pool.len()).max_by_key(|&i| pool[i].len()))?;
    Some(pool.swap_remove(pick))
}

/// Keeps a buffer for its next use, unless enough are kept.
fn keep<T>(pool: &mut Vec<Vec<T>>, buffer: Vec<T>) {
    if pool.len() < KEPT {
        pool.push(buffer);
    }
}

/// Lends `len` zeros that begin at a cache line.
pub(crate) fn take_zeroed<T: Element>(len: usize) -> Scratch<T> {
    let mut scratch = take(len);
    scratch.fill(T::ZERO);
    scratch
}

impl<T: Element> Deref for Scratch<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        &self.numbers
    }
}

impl<T: Element> DerefMut for Scratch<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.numbers
    }
}

impl<T: Element> Drop for Scratch<T> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.numbers.buffer);
        self.home.with(|pool| keep(pool, buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_used_again() {
        let first = take::<f32>(1000);
        let address = first.as_ptr() as usize;
        assert_eq!(address % LINE, 0);
        let second = take::<f32>(10);
        assert_ne!(second.as_ptr() as usize, address);
        drop(first);
        assert_eq!(take::<f32>(900).as_ptr() as usize, address);
    }

    #[test]
    fn a_shared_buffer_is_any_threads() {
        // No other test of this program takes one so large.
        let len = 40 << 20;
        let address = take_shared::<f64>(len).as_ptr() as usize;
        let other = std::thread::spawn(move || take_shared::<f64>(len).as_ptr() as usize).join();
        assert_eq!(other.ok(), Some(address));
    }
}
