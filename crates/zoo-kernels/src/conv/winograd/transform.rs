//! The transforms of Winograd's F(4x4, 3x3), each along one line of vectors and then along both sides of a tile.
//!
//! A line of four outputs is a product of two polynomials, computed from their values at the points 0, `P`, `-P`,
//! `Q`, `-Q` and infinity. With `P * Q = 1` the numbers in the transforms stay close to one, and the rounding
//! errors half as large as with the usual points 1 and 2.

#![expect(unsafe_code, reason = "tiles are read and written through pointers")]

use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

use crate::element::Element;
use crate::simd::Lanes;

/// Pixels along a tile of the output, and along the tile of the source that it sees.
pub(crate) const OUT: usize = 4;
pub(crate) const IN: usize = 6;
/// Products of a tile.
pub(crate) const PRODUCTS: usize = IN * IN;

/// The points, their squares, and what a polynomial's value there is divided by.
const P: f64 = FRAC_1_SQRT_2;
const Q: f64 = SQRT_2;
const P2: f64 = P * P;
const Q2: f64 = Q * Q;
const AT_P: f64 = 2.0 * P2 * (P2 - Q2);
const AT_Q: f64 = 2.0 * Q2 * (Q2 - P2);

#[inline(always)]
fn number<S: Lanes>(value: f64) -> S {
    S::splat(S::Elem::from_f64(value))
}

/// A linear map of a line of `I` vectors to one of `O`.
pub(crate) trait Line<const I: usize, const O: usize> {
    fn line<S: Lanes>(x: [S; I]) -> [S; O];
}

/// Of the source, `B^T`.
pub(crate) struct Source;
impl Line<IN, IN> for Source {
    #[inline(always)]
    fn line<S: Lanes>([a, b, c, d, e, f]: [S; IN]) -> [S; IN] {
        let (square, sum) = (number::<S>(P2 * Q2), number::<S>(-(P2 + Q2)));
        let (p2, q2) = (number::<S>(-P2), number::<S>(-Q2));
        let (even_p, odd_p) = (e.fma(q2, c), d.fma(q2, b));
        let (even_q, odd_q) = (e.fma(p2, c), d.fma(p2, b));
        [
            e.fma(sum, c).fma(square, a),
            even_p.fma(number(P), odd_p),
            even_p.fma(number(-P), odd_p),
            even_q.fma(number(Q), odd_q),
            even_q.fma(number(-Q), odd_q),
            f.fma(sum, d).fma(square, b),
        ]
    }
}

/// Of the weights, `G`.
pub(crate) struct Weight;
impl Line<3, IN> for Weight {
    #[inline(always)]
    fn line<S: Lanes>([a, b, c]: [S; 3]) -> [S; IN] {
        let even_p = a.mul(number(1.0 / AT_P)).fma(number(P2 / AT_P), c);
        let even_q = a.mul(number(1.0 / AT_Q)).fma(number(Q2 / AT_Q), c);
        [
            a.mul(number(1.0 / (P2 * Q2))),
            even_p.fma(number(P / AT_P), b),
            even_p.fma(number(-P / AT_P), b),
            even_q.fma(number(Q / AT_Q), b),
            even_q.fma(number(-Q / AT_Q), b),
            c,
        ]
    }
}

/// Of the products, to pixels: `A^T`.
pub(crate) struct Pixels;
impl Line<IN, OUT> for Pixels {
    #[inline(always)]
    fn line<S: Lanes>([zero, p, minus_p, q, minus_q, infinity]: [S; IN]) -> [S; OUT] {
        let minus = number::<S>(-1.0);
        let (even_p, odd_p) = (p.add(minus_p), p.fma(minus, minus_p));
        let (even_q, odd_q) = (q.add(minus_q), q.fma(minus, minus_q));
        [
            zero.add(even_p.add(even_q)),
            odd_p.mul(number(P)).fma(number(Q), odd_q),
            even_p.mul(number(P2)).fma(number(Q2), even_q),
            infinity.fma(number(P * P2), odd_p).fma(number(Q * Q2), odd_q),
        ]
    }
}

