//! Convolutions with one input and one output channel in each group, directly on planes.
//!
//! A plane is copied with its padding into a scratch of phases: with strides `(sh, sw)`, the pixels whose row is
//! `py` modulo `sh` and whose column is `px` modulo `sw` lie together as a plane of their own. There, every tap
//! of every stride is one fixed offset from the output pixel, so that all three passes are loops over flat
//! memory, whole vectors at a time across the ends of rows; the few numbers computed between rows are dropped.

#![expect(
    unsafe_code,
    reason = "flat vector loops through pointers over scratch with slack for whole vectors"
)]

use super::spec::Conv2d;
use crate::element::Element;
use crate::error::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::par::{Shared, tasks};
use crate::scratch;
use crate::simd::{Lanes, copy};

/// Vectors that are computed together, so that a weight is loaded once for all.
const TOGETHER: usize = 4;
/// Taps whose sums are kept in registers together.
const TAPS: usize = 9;
/// The most numbers that a loop over whole vectors reaches past the end.
pub(super) const SLACK: usize = 16 * TOGETHER;
/// Tasks worth having.
const TASKS: usize = 32;

/// Whether the convolution is depthwise, and [`fits`].
pub(super) fn suits(spec: &Conv2d, shape: Shape, output: Shape) -> bool {
    spec.is_depthwise() && fits(spec, shape, output)
}

/// Whether the padded plane is no larger than planes that real networks have: a padding much larger than the
/// picture would only fill scratch with zeros, and is left to the general product.
pub(super) fn fits(spec: &Conv2d, [_, _, h, w]: Shape, [_, _, oh, ow]: Shape) -> bool {
    let p = spec.padding;
    let padded = (h + p.top + p.bottom).checked_mul(w + p.left + p.right);
    padded.is_some_and(|padded| padded <= (1 << 16) + 8 * (h * w + oh * ow))
}

/// Where everything lies in the scratch planes.
pub(super) struct Layout {
    spec: Conv2d,
    input: [usize; 2],
    output: [usize; 2],
    /// Height and width of one phase.
    phase: [usize; 2],
    /// For each tap: its phase, and its offset within it.
    taps: Vec<(usize, usize)>,
    /// The largest of these offsets.
    reach: usize,
    parts: Vec<Part>,
}

/// `count` numbers of input row `y`, from column `x` on and a stride apart, lie from `at` on in the phases.
#[derive(Clone, Copy)]
struct Part {
    at: usize,
    y: usize,
    x: usize,
    count: usize,
}

impl Layout {
    pub(super) fn new(spec: &Conv2d, [_, _, h, w]: Shape, [_, _, oh, ow]: Shape) -> Self {
        // Where there is one output, its stride means nothing; 1 keeps the phases few.
        let mut spec = *spec;
        for (stride, out) in spec.stride.iter_mut().zip([oh, ow]) {
            if out == 1 {
                *stride = 1;
            }
        }
        let [sh, sw] = spec.stride;
        let last = [0, 1].map(|i| (spec.kernel_size[i] - 1) * spec.dilation[i]);
        let phase = [oh + last[0] / sh, ow + last[1] / sw];
        let [kh, kw] = spec.kernel_size;
        let taps: Vec<_> = (0..kh)
            .flat_map(|ky| (0..kw).map(move |kx| (ky * spec.dilation[0], kx * spec.dilation[1])))
            .map(|(dy, dx)| (dy % sh * sw + dx % sw, dy / sh * phase[1] + dx / sw))
            .collect();
        let reach = taps.iter().map(|tap| tap.1).max().unwrap_or(0);
        let mut layout =
            Self { spec, input: [h, w], output: [oh, ow], phase, taps, reach, parts: Vec::new() };
        layout.parts = layout.parts();
        layout
    }

    pub(super) fn phase_len(&self) -> usize {
        self.phase[0] * self.phase[1]
    }

    pub(super) fn phases(&self) -> usize {
        self.spec.stride[0] * self.spec.stride[1]
    }

    /// Flat numbers from the first output pixel to the last, with the gaps between rows.
    pub(super) fn span(&self) -> usize {
        (self.output[0] - 1) * self.phase[1] + self.output[1]
    }

