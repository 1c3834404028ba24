//! What must be known of a TIFF before its decoder may see it.

use crate::tiff::Judged;

const IMAGE_LENGTH: u64 = 257;
const SAMPLES_PER_PIXEL: u64 = 277;

/// The bytes, and whether the lowest of a number comes first.
struct Numbers<'a> {
    bytes: &'a [u8],
    little: bool,
}

/// Refuses a first picture with more rows of planes than 32 bits count: the decoder multiplies them unseen.
pub(crate) fn check_rows(bytes: &[u8]) -> Judged<()> {
    let Some((rows, samples)) = rows_and_samples(bytes) else {
        // Too short for a directory, which the decoder says.
        return Ok(());
    };
    match rows.checked_mul(samples) {
        Some(product) if product <= u64::from(u32::MAX) => Ok(()),
        _ => Err(format!("it says that it has {rows} rows of {samples} values for each pixel").into()),
    }
}

/// The largest of each that the first directory says; one where it says nothing.
fn rows_and_samples(bytes: &[u8]) -> Option<(u64, u64)> {
    let numbers = Numbers { bytes, little: bytes.first() == Some(&b'I') };
    // Classic files count in 32 bits, those of the larger kind in 64.
    let (start, count, head, entry, value) = match numbers.at(2, 2)? {
        43 => {
            let start = numbers.at(8, 8)?;
            (start, numbers.at(start, 8)?, 8, 20, 12)
        }
        _ => {
            let start = numbers.at(4, 4)?;
            (start, numbers.at(start, 2)?, 2, 12, 8)
        }
    };
    let (mut rows, mut samples) = (1, 1);
    let first = start.checked_add(head)?;
    // A file can't hold more entries than bytes.
    for index in 0..count.min(bytes.len() as u64) {
        let at = first.checked_add(index * entry)?;
        let (Some(tag), Some(kind)) = (numbers.at(at, 2), numbers.at(at.checked_add(2)?, 2)) else { break };
        let size = match kind {
            1 | 6 => 1,
            3 | 8 => 2,
            16 | 17 => 8,
            _ => 4,
        };
        let told = numbers.at(at.checked_add(value)?, size).unwrap_or(0);
        match tag {
            IMAGE_LENGTH => rows = told.max(rows),
            SAMPLES_PER_PIXEL => samples = told.max(samples),
            _ => {}
        }
    }
    Some((rows, samples))
}

impl Numbers<'_> {
    fn at(&self, place: u64, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(usize::try_from(place).ok()?..)?.get(..size)?;
        let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(match self.little {
            true => bytes.iter().rev().fold(0, push),
            false => bytes.iter().fold(0, push),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of 65,536 rows and 65,535 values, in either order and of either kind.
    #[test]
    fn more_rows_of_planes_than_are_counted_are_refused() {
        let little = |rows: u32, samples: u16| {
            let mut file = b"II*\0\x08\0\0\0\x02\0".to_vec();
            file.extend([1, 1, 4, 0, 1, 0, 0, 0]);
            file.extend(rows.to_le_bytes());
            file.extend([0x15, 1, 3, 0, 1, 0, 0, 0]);
            file.extend(samples.to_le_bytes());
            file.extend([0, 0]);
            file
        };
        assert!(check_rows(&little(65_536, 65_535)).is_ok());
        let error = check_rows(&little(65_538, 65_535)).unwrap_err().to_string();
        assert_eq!(error, "it says that it has 65538 rows of 65535 values for each pixel");
        let mut big = b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x02".to_vec();
        big.extend([1, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        big.extend([1, 0x15, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0]);
        assert!(check_rows(&big).unwrap_err().to_string().contains("4294967295 rows of 2 values"));
        for length in 0..big.len() {
            let _ = check_rows(&big[..length]);
        }
    }
}
