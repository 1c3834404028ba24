//! The 3x3 kernel with a stride of 2 and a padding of 1, which halves a plane, straight from the plane.
//!
//! A strip of output columns as wide as a vector goes down the plane. Of each row of the input it reads the columns left of
//! every second one, these, and those right of them; lanes that lie outside the plane are masked out. Output row `y` sees the
//! rows `2y - 1`, `2y` and `2y + 1`, of which the last is the next one's first. On the way back the pixels of even and of odd
//! columns are summed apart, each by the taps that it was seen by, and written in turns.

#![expect(unsafe_code, reason = "vector loops down a plane through pointers")]

use std::ops::Range;

use super::super::spec::Conv2d;
use super::{for_planes, is_three};
use crate::element::Element;
use crate::epilogue::{Epilogue, Line};
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::Shared;
use crate::simd::{Lanes, fetch};

/// Whether it is that kernel, on an instruction set that can mask lanes out.
pub(super) fn suits(isa: Isa, spec: &Conv2d) -> bool {
    is_three(isa, spec) && spec.stride == [2, 2]
}

/// One of the passes that give planes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    Forward,
    Back,
}

/// The output, or on the way back the input's gradient, of planes of the shape `(n, c, h, w)`.
pub(super) fn run<T: Element>(
    isa: Isa,
    [n, c, h, w]: Shape,
    way: Way,
    from: &[T],
    weight: &[T],
    epilogue: &Epilogue<'_, T>,
    to: &mut [T],
) {
    let to = Shared::new(to);
    for_planes(n * c, h * w, |planes| {
        dispatch(isa, Planes { size: [c, h, w], way, planes, from, weight, epilogue, to });
    });
}

/// The gradient of the weights: sums over the pictures of the shape `(n, c, h, w)`.
pub(super) fn grad_weight<T: Element>(
    isa: Isa,
    [n, c, h, w]: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let out = Shared::new(grad_weight);
    for_planes(c, n * h * w, |channels| {
        dispatch(isa, GradWeight { shape: [n, c, h, w], channels, input, grad_out, out });
    });
}

/// Rows of the small plane that a strip takes: what they see of a large plane stays in the first-level cache for the strips
/// beside.
const BAND: usize = 8;

/// Columns of the small plane, as many as a vector has lanes or fewer.
struct Strip<S: Lanes> {
    x: usize,
    count: usize,
    /// The lanes to read where not all may be: of the large plane's columns to the left, of these, and of those to the
    /// right; of the small plane's own columns and of those to their right.
    inside: Option<[[S::Mask; 2]; 4]>,
}

impl<S: Lanes> Strip<S> {
    /// The columns from `x` on, of a large plane that is `width` wide.
    #[inline(always)]
    fn new(x: usize, width: usize) -> Self {
        let small = width.div_ceil(2);
        let count = S::N.min(small - x);
        let whole = x > 0 && 2 * (x + S::N) < width;
        let pairs = |shift: usize| {
            // The window begins at column `2 * x + shift - 1`, and its last number of use is the last pair's first.
            let first = usize::from(x == 0 && shift == 0);
            let end = (width + 1 - 2 * x - shift).min(2 * count - 1).max(first);
            [S::mask(first.min(S::N)..end.min(S::N)), S::mask(0..end.saturating_sub(S::N))]
        };
        let own = [S::mask(0..count), S::mask(0..count.min(small - x - 1))];
        Self { x, count, inside: (!whole).then(|| [pairs(0), pairs(1), pairs(2), own]) }
    }

    /// Strips from the first column to the last; the last one ends with the row, whatever it has in common with the one
    /// before it, if they may `overlap`.
    fn all(width: usize, overlap: bool) -> Vec<Self> {
        let small = width.div_ceil(2);
        let last = if overlap { small.saturating_sub(S::N) } else { small };
        (0..small.div_ceil(S::N)).map(|i| Self::new((i * S::N).min(last), width)).collect()
    }

