//! What a process needs at most beyond what it has: Linux tells.

use std::fs;

/// What was resident at some moment, with the kernel's high-water mark set back to it.
#[derive(Debug)]
pub struct Memory {
    before_kib: f64,
}

impl Memory {
    /// Nothing where the system doesn't tell.
    pub fn before() -> Option<Self> {
        // 5 sets the mark back (proc_pid_clear_refs).
        fs::write("/proc/self/clear_refs", "5").ok()?;
        Some(Self { before_kib: status("VmRSS:")? })
    }

    /// Sets the mark back again; what there was before stays what it was.
    pub fn forget(&self) -> Option<()> {
        fs::write("/proc/self/clear_refs", "5").ok()
    }

    /// The most since then, less what there was.
    pub fn peak_mib(&self) -> Option<f64> {
        Some((status("VmHWM:")? - self.before_kib).max(0.0) / 1024.0)
    }
}

/// The most of the whole process since the mark was set back.
pub fn most_mib() -> Option<f64> {
    Some(status("VmHWM:")? / 1024.0)
}

/// A field of the process's status, in KiB.
fn status(field: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
