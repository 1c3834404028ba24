//! What memory there is.

use std::fs;
use std::path::Path;

/// The bytes that the machine has, swap among them, or fewer where a container or another group of processes (cgroup, either
/// version) that this one is in has a limit; `None` where the system doesn't tell.
pub fn memory_there() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let places = limits(&read("/proc/self/cgroup"));
    told(&read("/proc/meminfo"), places.iter().map(|path| read(path)))
}

/// The files that hold limits of the groups that a process is in, by what `/proc/self/cgroup` says: of each group, and of those
/// that it is in itself. In a container, what is mounted is the container's own.
fn limits(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let [Some(_), Some(controllers), Some(group)] = [fields.next(), fields.next(), fields.next()] else {
            continue;
        };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let within = |group: &Path| format!("{root}/{}/{file}", group.display()).replace("//", "/");
        files.extend(Path::new(group.trim_start_matches('/')).ancestors().map(within));
    }
    files
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
    use super::{limits, told};

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

    #[test]
    fn limits_are_those_of_a_group_and_of_what_it_is_in() {
        let second = ["user.slice/run.scope/memory.max", "user.slice/memory.max", "memory.max"];
        assert_eq!(limits("0::/user.slice/run.scope\n"), second.map(|file| format!("/sys/fs/cgroup/{file}")));
        let first = ["job/memory.limit_in_bytes", "memory.limit_in_bytes"];
        let first = first.map(|file| format!("/sys/fs/cgroup/memory/{file}"));
        assert_eq!(limits("5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/\nodd\n"), first);
        assert!(limits("").is_empty());
    }
}
