//! Amounts of memory as people read them.

/// `102.4 MB`: bytes with one decimal, powers of a thousand.
///
/// ```
/// use zoo_base::size::bytes;
///
/// assert_eq!([7, 1_000, 3_613_600, 4 << 30].map(bytes), ["7 B", "1.0 kB", "3.6 MB", "4.29 GB"]);
/// ```
pub fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.2} GB", number as f64 / 1e9),
        _ => format!("{:.2} TB", number as f64 / 1e12),
    }
}