    /// The parts of the input's rows that the phases hold.
    fn parts(&self) -> Vec<Part> {
        let ([sh, sw], pad) = (self.spec.stride, self.spec.padding);
        let mut parts = Vec::new();
        for y in 0..self.input[0] {
            let (row, row_phase) = ((y + pad.top) / sh, (y + pad.top) % sh);
            if row >= self.phase[0] {
                continue;
            }
            for px in 0..sw {
                // The first column of this phase that is inside.
                let x = (px + sw - pad.left % sw) % sw;
                let column = (x + pad.left) / sw;
                if x >= self.input[1] || column >= self.phase[1] {
                    continue;
                }
                let count = (self.input[1] - x).div_ceil(sw).min(self.phase[1] - column);
                let at = (row_phase * sw + px) * self.phase_len() + row * self.phase[1] + column;
                parts.push(Part { at, y, x, count });
            }
        }
        parts
    }

    /// Fills the phases from a plane. What lies outside the plane must be zero already, and stays so.
    #[inline(always)]
    pub(super) fn fill<S: Lanes<Elem = T>, T: Element>(&self, plane: &[T], phases: &mut [T]) {
        for part in &self.parts {
            // SAFETY: `parts` cut the row to the plane and to the phase.
            unsafe {
                let from = plane.as_ptr().add(part.y * self.input[1] + part.x);
                copy::<S>(from, self.spec.stride[1], phases.as_mut_ptr().add(part.at), part.count);
            }
        }
    }

    /// Adds to `sums[t]` the sum over pixels of `grad * from`, as tap `t` sees it.
    ///
    /// # Safety
    /// `from` is this layout's phases and `grad` a spread output plane, both with slack that is zero.
    #[inline(always)]
    pub(super) unsafe fn correlate_taps<S: Lanes>(
        &self,
        from: *const S::Elem,
        grad: *const S::Elem,
        sums: &mut [S::Elem],
    ) {
        for (taps, sums) in self.taps.chunks(TAPS).zip(sums.chunks_mut(TAPS)) {
            macro_rules! fixed {
                ($($n:literal)*) => {
                    match taps.len() {
                        $($n => {
                            let mut places = [from; $n];
                            for (place, tap) in places.iter_mut().zip(taps) {
                                *place = from.wrapping_add(tap.0 * self.phase_len() + tap.1);
                            }
                            // SAFETY: a tap's offset plus the span ends within its phase; the caller
                            // promises the slack.
                            let more = unsafe { correlate_taps::<S, $n>(&places, grad, self.span()) };
                            for (sum, more) in sums.iter_mut().zip(more) {
                                *sum += more;
                            }
                        })*
                        _ => {}
                    }
                };
            }
            fixed!(1 2 3 4 5 6 7 8 9);
        }
    }

    /// Copies an output plane into rows of the phase's width. The gaps between rows must be zero already.
    #[inline(always)]
    pub(super) fn spread<S: Lanes<Elem = T>, T: Element>(&self, plane: &[T], spread: &mut [T]) {
        let [oh, ow] = self.output;
        for y in 0..oh {
            // SAFETY: the plane has `oh` rows of `ow` numbers, and `spread` at least `span` numbers.
            unsafe {
                copy::<S>(plane.as_ptr().add(y * ow), 1, spread.as_mut_ptr().add(y * self.phase[1]), ow);
            }
        }
    }
}

/// `to[j]` = the sum over taps of `weights[t] * from[j + offsets[t]]`, for `j` below `len` rounded up to vectors.
///
/// # Safety
/// `from` and `to` have [`SLACK`] numbers more than the last of these.
#[inline(always)]
unsafe fn correlate<S: Lanes>(from: *const S::Elem, taps: &[(usize, S::Elem)], to: *mut S::Elem, len: usize) {
    let mut at = 0;
    // SAFETY: `at < len`, so that a step reaches at most `SLACK` numbers further.
    unsafe {
        while at < len {
            let mut sums = [S::splat(S::Elem::ZERO); TOGETHER];
            for &(offset, weight) in taps {
                let weight = S::splat(weight);
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.fma(weight, S::load(from.add(offset + at + v * S::N)));
                }
            }
            for (v, sum) in sums.iter().enumerate() {
                sum.store(to.add(at + v * S::N));
            }
            at += TOGETHER * S::N;
        }
    }
}

