//! Random numbers from a seed: the same on every machine, and for every item whatever came before it.
//!
//! A stream is named by a seed and a number (of an epoch, of a picture in it), so that the tenth picture's
//! distortion is the same whether or not the first nine were drawn, and on how many threads.

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

/// The odd constant nearest 2^64 over the golden ratio: successive states are far apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stream {
    /// The stream of this number under this seed.
    pub fn new(seed: u64, number: u64) -> Stream {
        Stream { state: mix(seed).wrapping_add(mix(number.wrapping_mul(STEP) ^ !seed)) }
    }

    /// The next 64 bits (SplitMix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number from 0 up to, not including, 1.
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 24) as f32
    }

    /// A number from `-reach` to `reach`.
    pub fn within(&mut self, reach: f32) -> f32 {
        (2.0 * self.unit() - 1.0) * reach
    }

    /// An index below `bound`, or 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// The numbers below `count` in random order.
    pub fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }
}

/// Scatters a number over all 64 bits (the finaliser of SplitMix64, after Stafford's variant 13).
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_these_on_every_machine() {
        let mut stream = Stream::new(0, 0);
        assert_eq!([stream.bits(), stream.bits()], [11_923_130_667_873_509_210, 13_007_842_971_073_482_942]);
        assert_eq!(Stream::new(7, 1).shuffled(8), [2, 1, 0, 4, 7, 3, 5, 6]);
    }

    #[test]
    fn streams_are_even_and_differ() {
        let mut stream = Stream::new(3, 5);
        let numbers: Vec<f32> = (0..10_000).map(|_| stream.unit()).collect();
        let mean = numbers.iter().sum::<f32>() / 1e4;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!(numbers.iter().all(|x| (0.0..1.0).contains(x)));
        let firsts: std::collections::HashSet<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |number| Stream::new(seed, number).bits())).collect();
        assert_eq!(firsts.len(), 10_000);
        let mut order = Stream::new(1, 2).shuffled(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        assert_eq!((Stream::new(1, 2).below(0), Stream::new(1, 2).below(1)), (0, 0));
    }
}