/// F(2x2, 3x3), from the values at the points 0, 1, -1 and infinity.
impl Line<4, 4> for Source {
    #[inline(always)]
    fn line<S: Lanes>([a, b, c, d]: [S; 4]) -> [S; 4] {
        let minus = number::<S>(-1.0);
        [a.fma(minus, c), b.add(c), c.fma(minus, b), b.fma(minus, d)]
    }
}

impl Line<3, 4> for Weight {
    #[inline(always)]
    fn line<S: Lanes>([a, b, c]: [S; 3]) -> [S; 4] {
        let (half, even) = (number::<S>(0.5), a.add(c).mul(number(0.5)));
        [a, even.fma(half, b), even.fma(number(-0.5), b), c]
    }
}

impl Line<4, 2> for Pixels {
    #[inline(always)]
    fn line<S: Lanes>([zero, one, minus_one, infinity]: [S; 4]) -> [S; 2] {
        let minus = number::<S>(-1.0);
        [zero.add(one.add(minus_one)), one.fma(minus, minus_one.add(infinity))]
    }
}

/// Of the output's gradient, `A`.
pub(crate) struct Spread;
impl Line<OUT, IN> for Spread {
    #[inline(always)]
    fn line<S: Lanes>([a, b, c, d]: [S; OUT]) -> [S; IN] {
        let (even_p, odd_p) = (a.fma(number(P2), c), b.fma(number(P2), d));
        let (even_q, odd_q) = (a.fma(number(Q2), c), b.fma(number(Q2), d));
        [
            a,
            even_p.fma(number(P), odd_p),
            even_p.fma(number(-P), odd_p),
            even_q.fma(number(Q), odd_q),
            even_q.fma(number(-Q), odd_q),
            d,
        ]
    }
}

/// Of the products' sums, to the weights' gradient: `G^T`.
pub(crate) struct Taps;
impl Line<IN, 3> for Taps {
    #[inline(always)]
    fn line<S: Lanes>([zero, p, minus_p, q, minus_q, infinity]: [S; IN]) -> [S; 3] {
        let minus = number::<S>(-1.0);
        let (even_p, odd_p) = (p.add(minus_p), p.fma(minus, minus_p));
        let (even_q, odd_q) = (q.add(minus_q), q.fma(minus, minus_q));
        [
            zero.mul(number(1.0 / (P2 * Q2))).fma(number(1.0 / AT_P), even_p).fma(number(1.0 / AT_Q), even_q),
            odd_p.mul(number(P / AT_P)).fma(number(Q / AT_Q), odd_q),
            infinity.fma(number(P2 / AT_P), even_p).fma(number(Q2 / AT_Q), even_q),
        ]
    }
}

/// Applies `L` to the columns and then to the rows of a tile whose number `(i, j)` lies at
/// `from + i * from_step[0] + j * from_step[1]`; the result likewise in `to`.
///
/// # Safety
/// `I * I` vectors can be read there, and `O * O` written.
#[inline(always)]
pub(crate) unsafe fn both<S: Lanes, L: Line<I, O>, const I: usize, const O: usize>(
    from: *const S::Elem,
    from_step: [usize; 2],
    to: *mut S::Elem,
    to_step: [usize; 2],
) {
    let zero = S::splat(S::Elem::ZERO);
    let mut half = [[zero; I]; O];
    for j in 0..I {
        let mut column = [zero; I];
        for (i, x) in column.iter_mut().enumerate() {
            // SAFETY: the caller's promise, as for the stores below.
            *x = unsafe { S::load(from.add(i * from_step[0] + j * from_step[1])) };
        }
        for (row, x) in half.iter_mut().zip(L::line(column)) {
            row[j] = x;
        }
    }
    for (i, row) in half.into_iter().enumerate() {
        for (j, x) in L::line(row).into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { x.store(to.add(i * to_step[0] + j * to_step[1])) };
        }
    }
}