/// Adds to `sums[t]` the sum over `j` of `grad[j] * from[j + offsets[t]]`.
///
/// # Safety
/// `from` and `grad` can be read for `j` below `len` rounded up to a vector, and `grad` is zero past `len`.
#[inline(always)]
unsafe fn correlate_taps<S: Lanes, const N: usize>(
    from: &[*const S::Elem; N],
    grad: *const S::Elem,
    len: usize,
) -> [S::Elem; N] {
    let mut sums = [S::splat(S::Elem::ZERO); N];
    let mut at = 0;
    // SAFETY: `at < len`, and whole vectors may be read.
    unsafe {
        while at < len {
            let grad = S::load(grad.add(at));
            for (sum, from) in sums.iter_mut().zip(from) {
                *sum = sum.fma(grad, S::load(from.add(at)));
            }
            at += S::N;
        }
    }
    let mut totals = [S::Elem::ZERO; N];
    for (total, sum) in totals.iter_mut().zip(sums) {
        *total = sum.sum();
    }
    totals
}

/// Runs `plane` for ranges of planes.
fn for_planes(planes: usize, pixels: usize, run: impl Fn(std::ops::Range<usize>) + Sync + Send) {
    let each = planes.div_ceil(TASKS);
    tasks(planes.div_ceil(each), planes * pixels, |task| run(task * each..((task + 1) * each).min(planes)));
}

pub(super) fn forward<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    out: &mut [T],
) {
    let (isa, layout, out) = (Isa::current(), Layout::new(spec, shape, output), Shared::new(out));
    for_planes(shape[0] * shape[1], shape[2] * shape[3], |planes| {
        dispatch(isa, Forward { layout: &layout, planes, input, weight, bias, out });
    });
}

struct Forward<'a, T> {
    layout: &'a Layout,
    planes: std::ops::Range<usize>,
    input: &'a [T],
    weight: &'a [T],
    bias: Option<&'a [T]>,
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for Forward<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let layout = self.layout;
        let (count, [h, w], [oh, ow]) = (layout.taps.len(), layout.input, layout.output);
        let mut phases = scratch::take_zeroed::<T>(layout.phases() * layout.phase_len() + SLACK);
        let mut wide = scratch::take::<T>(layout.span() + SLACK);
        let mut taps = vec![(0, T::ZERO); count];
        for plane in self.planes {
            let channel = plane % layout.spec.in_channels;
            for (tap, (&(phase, offset), &weight)) in
                taps.iter_mut().zip(layout.taps.iter().zip(&self.weight[channel * count..]))
            {
                *tap = (phase * layout.phase_len() + offset, weight);
            }
            layout.fill::<S, T>(&self.input[plane * h * w..(plane + 1) * h * w], &mut phases);
            // SAFETY: a tap's offset plus the span ends within its phase, and both buffers have slack; the
            // planes of `out` in this range are this task's.
            unsafe {
                correlate::<S>(phases.as_ptr(), &taps, wide.as_mut_ptr(), layout.span());
                let out = self.out.get().add(plane * oh * ow);
                for y in 0..oh {
                    copy::<S>(wide.as_ptr().add(y * layout.phase[1]), 1, out.add(y * ow), ow);
                }
                if let Some(bias) = self.bias {
                    for pixel in std::slice::from_raw_parts_mut(out, oh * ow) {
                        *pixel += bias[channel];
                    }
                }
            }
        }
    }
}

pub(super) fn grad_input<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    grad_out: &[T],
    weight: &[T],
    bias: Option<&[T]>,
    grad_input: &mut [T],
) {
    let (isa, layout, out) = (Isa::current(), Layout::new(spec, shape, output), Shared::new(grad_input));
    for_planes(shape[0] * shape[1], shape[2] * shape[3], |planes| {
        dispatch(isa, GradInput { layout: &layout, planes, grad_out, weight, bias, out });
    });
}