    /// What the strip's columns see in the row of the large plane at `row`: left of them, here, and to their right.
    ///
    /// # Safety
    /// The row is one of the plane's.
    #[inline(always)]
    unsafe fn seen<const WHOLE: bool>(&self, row: *const S::Elem) -> [S; 3] {
        let here = row.wrapping_add(2 * self.x);
        let (left, right) = (here.wrapping_sub(1), here.wrapping_add(1));
        // Spelled out: a closure isn't always made for the instruction set of what calls it.
        match &self.inside {
            // SAFETY: lanes outside the plane aren't read.
            Some([to_left, these, to_right, _]) if !WHOLE => unsafe {
                let (left, here) = (S::load_pairs_lanes(left, *to_left), S::load_pairs_lanes(here, *these));
                [left, here, S::load_pairs_lanes(right, *to_right)]
            },
            // SAFETY: a whole strip's last column on the right lies in the plane.
            _ => unsafe { [S::load_pairs(left), S::load_pairs(here), S::load_pairs(right)] },
        }
    }

    /// Has what the strip sees of the next band brought, for the two rows from `row` on of a large plane.
    #[inline(always)]
    fn fetch(&self, row: *const S::Elem, width: usize) {
        for row in [row.wrapping_add(2 * BAND * width), row.wrapping_add((2 * BAND + 1) * width)] {
            for line in 0..S::N / 8 {
                fetch(row.wrapping_add(2 * self.x + 16 * line));
            }
        }
    }

    /// The strip's columns of the row of the small plane at `row`, and those to their right.
    ///
    /// # Safety
    /// The row is one of the plane's.
    #[inline(always)]
    unsafe fn own<const WHOLE: bool>(&self, row: *const S::Elem) -> [S; 2] {
        let here = row.wrapping_add(self.x);
        let right = here.wrapping_add(1);
        match &self.inside {
            // SAFETY: lanes outside the plane aren't read.
            Some([.., [own, to_right]]) if !WHOLE => unsafe {
                [S::load_lanes(here, *own), S::load_lanes(right, *to_right)]
            },
            // SAFETY: a whole strip has another column to its right.
            _ => unsafe { [S::load(here), S::load(right)] },
        }
    }
}

struct Planes<'a, T> {
    size: [usize; 3],
    way: Way,
    planes: Range<usize>,
    from: &'a [T],
    weight: &'a [T],
    epilogue: &'a Epilogue<'a, T>,
    to: Shared<T>,
}

impl<T: Element> Kernel<T> for Planes<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [c, height, width] = self.size;
        let rows = height.div_ceil(2);
        let small = rows * width.div_ceil(2);
        let [from, to] = match self.way {
            Way::Forward => [height * width, small],
            Way::Back => [small, height * width],
        };
        let strips = Strip::<S>::all(width, true);
        for plane in self.planes {
            let channel = plane % c;
            let weights = &self.weight[channel * 9..][..9];
            let down = Down {
                from: self.from[plane * from..(plane + 1) * from].as_ptr(),
                // SAFETY: the plane of `to` is this task's.
                to: unsafe { self.to.get().add(plane * to) },
                height,
                width,
                weights: [0, 3, 6].map(|row| [0, 1, 2].map(|i| S::splat(weights[row + i]))),
                follows: self.epilogue.of(channel, plane * to),
            };
            let mut row = 0;
            while row < rows {
                let band = row..rows.min(row + BAND);
                for strip in &strips {
                    let band = band.clone();
                    // SAFETY: the planes have so many rows of so many columns, and the residual has them too.
                    unsafe {
                        match (self.way, &strip.inside) {
                            (Way::Forward, None) => down.forward::<true>(strip, band),
                            (Way::Forward, Some(_)) => down.forward::<false>(strip, band),
                            (Way::Back, None) => down.back::<true>(strip, band),
                            (Way::Back, Some(_)) => down.back::<false>(strip, band),
                        }
                    }
                }
                row += BAND;
            }
        }
    }
}

