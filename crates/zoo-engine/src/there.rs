//! What memory there is.

use std::fs;

/// The bytes that the machine has, swap among them, or fewer where the program's container has a limit; `None` where the
/// system doesn't tell.
pub fn memory_there() -> Option<u64> {
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = limits.into_iter().filter_map(|path| fs::read_to_string(path).ok());
    told(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), limits)
}

fn told(meminfo: &str, limits: impl Iterator<Item = String>) -> Option<u64> {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    let machine = field("MemTotal:").map(|memory| memory.saturating_add(field("SwapTotal:").unwrap_or(0)));
    // Without a limit the second version says `max`, the first a number beyond all memory.
    let limits = limits.filter_map(|limit| limit.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_containers_limit_counts_where_it_is_less() {
        let meminfo = "MemTotal:       16000 kB\nMemFree:          900 kB\nSwapTotal:       384 kB\n";
        let told = |meminfo: &str, limits: &[&str]| told(meminfo, limits.iter().map(|limit| (*limit).into()));
        assert_eq!(told(meminfo, &[]), Some(16384 << 10));
        assert_eq!(told(meminfo, &["max\n"]), Some(16384 << 10));
        assert_eq!(told(meminfo, &["9223372036854771712\n"]), Some(16384 << 10));
        assert_eq!(told(meminfo, &["1048576\n", "x"]), Some(1 << 20));
        assert_eq!(told("", &[]), None);
        assert_eq!(told("MemTotal: some", &["4096"]), Some(4096));
    }
}