struct GradInput<'a, T> {
    layout: &'a Layout,
    planes: std::ops::Range<usize>,
    grad_out: &'a [T],
    weight: &'a [T],
    bias: Option<&'a [T]>,
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for GradInput<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let layout = self.layout;
        let (count, [h, w], [oh, ow]) = (layout.taps.len(), layout.input, layout.output);
        let len = layout.phase_len();
        // The gradient, with zeros for every tap that reaches before its first or behind its last pixel.
        let mut grad = scratch::take_zeroed::<T>(layout.reach + len + SLACK);
        let mut phases = scratch::take::<T>(layout.phases() * len + SLACK);
        let mut taps = Vec::with_capacity(count);
        for plane in self.planes {
            let channel = plane % layout.spec.in_channels;
            layout.spread::<S, T>(
                &self.grad_out[plane * oh * ow..(plane + 1) * oh * ow],
                &mut grad[layout.reach..],
            );
            for phase in 0..layout.phases() {
                let weights = layout.taps.iter().zip(&self.weight[channel * count..]);
                taps.clear();
                taps.extend(
                    weights
                        .filter(|(tap, _)| tap.0 == phase)
                        .map(|(tap, &weight)| (layout.reach - tap.1, weight)),
                );
                // SAFETY: offsets are at most `reach`, so that `reach + len` and the slack bound every read;
                // a phase's slack is the next phase, which is written after it, or the buffer's.
                unsafe { correlate::<S>(grad.as_ptr(), &taps, phases.as_mut_ptr().add(phase * len), len) };
            }
            // SAFETY: the planes of `out` in this range are this task's.
            let out = unsafe { self.out.slice(plane * h * w, h * w) };
            let bias = self.bias.map_or(T::ZERO, |bias| bias[channel]);
            let step = layout.spec.stride[1];
            out.fill(bias);
            for part in &layout.parts {
                let row = &mut out[part.y * w + part.x..(part.y + 1) * w];
                let from = &phases[part.at..part.at + part.count];
                if step == 1 {
                    for (to, &from) in row.iter_mut().zip(from) {
                        *to += from;
                    }
                } else if step == 2 {
                    let (pairs, rest) = row.as_chunks_mut::<2>();
                    if let (Some(last), Some(&from)) = (rest.first_mut(), from.get(pairs.len())) {
                        *last += from;
                    }
                    for (pair, &from) in pairs.iter_mut().zip(from) {
                        pair[0] += from;
                    }
                } else {
                    for (to, &from) in row.iter_mut().step_by(step).zip(from) {
                        *to += from;
                    }
                }
            }
        }
    }
}

pub(super) fn grad_weight<T: Element>(
    spec: &Conv2d,
    shape: Shape,
    output: Shape,
    input: &[T],
    grad_out: &[T],
    grad_weight: &mut [T],
) {
    let (isa, layout, out) = (Isa::current(), Layout::new(spec, shape, output), Shared::new(grad_weight));
    for_planes(shape[1], shape[0] * shape[2] * shape[3], |channels| {
        dispatch(isa, GradWeight { layout: &layout, pictures: shape[0], channels, input, grad_out, out });
    });
}

struct GradWeight<'a, T> {
    layout: &'a Layout,
    pictures: usize,
    channels: std::ops::Range<usize>,
    input: &'a [T],
    grad_out: &'a [T],
    out: Shared<T>,
}

impl<T: Element> Kernel<T> for GradWeight<'_, T> {
    #[inline(always)]
    fn run<S: Lanes<Elem = T>>(self) {
        let layout = self.layout;
        let (count, [h, w], [oh, ow]) = (layout.taps.len(), layout.input, layout.output);
        let mut phases = scratch::take_zeroed::<T>(layout.phases() * layout.phase_len() + SLACK);
        let mut grad = scratch::take_zeroed::<T>(layout.span() + SLACK);
        for channel in self.channels {
            // SAFETY: the weights of the channels in this range are this task's.
            let sums = unsafe { self.out.slice(channel * count, count) };
            sums.fill(T::ZERO);
            for picture in 0..self.pictures {
                let plane = picture * layout.spec.in_channels + channel;
                layout.fill::<S, T>(&self.input[plane * h * w..(plane + 1) * h * w], &mut phases);
                layout.spread::<S, T>(&self.grad_out[plane * oh * ow..(plane + 1) * oh * ow], &mut grad);
                // SAFETY: both buffers have slack, which is zero and stays so.
                unsafe { layout.correlate_taps::<S>(phases.as_ptr(), grad.as_ptr(), sums) };
            }
        }
    }
}
