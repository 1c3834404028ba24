//! Amounts of memory, as people write them.

use std::fs;

/// The units, the longer of two that end alike first.
const UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Reads `4GiB`, `1.5 GB` or a number of bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, bytes) =
        unit.map_or((text, 1), |(unit, bytes)| (text[..text.len() - unit.len()].trim_end(), *bytes));
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    let size = value.map(|value| value * bytes as f64).filter(|size| (1.0..1e18).contains(size));
    size.map(|size| size as u64)
        .ok_or_else(|| "write a size with its unit, 4GiB or 1500MB for example".into())
}

/// What this process takes now, where the system tells.
pub(crate) fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("4GiB", 4 << 30),
            ("1.5 GB", 1_500_000_000),
            ("512MiB", 512 << 20),
            ("10kB", 10_000),
            ("4096", 4096),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "GiB", "-1GiB", "0", "4 gigs", "NaNMB", "infGB", "1e30GiB", "0.1B"] {
            assert!(parse_size(wrong).is_err(), "`{wrong}` was taken");
        }
    }
}
