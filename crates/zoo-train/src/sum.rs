//! Sums whose rounding is NumPy's, so that a mean is the same number, to the last bit, as the one that others print.
//!
//! NumPy adds up to 128 numbers in eight columns, and halves of more than that one after the other (`pairwise_sum` of its
//! `loops_utils.h.src`). That errs less than one long sum, which is reason enough to do so.

/// How many numbers are added in columns.
const BLOCK: usize = 128;
/// Columns.
const WIDTH: usize = 8;

/// The sum of all values.
pub(crate) fn sum(values: &[f64]) -> f64 {
    if values.len() < WIDTH {
        return values.iter().sum();
    }
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (first, second) = values.split_at(half - half % WIDTH);
        return sum(first) + sum(second);
    }
    let (rows, rest) = values.as_chunks::<WIDTH>();
    let mut columns = [0.0; WIDTH];
    for row in rows {
        columns.iter_mut().zip(row).for_each(|(column, value)| *column += value);
    }
    let [a, b, c, d, e, f, g, h] = columns;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn sums_are_those_of_the_numbers() {
        for count in [0, 1, 7, 8, 9, 127, 128, 129, 300, 1000] {
            let values: Vec<f64> = (0..count).map(f64::from).collect();
            assert_eq!(sum(&values), f64::from(count * (count - 1).max(0)) / 2.0, "of {count}");
        }
    }

    /// The bits of `np.sum(1 / np.arange(1, n + 1))`, NumPy 2.4.6; the last four are other numbers if added one by one.
    #[test]
    fn sums_round_as_numpys() {
        for (count, bits) in [
            (5_u32, 0x4002_4444_4444_4444),
            (21, 0x400d_29b1_d319_28a3),
            (100, 0x4014_bfdf_e459_1243),
            (128, 0x4015_bb8a_e954_1ca7),
            (129, 0x4015_c37b_0914_9ba9),
            (300, 0x4019_2172_a3e6_965a),
            (1000, 0x401d_f11f_45f4_e61a),
        ] {
            let values: Vec<f64> = (1..=count).map(|place| 1.0 / f64::from(place)).collect();
            assert_eq!(sum(&values).to_bits(), bits, "of {count}");
        }
    }
}