/// A plane with its kernel; `height` and `width` are those of the large side.
struct Down<S: Lanes> {
    from: *const S::Elem,
    to: *mut S::Elem,
    height: usize,
    width: usize,
    weights: [[S; 3]; 3],
    follows: Line<S::Elem>,
}

impl<S: Lanes> Down<S> {
    /// Computes a strip of the output.
    ///
    /// # Safety
    /// `from` has `height` rows of `width` numbers, `to` and the residual half as many of each.
    #[inline(always)]
    unsafe fn forward<const WHOLE: bool>(&self, strip: &Strip<S>, rows: Range<usize>) {
        let zero = S::splat(S::Elem::ZERO);
        // What the row above brought to the sums of the row that comes.
        let mut next = zero;
        if rows.start > 0 {
            // SAFETY: the row is one of the plane's.
            let seen = unsafe { strip.seen::<WHOLE>(self.from.add((2 * rows.start - 1) * self.width)) };
            next = self.add(zero, 0, seen);
        }
        for y in rows {
            // SAFETY: rows below `height` are the plane's.
            unsafe {
                let row = self.from.add(2 * y * self.width);
                strip.fetch(row, self.width);
                let sum = self.add(next, 1, strip.seen::<WHOLE>(row));
                let seen = match 2 * y + 1 < self.height {
                    true => strip.seen::<WHOLE>(row.add(self.width)),
                    false => [zero; 3],
                };
                next = self.add(zero, 0, seen);
                let at = y * self.width.div_ceil(2) + strip.x;
                self.follows.store(self.add(sum, 2, seen), self.to, at, strip.count);
            }
        }
    }

    /// A row of outputs with what row `row` of the kernel makes of what it sees.
    #[inline(always)]
    fn add(&self, sum: S, row: usize, seen: [S; 3]) -> S {
        let weights = &self.weights[row];
        sum.fma(weights[0], seen[0]).fma(weights[1], seen[1]).fma(weights[2], seen[2])
    }

    /// Computes a strip of the input's gradient, twice as wide.
    ///
    /// # Safety
    /// `to` and the residual have `height` rows of `width` numbers, `from` half as many of each.
    #[inline(always)]
    unsafe fn back<const WHOLE: bool>(&self, strip: &Strip<S>, rows: Range<usize>) {
        let (zero, [height, width]) =
            (S::splat(S::Elem::ZERO), [self.height, self.width].map(|side| side.div_ceil(2)));
        let columns = (2 * strip.count).min(self.width - 2 * strip.x);
        let mut next = self.from.wrapping_add(rows.start * width);
        // SAFETY: `y` is below `rows`, and rows below `height` are the plane's.
        unsafe {
            let mut here = strip.own::<WHOLE>(next);
            for y in rows {
                next = next.wrapping_add(width);
                let below = if y + 1 < height { strip.own::<WHOLE>(next) } else { [zero; 2] };
                let at = 2 * y * self.width + 2 * strip.x;
                strip.fetch(self.to.wrapping_add(2 * y * self.width), self.width);
                fetch(next.wrapping_add(strip.x + BAND * width));
                // Output row `y` saw row `2y` with the kernel's middle row alone.
                self.store_turns(self.spread([zero; 2], 1, here), at, columns);
                if 2 * y + 1 < self.height {
                    let sums = self.spread(self.spread([zero; 2], 2, here), 0, below);
                    self.store_turns(sums, at + self.width, columns);
                }
                here = below;
            }
        }
    }

    /// Even and odd columns with what row `row` of the kernel brings them from the outputs here and to their right.
    #[inline(always)]
    fn spread(&self, [even, odd]: [S; 2], row: usize, [here, right]: [S; 2]) -> [S; 2] {
        let weights = &self.weights[row];
        [even.fma(weights[1], here), odd.fma(weights[2], here).fma(weights[0], right)]
    }

