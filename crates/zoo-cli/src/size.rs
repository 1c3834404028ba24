//! Amounts of memory, as people write them.

use std::fs;

/// The units in small letters, the longer of two that end alike first.
const UNITS: &[(&str, u64)] = &[
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("k", 1 << 10),
    ("m", 1 << 20),
    ("g", 1 << 30),
    ("t", 1 << 40),
    ("b", 1),
];

/// Reads `4GiB`, `1.5 GB` or a number of bytes, in large letters or small ones.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim().to_lowercase();
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, bytes) =
        unit.map_or((text.as_str(), 1), |(unit, bytes)| (text[..text.len() - unit.len()].trim_end(), *bytes));
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    let size = value.map(|value| value * bytes as f64).filter(|size| (1.0..1e18).contains(size));
    size.map(|size| size as u64).ok_or_else(|| "write 2GiB, 4GiB or 500MB, for example".into())
}

/// What this process takes now, where the system tells.
pub(crate) fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// Whether so many bytes can be had at all: what can't, the allocator would end the program for, or the system.
pub(crate) fn has_room(bytes: u64) -> bool {
    let reserved =
        usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok());
    reserved && zoo_engine::memory_there().is_none_or(|there| bytes <= there)
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
            ("2GiB", 2 << 30),
            ("1.5 gb", 1_500_000_000),
            ("300000000", 300_000_000),
            ("2g", 2 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "", "GiB", "-1GiB", "0", "4 gigs", "NaNMB", "infGB", "1e30GiB", "0.1B", "2 pounds", "0MB", "-1GB",
        ] {
            assert!(parse_size(wrong).unwrap_err().contains("write 2GiB"), "`{wrong}` was taken");
        }
    }
}
