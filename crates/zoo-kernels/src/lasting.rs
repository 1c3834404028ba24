//! Memory that lasts: weights packed once for many pictures, and what a compiled network works in.
//!
//! Large ones lie in large pages where the system has them (Linux, on request). Weights are read from one end to the other
//! for each picture, and pages of 4 KiB take time to find: with pages of 2 MiB AlexNet, most of which is reading weights,
//! answers in 11.4 ms instead of 13.3.

#![expect(unsafe_code, reason = "a memory map's bytes are read as numbers")]

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::element::Element;
use crate::scratch::Aligned;

/// A large page.
const PAGE: usize = 2 << 20;

/// Numbers that begin at a cache line, zeros at first.
pub(crate) struct Lasting<T> {
    memory: Memory<T>,
}

enum Memory<T> {
    /// From the heap.
    Small(Aligned<T>),
    /// From the `start`-th byte of a map on.
    Large { map: MmapMut, start: usize, len: usize },
}

impl<T: Element> Lasting<T> {
    /// `len` zeros.
    pub(crate) fn zeroed(len: usize) -> Self {
        let memory = large(len).unwrap_or_else(|| Memory::Small(Aligned::zeroed(len)));
        Self { memory }
    }
}

/// Pages of their own for what fills at least one large page; `None` where it doesn't or the system has none to give.
fn large<T: Element>(len: usize) -> Option<Memory<T>> {
    let bytes = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes >= PAGE)?;
    let map = MmapMut::map_anon(bytes.checked_add(PAGE)?).ok()?;
    let start = map.as_ptr().align_offset(PAGE);
    // Whole large pages only, so that no more memory is taken than is asked for. A system without them says no, and
    // nothing is lost.
    #[cfg(target_os = "linux")]
    let _ = map.advise_range(memmap2::Advice::HugePage, start, bytes / PAGE * PAGE);
    Some(Memory::Large { map, start, len })
}

impl<T> Deref for Lasting<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match &self.memory {
            Memory::Small(numbers) => numbers,
            // SAFETY: the map is `PAGE` bytes longer than `len` numbers, and `start` is less than that; it is aligned to
            // a page, and any bytes are numbers.
            Memory::Large { map, start, len } => unsafe {
                std::slice::from_raw_parts(map.as_ptr().add(*start).cast(), *len)
            },
        }
    }
}

impl<T> DerefMut for Lasting<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.memory {
            Memory::Small(numbers) => numbers,
            // SAFETY: as in `deref`.
            Memory::Large { map, start, len } => unsafe {
                std::slice::from_raw_parts_mut(map.as_mut_ptr().add(*start).cast(), *len)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_ones_are_zeros_in_pages_of_their_own() {
        for len in [10, PAGE / 4 - 1, PAGE / 4, PAGE / 2 + 1001] {
            let mut numbers = Lasting::<f32>::zeroed(len);
            assert_eq!(numbers.len(), len);
            assert!(numbers.iter().all(|x| *x == 0.0));
            let is_large = matches!(numbers.memory, Memory::Large { .. });
            assert_eq!(is_large, len >= PAGE / 4, "{len}");
            let to = if is_large { PAGE } else { 64 };
            assert_eq!(numbers.as_ptr() as usize % to, 0);
            numbers.fill(1.0);
            assert_eq!(numbers.iter().sum::<f32>(), len as f32);
        }
    }

    #[test]
    fn what_no_memory_holds_is_not_asked_for_in_pages() {
        assert!(large::<f64>(usize::MAX / 4).is_none());
        assert!(large::<f64>(usize::MAX / 16).is_none());
    }
}
