//! Random numbers that are a function of (seed, purpose, index): no state to share, the same bits whatever the
//! number of threads and on every device.
//!
//! The function is SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators")
//! run as a counter: draw `i` mixes `key + (i + 1) * GAMMA`, where the key is a hash of seed and purpose.

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// What FNV-1a of 64 bits begins with.
pub const FNV_START: u64 = 0xCBF2_9CE4_8422_2325;

/// FNV-1a, 64 bits: a name becomes a number.
pub const fn hash_name(name: &str) -> u64 {
    fnv1a(FNV_START, name.as_bytes())
}

/// FNV-1a from `hash` on, which is [`FNV_START`] unless a seed is mixed in.
pub const fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01B3);
        i += 1;
    }
    hash
}

/// Scatters a number over all 64 bits (the finaliser of SplitMix64, after Stafford's variant 13).
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A sequence of random numbers that belongs to one seed and one purpose.
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    /// The sequence of `purpose` (a parameter's name, "shuffle", …) under `seed`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Self::from_key(mix(seed.wrapping_add(GAMMA)) ^ hash_name(purpose))
    }

    /// The sequence whose key is given as a number.
    pub const fn from_key(key: u64) -> Self {
        Self { key, counter: 0 }
    }

    /// The sequence of this number (of an epoch, of a picture in it) under this seed, so that the tenth picture's
    /// distortion is the same whether or not the first nine were drawn.
    pub const fn numbered(seed: u64, number: u64) -> Self {
        Self::from_key(mix(seed).wrapping_add(mix(number.wrapping_mul(GAMMA) ^ !seed)))
    }

    /// A sequence of its own for part `index` of this one (an epoch, a step).
    pub const fn fork(&self, index: u64) -> Self {
        Self::from_key(mix(self.key ^ mix(index.wrapping_add(GAMMA))))
    }

    /// The same sequence from `count` numbers of 64 bits further on: who draws a part of it needs none before.
    pub const fn after(mut self, count: u64) -> Self {
        self.counter = self.counter.wrapping_add(count);
        self
    }

    /// 64 random bits.
    #[inline]
    pub const fn next_u64(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GAMMA)))
    }

    /// Uniform in `[0, 1)`, in steps of 2⁻²⁴: exact in f32 too.
    #[inline]
    pub const fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 40) as f64 / (1_u64 << 24) as f64
    }

    /// Uniform in `[low, high)`.
    pub const fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform in `0..bound` (0 for a bound of 0), without bias worth naming: 2⁻⁶⁴ times the bound.
    pub const fn below(&mut self, bound: usize) -> usize {
        ((self.next_u64() as u128 * bound as u128) >> 64) as usize
    }

    /// Standard normal, from two numbers of 64 bits (Box and Muller 1958; the second value of each pair is not kept).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Puts `items` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_numbers_and_another_key_others() {
        let draw = |seed, purpose: &str| {
            let mut stream = Stream::new(seed, purpose);
            (0..4).map(|_| stream.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "conv1.weight"), draw(1, "conv1.weight"));
        assert_ne!(draw(1, "conv1.weight"), draw(2, "conv1.weight"));
        assert_ne!(draw(1, "conv1.weight"), draw(1, "conv2.weight"));
    }

    #[test]
    fn the_numbers_are_these_on_every_machine() {
        let mut stream = Stream::numbered(0, 0);
        let first = [stream.next_u64(), stream.next_u64()];
        assert_eq!(first, [11_923_130_667_873_509_210, 13_007_842_971_073_482_942]);
        let mut order = [0, 1, 2, 3, 4, 5, 6, 7];
        Stream::numbered(7, 1).shuffle(&mut order);
        assert_eq!(order, [2, 1, 0, 4, 7, 3, 5, 6]);
    }

    #[test]
    fn a_part_of_a_sequence_is_drawn_without_what_comes_before() {
        let whole = Stream::new(5, "part");
        let mut drawn = whole.clone();
        for _ in 0..3 {
            drawn.normal();
        }
        assert_eq!(whole.after(6).next_u64(), drawn.next_u64());
    }

    #[test]
    fn numbered_streams_differ() {
        let firsts = (0..100).flat_map(|seed| (0..100).map(move |n| Stream::numbered(seed, n).next_u64()));
        assert_eq!(firsts.collect::<std::collections::HashSet<u64>>().len(), 10_000);
        assert_eq!((Stream::numbered(1, 2).below(0), Stream::numbered(1, 2).below(1)), (0, 0));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut stream = Stream::new(7, "moments");
        let n = 200_000;
        let mean = (0..n).map(|_| stream.uniform()).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 3e-3, "{mean}");
        let normal: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let variance = normal.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(mean.abs() < 1e-2 && (variance - 1.0).abs() < 1e-2, "{mean} {variance}");
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Stream::new(3, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
