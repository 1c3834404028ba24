//! How large a block may be: what the machine says of its caches, and what of them was measured to serve.
//!
//! Only blocks whose size doesn't show in the result follow the machine. How deep a sum goes before it is put down
//! shows in its last bits, and is the same everywhere.

use std::sync::OnceLock;

static CURRENT: OnceLock<Caches> = OnceLock::new();

/// Bytes of the caches that a core sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    /// The second level.
    pub second: usize,
    /// The last level, which cores share.
    pub last: usize,
}

impl Caches {
    /// Where nothing is known, the sizes that blocks were measured with.
    pub const UNKNOWN: Self = Self { second: 1 << 20, last: 32 << 20 };

    /// This machine's, or those that were assumed.
    pub fn current() -> Self {
        *CURRENT.get_or_init(|| Self::reported().unwrap_or(Self::UNKNOWN))
    }

    /// Goes by these for the rest of the process, whatever the processor reports. Gives `false`, and changes nothing, once a
    /// kernel has asked for them.
    pub fn assume(self) -> bool {
        CURRENT.set(self).is_ok()
    }

    /// What the processor says.
    #[cfg(target_arch = "x86_64")]
    fn reported() -> Option<Self> {
        let caches = raw_cpuid::CpuId::new().get_cache_parameters()?;
        // More levels than there are: an emulator might go on for ever.
        let levels = caches.take(16).filter(|cache| cache.cache_type() != raw_cpuid::CacheType::Instruction);
        Self::of_levels(levels.map(|cache| {
            let lines = cache.associativity().saturating_mul(cache.physical_line_partitions());
            let bytes = lines.saturating_mul(cache.coherency_line_size()).saturating_mul(cache.sets());
            (cache.level(), bytes)
        }))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn reported() -> Option<Self> {
        None
    }

    /// From pairs of level and bytes. A machine that tells of no third level has its second for the last.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        cfg_attr(not(test), expect(dead_code, reason = "nobody reports"))
    )]
    fn of_levels(levels: impl Iterator<Item = (u8, usize)>) -> Option<Self> {
        let (mut second, mut last) = (None, None);
        for (level, bytes) in levels.filter(|(level, bytes)| *level >= 2 && *bytes > 0) {
            if level == 2 {
                second = Some(bytes);
            }
            last = last.max(Some(bytes));
        }
        Some(Self { second: second?, last: last? })
    }

    /// Bytes that a task goes over again and again: half of the second level, at most 256 KiB.
    pub fn block(self) -> usize {
        (self.second / 2).clamp(32 << 10, 256 << 10)
    }

    /// Bytes that a task writes once and reads once: an eighth of the last level, at most 4 MiB.
    pub fn task(self) -> usize {
        (self.last / 8).clamp(256 << 10, 4 << 20)
    }

    /// Bytes of maps that go from layer to layer: three quarters of the last level, 6 to 24 MiB.
    pub fn maps(self) -> usize {
        (self.last / 4 * 3).clamp(6 << 20, 24 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_large_as_was_measured_and_smaller_where_caches_are() {
        let blocks = |caches: Caches| [caches.block(), caches.task(), caches.maps()].map(|bytes| bytes >> 10);
        assert_eq!(blocks(Caches::UNKNOWN), [256, 4096, 24 << 10]);
        // A laptop's, a desktop's of 2013, a server's, and what can't be.
        assert_eq!(blocks(Caches { second: 512 << 10, last: 4 << 20 }), [256, 512, 6 << 10]);
        assert_eq!(blocks(Caches { second: 256 << 10, last: 8 << 20 }), [128, 1024, 6 << 10]);
        assert_eq!(blocks(Caches { second: 2 << 20, last: 260 << 20 }), [256, 4096, 24 << 10]);
        assert_eq!(blocks(Caches { second: 0, last: usize::MAX }), [32, 4096, 24 << 10]);
    }

    #[test]
    fn levels_are_told_apart() {
        let of = |levels: &[(u8, usize)]| Caches::of_levels(levels.iter().copied());
        assert_eq!(of(&[(1, 32), (2, 512), (3, 8192)]), Some(Caches { second: 512, last: 8192 }));
        assert_eq!(of(&[(1, 32), (2, 512)]), Some(Caches { second: 512, last: 512 }));
        assert_eq!(of(&[(1, 32), (2, 0), (3, 8192)]), None);
        assert_eq!(of(&[]), None);
    }
}
