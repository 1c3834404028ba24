//! Exponential and hyperbolic tangent in f32, without branches and tables, so that loops over them become vectors.
//!
//! Both are within two units in the last place of the exact value. The coefficients are least maximum relative
//! errors over the intervals named, fitted in f64 by iteratively reweighted least squares.

/// e to the power of `x`. NaN stays NaN; too large an `x` gives infinity, too small a one zero.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Beyond these the result is infinite, or zero, anyway.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    // x = n ln 2 + r, with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, the first of few bits, so that its products with n are exact.
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    // e^r for |r| <= ln 2 / 2: relative error 1.9e-9.
    let mut sum = 0.001_383_684_2;
    sum = sum * r + 0.008_374_816;
    sum = sum * r + 0.041_668_225;
    sum = sum * r + 0.166_664_2;
    sum = sum * r + 0.499_999_9;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    // Times 2^n, in two steps: 2^n itself may be too large or too small for an f32.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    sum * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// 2 to the power of `n`, for `n` from -126 to 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// The hyperbolic tangent. NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    // tanh x / x in x², for |x| <= 0.6: relative error 2.5e-9.
    let square = x * x;
    let mut small = -0.005_852_165;
    small = small * square + 0.020_753_626;
    small = small * square - 0.053_768_704;
    small = small * square + 0.133_316_89;
    small = small * square - 0.333_332_83;
    let small = x + x * square * small;
    let large = 1.0 - 2.0 / (exp(size + size) + 1.0);
    (if size <= 0.6 { small } else { large }).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest relative error over f32s from all binades.
    fn worst(ours: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let bits = (0..=0xff80_0000u32).step_by(4099);
        let values = bits.map(f32::from_bits).filter(|x| x.is_finite());
        let errors = values.map(|x| {
            let (found, exact) = (f64::from(ours(x)), exact(f64::from(x)));
            // What f32 can't hold is infinite or, to the last subnormal, zero.
            let exact32 = f64::from(exact as f32);
            if found == exact32 || exact.abs() < f64::from(f32::MIN_POSITIVE) && (found - exact).abs() < 3e-45
            {
                0.0
            } else {
                (found - exact).abs() / exact.abs()
            }
        });
        errors.fold(0.0, f64::max)
    }

    #[test]
    fn they_are_exact_to_two_units_in_the_last_place() {
        let unit = f64::from(f32::EPSILON);
        let (exp, tanh) = (worst(exp, f64::exp), worst(tanh, f64::tanh));
        assert!(exp < unit, "{exp}");
        assert!(tanh < 2.0 * unit, "{tanh}");
    }

    #[test]
    fn special_values_are_the_arithmetics_own() {
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!([exp(f32::INFINITY), exp(f32::NEG_INFINITY), exp(0.0)], [f32::INFINITY, 0.0, 1.0]);
        assert_eq!([tanh(f32::INFINITY), tanh(f32::NEG_INFINITY), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert!(tanh(-0.0).is_sign_negative());
    }
}