    /// Writes `columns` numbers of both in turns.
    ///
    /// # Safety
    /// `to` and the residual have them.
    #[inline(always)]
    unsafe fn store_turns(&self, [even, odd]: [S; 2], at: usize, columns: usize) {
        let [first, second] = even.zip(odd);
        // SAFETY: the caller's promise.
        unsafe {
            self.follows.store(first, self.to, at, columns.min(S::N));
            if columns > S::N {
                self.follows.store(second, self.to, at + S::N, columns - S::N);
            }
        }
    }
}

struct GradWeight<'a, T> {
    shape: Shape,
    channels: Range<usize>,
    input: &'a [T],
    grad_out: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for GradWeight<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let [n, c, h, w] = self.shape;
        let rows = h.div_ceil(2);
        let (large, small) = (h * w, rows * w.div_ceil(2));
        let strips = Strip::<S>::all(w, false);
        for channel in self.channels {
            let mut sums = [[S::splat(T::ZERO); 3]; 3];
            for picture in 0..n {
                let plane = picture * c + channel;
                let input = self.input[plane * large..(plane + 1) * large].as_ptr();
                let grad = self.grad_out[plane * small..(plane + 1) * small].as_ptr();
                let mut row = 0;
                while row < rows {
                    let band = row..rows.min(row + BAND);
                    for strip in &strips {
                        let band = band.clone();
                        // SAFETY: these are planes of so many rows.
                        sums = unsafe {
                            match strip.inside {
                                None => correlate::<S, true>(strip, band, input, grad, [h, w], sums),
                                Some(_) => correlate::<S, false>(strip, band, input, grad, [h, w], sums),
                            }
                        };
                    }
                    row += BAND;
                }
            }
            // SAFETY: the weights of this channel are this task's.
            let out = unsafe { self.out.slice(channel * 9, 9) };
            // Spelled out: vectors that a loop walks through would be kept in memory by the loops above too.
            let [a, b, c] = sums;
            out.copy_from_slice(&[
                a[0].sum(),
                a[1].sum(),
                a[2].sum(), //
                b[0].sum(),
                b[1].sum(),
                b[2].sum(), //
                c[0].sum(),
                c[1].sum(),
                c[2].sum(),
            ]);
        }
    }
}

/// Adds to each of the kernel's sums what it sees of `input` times `grad`, down one strip.
///
/// # Safety
/// `input` has so many rows and columns, `grad` half as many of each.
#[inline(always)]
unsafe fn correlate<S: Lanes, const WHOLE: bool>(
    strip: &Strip<S>,
    rows: Range<usize>,
    input: *const S::Elem,
    grad: *const S::Elem,
    [height, width]: [usize; 2],
    [mut first, mut second, mut third]: [[S; 3]; 3],
) -> [[S; 3]; 3] {
    let (zero, small) = (S::splat(S::Elem::ZERO), width.div_ceil(2));
    // SAFETY: rows below `height`, and below half of it, are the planes'.
    unsafe {
        let [mut here, _] = strip.own::<WHOLE>(grad.add(rows.start * small));
        for y in rows {
            let row = input.add(2 * y * width);
            strip.fetch(row, width);
            second = add(second, here, strip.seen::<WHOLE>(row));
            // The kernel's last row saw the next one from the output here, its first from the one below.
            let below =
                if 2 * y + 2 < height { strip.own::<WHOLE>(grad.add((y + 1) * small))[0] } else { zero };
            let seen = if 2 * y + 1 < height { strip.seen::<WHOLE>(row.add(width)) } else { [zero; 3] };
            (first, third) = (add(first, below, seen), add(third, here, seen));
            here = below;
        }
    }
    [first, second, third]
}

/// A row of the kernel's sums with what it sees times `grad`.
#[inline(always)]
fn add<S: Lanes>(sums: [S; 3], grad: S, seen: [S; 3]) -> [S; 3] {
    [sums[0].fma(grad, seen[0]), sums[1].fma(grad, seen[1]), sums[2].fma(grad, seen[2])]
}
