//! Threads: a pointer that tasks may share, and loops that run their tasks on rayon's pool.

#![expect(unsafe_code, reason = "tasks write to disjoint parts of one slice")]

use std::ops::Range;

use rayon::prelude::*;

use crate::{isa, team};

/// A pointer to numbers, or what else tasks make, of which every task writes its own.
pub(crate) struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: tasks get parts of the slice that don't overlap, by the contract of `Shared::get`'s users; the
// numbers themselves are `Send`.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares `slice`, which stays borrowed by whoever calls this for as long as tasks run.
    pub(crate) fn new(slice: &mut [T]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// Shares what lies at an address, which need not itself be readable.
    pub(crate) fn at(address: *mut T) -> Self {
        Self(address)
    }

    /// The pointer. A method, so that closures capture the whole and not the bare field.
    #[inline(always)]
    pub(crate) fn get(self) -> *mut T {
        self.0
    }

    /// `len` numbers from `start` on.
    ///
    /// # Safety
    /// They lie in the shared slice, and no other task has any of them while this borrow lives.
    #[inline(always)]
    pub(crate) unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}

/// Work below this many elementary steps isn't worth waking another thread.
const SMALL: usize = 1 << 15;

/// Runs `work` on a thread of rayon's pool, where the others wait for the many loops in it: they need not be woken up for
/// each.
pub fn on_team<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match rayon::current_num_threads() {
        1 => work(),
        _ => {
            let force = isa::force();
            team::gathered(|| isa::forced(force, work))
        }
    }
}

/// Runs `task` for `0..count`, on several threads if there is work enough. What a task computes never depends
/// on the threads: they only choose who does it.
pub(crate) fn tasks(count: usize, work: usize, task: impl Fn(usize) + Sync + Send) {
    if count <= 1 || work < SMALL || rayon::current_num_threads() == 1 {
        (0..count).for_each(task);
    } else if !u32::try_from(count).is_ok_and(|count| team::run(count, &task)) {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Part `i` of `0..count` in `parts` ranges, as even as can be.
#[inline(always)]
pub(crate) fn part(count: usize, parts: usize, i: usize) -> Range<usize> {
    i * count / parts..(i + 1) * count / parts
}

/// The same in whole vectors of `lanes` numbers, of which the last may be cut.
#[inline(always)]
pub(crate) fn part_of_vectors(count: usize, lanes: usize, parts: usize, i: usize) -> Range<usize> {
    let vectors = part(count.div_ceil(lanes), parts, i);
    vectors.start * lanes..(vectors.end * lanes).min(count)
}

/// Numbers that one task of an element-wise loop takes.
pub(crate) const CHUNK: usize = 1 << 14;

/// Runs `task` for consecutive ranges of at most `each` of `0..count`, where one step of `count` is `cost`
/// elementary steps.
pub(crate) fn ranges(count: usize, each: usize, cost: usize, task: impl Fn(Range<usize>) + Sync + Send) {
    let each = each.max(1);
    tasks(count.div_ceil(each), count.saturating_mul(cost), |i| task(i * each..count.min((i + 1) * each)));
}

/// Gives `task` consecutive pieces of at most `each` values, with the number of values before them.
pub fn pieces<T: Copy + Send>(values: &mut [T], each: usize, task: impl Fn(usize, &mut [T]) + Sync + Send) {
    let len = values.len();
    let values = Shared::new(values);
    ranges(len, each, 1, |piece| {
        // SAFETY: no two pieces share a value, and none reaches beyond the slice.
        task(piece.start, unsafe { values.slice(piece.start, piece.len()) });
    });
}

/// How many planes of `pixels` make one task.
pub(crate) fn planes_each(pixels: usize) -> usize {
    (CHUNK / pixels.max(1)).max(1)
}
