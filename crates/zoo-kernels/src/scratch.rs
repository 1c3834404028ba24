//! Scratch memory: buffers that a thread keeps between calls, aligned to cache lines.

#![expect(unsafe_code, reason = "hands out a cache-line aligned part of a pooled vector")]

use std::ops::{Deref, DerefMut};

use crate::element::Element;

/// A cache line, and an AVX-512 vector.
const LINE: usize = 64;
/// Buffers that a thread keeps; more are freed, so that nesting can't make a thread hoard memory.
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

/// A buffer on loan from the thread's pool. Its content is whatever its last user left.
pub(crate) struct Scratch<T: Element>(Aligned<T>);

/// Lends `len` elements that begin at a cache line.
pub(crate) fn take<T: Element>(len: usize) -> Scratch<T> {
    let padded = padded::<T>(len);
    let buffer = T::pool()
        .try_with(|pool| {
            let mut pool = pool.borrow_mut();
            // The smallest that is large enough, else the largest, which then grows.
            let fits = (0..pool.len()).filter(|&i| pool[i].len() >= padded).min_by_key(|&i| pool[i].len());
            let pick = fits.or_else(|| (0..pool.len()).max_by_key(|&i| pool[i].len()))?;
            Some(pool.swap_remove(pick))
        })
        .ok()
        .flatten()
        .unwrap_or_default();
    Scratch(Aligned::of(buffer, len))
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
        &self.0
    }
}

impl<T: Element> DerefMut for Scratch<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Element> Drop for Scratch<T> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0.buffer);
        // While a thread ends its pool may be gone: then the buffer is simply freed.
        let _ = T::pool().try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(buffer);
            }
        });
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
}
