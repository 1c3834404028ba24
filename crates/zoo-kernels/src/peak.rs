//! The machine's limit, measured: what a kernel's speed is a share of.

use std::hint::black_box;
use std::time::Instant;

use crate::element::Element;
use crate::isa::{Isa, Kernel, dispatch};
use crate::simd::Lanes;

/// Sums at once: enough to hide a multiply-add's latency, few enough for the registers.
const SUMS: usize = 12;
/// Multiply-adds on each sum in one run, about a millisecond.
const STEPS: usize = 1 << 18;
/// Runs, of which the fastest counts: so many that threads which began on one core have found another.
const RUNS: usize = 60;

/// The GFLOP/s of `f32` multiply-adds that all threads of the current pool reach together with the instruction
/// set in use, operands in registers: nothing that multiplies and adds can be faster.
pub fn measured_peak() -> f64 {
    let isa = Isa::current();
    let threads = rayon::current_num_threads();
    let flop = 2.0 * (threads * SUMS * STEPS * isa.lanes::<f32>()) as f64;
    let run = |_| {
        let start = Instant::now();
        // On every thread: shared out, one that is awake might do all before the others are.
        rayon::broadcast(|_| dispatch(isa, MultiplyAdds));
        flop / start.elapsed().as_secs_f64() / 1e9
    };
    (0..RUNS).map(run).fold(0.0, f64::max)
}

struct MultiplyAdds;

impl Kernel<f32> for MultiplyAdds {
    #[inline(always)]
    fn run<S: Lanes<Elem = f32>>(self) {
        let (a, b) = (S::splat(black_box(0.999)), S::splat(black_box(1e-3)));
        let mut sums = [S::splat(f32::ONE); SUMS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = sum.fma(a, b);
            }
        }
        let total = sums.into_iter().reduce(S::add).map_or(0.0, S::sum);
        black_box(total);
    }
}
