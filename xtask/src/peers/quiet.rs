//! Whether the machine was left alone meanwhile: of two contestants that share it with a third, the one that
//! splits its work more finely suffers more.

use std::fs;

/// Of the machine, taken by other processes: more than this, and times say little.
pub(super) const DISTURBED: f64 = 0.05;

/// What the machine and this process's children had done by some moment, in the same ticks.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    all: u64,
    busy: u64,
    ours: u64,
}

impl Clock {
    /// Nothing where the system doesn't tell.
    pub(super) fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    fn read(machine: &str, process: &str) -> Option<Self> {
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in these.
        let total = machine.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> =
            total.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        let all: u64 = ticks.iter().sum();
        let idle = ticks.get(3)? + ticks.get(4)?;
        // After the name, which may hold anything, the fields from the third on; 14 to 17 are utime to cstime.
        let fields: Vec<&str> = process.rsplit_once(')')?.1.split_whitespace().collect();
        let ours = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Self { all, busy: all - idle, ours })
    }

    /// The share of the machine that others took since then, the hypervisor among them.
    pub(super) fn others(self, now: Self) -> f64 {
        let busy = now.busy.saturating_sub(self.busy);
        let others = busy.saturating_sub(now.ours.saturating_sub(self.ours));
        others as f64 / now.all.saturating_sub(self.all).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_idle_nor_ours_is_others() {
        let process = |children: u64| format!("7 (a ) name) S 1 7 7 0 -1 0 0 0 0 0 10 5 {children} 0 20 0");
        let before = Clock::read("cpu  100 0 0 900 0 0 0 0 0 0\ncpu0 1", &process(0)).unwrap();
        let after = Clock::read("cpu  160 0 0 930 0 0 0 10 0 0\ncpu0 1", &process(20)).unwrap();
        assert!((before.others(after) - 0.5).abs() < 1e-9);
        assert!(Clock::read("", "").is_none());
    }
}
