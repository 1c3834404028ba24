//! A plane's copy with its padding, split by the stride's phases.

#![expect(unsafe_code, reason = "copies rows through pointers")]

use crate::conv::spec::Conv2d;
use crate::element::Element;
use crate::error::Shape;
use crate::simd::{Lanes, copy};

/// Whether the convolution is depthwise, and [`fits`].
pub(in crate::conv) fn suits(spec: &Conv2d, shape: Shape, output: Shape) -> bool {
    spec.is_depthwise() && fits(spec, shape, output)
}

/// Whether the padded plane is no larger than planes that real networks have: a padding much larger than the
/// picture would only fill scratch with zeros, and is left to the general product.
pub(in crate::conv) fn fits(spec: &Conv2d, [_, _, h, w]: Shape, [_, _, oh, ow]: Shape) -> bool {
    let p = spec.padding;
    let padded = (h + p.top + p.bottom).checked_mul(w + p.left + p.right);
    padded.is_some_and(|padded| padded <= (1 << 16) + 8 * (h * w + oh * ow))
}

/// Where everything lies in the scratch planes.
pub(in crate::conv) struct Layout {
    pub(super) spec: Conv2d,
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    /// Height and width of one phase.
    pub(super) phase: [usize; 2],
    /// For each tap: its phase, and its offset within it.
    pub(super) taps: Vec<(usize, usize)>,
    /// The largest of these offsets.
    pub(super) reach: usize,
    pub(super) parts: Vec<Part>,
}

/// `count` numbers of input row `y`, from column `x` on and a stride apart, lie from `at` on in the phases.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) at: usize,
    pub(super) y: usize,
    pub(super) x: usize,
    pub(super) count: usize,
}

impl Layout {
    pub(in crate::conv) fn new(spec: &Conv2d, [_, _, h, w]: Shape, [_, _, oh, ow]: Shape) -> Self {
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

    pub(in crate::conv) fn phase_len(&self) -> usize {
        self.phase[0] * self.phase[1]
    }

    pub(in crate::conv) fn phases(&self) -> usize {
        self.spec.stride[0] * self.spec.stride[1]
    }

    /// Where each tap sees the first output pixel.
    pub(in crate::conv) fn places(&self) -> impl Iterator<Item = usize> {
        self.taps.iter().map(|&(phase, offset)| phase * self.phase_len() + offset)
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
    pub(in crate::conv) fn fill<S: Lanes<Elem = T>, T: Element>(&self, plane: &[T], phases: &mut [T]) {
        for part in &self.parts {
            // SAFETY: `parts` cut the row to the plane and to the phase.
            unsafe {
                let from = plane.as_ptr().add(part.y * self.input[1] + part.x);
                copy::<S>(from, self.spec.stride[1], phases.as_mut_ptr().add(part.at), part.count);
            }
        }
    }

    /// Copies an output plane into rows of the phase's width. The gaps between rows must be zero already.
    #[inline(always)]
    pub(in crate::conv) fn spread<S: Lanes<Elem = T>, T: Element>(&self, plane: &[T], spread: &mut [T]) {
        let [oh, ow] = self.output;
        for y in 0..oh {
            // SAFETY: the plane has `oh` rows of `ow` numbers, and `spread` at least `span` numbers.
            unsafe {
                copy::<S>(plane.as_ptr().add(y * ow), 1, spread.as_mut_ptr().add(y * self.phase[1]), ow);
            }
        }
    }
}
