//! Values kept in half the size: bf16, which has the range of f32 and eight bits of its fraction.

use zoo_kernels::pieces;

use super::{memory::Shelved, slices::Run};
use crate::{
    Element,
    plan::{Place, ValueId},
};

/// How many numbers one task rounds.
const TASK: usize = 1 << 15;

impl<T: Shelved> Run<T> {
    /// Keeps a value as bf16.
    pub(super) fn narrow(&mut self, from: ValueId, to: ValueId) -> candle_core::Result<()> {
        let Place::Half(slot) = self.plan.place(to) else { return Err(astray()) };
        let whole = self.plan.halves[slot] * self.batch;
        let mut half = self.memory_mut().take_half(slot, whole);
        let len = self.len(to);
        self.with_value(from, |values| {
            pieces(&mut half[..len], TASK, |start, half| {
                half.iter_mut()
                    .zip(&values[start..])
                    .for_each(|(half, value)| *half = rounded(Element::to_f64(*value) as f32));
            });
            Ok(())
        })?;
        self.memory_mut().halves[slot] = half;
        Ok(())
    }

    /// Makes it whole again.
    pub(super) fn widen(&mut self, from: ValueId, to: ValueId) -> candle_core::Result<()> {
        let Place::Half(slot) = self.plan.place(from) else { return Err(astray()) };
        let (mut room, len) = (self.take(to), self.len(to));
        let halves = self.memory.as_ref().and_then(|memory| memory.halves[slot].get(..len));
        let Some(half) = halves else { candle_core::bail!("a value was made whole before it was kept") };
        pieces(&mut room[..len], TASK, |start, values| {
            values.iter_mut().zip(&half[start..]).for_each(|(value, half)| {
                *value = <T as Element>::from_f64(f64::from(f32::from_bits(u32::from(*half) << 16)));
            });
        });
        self.put(to, room);
        Ok(())
    }
}

/// A plan that has a value in half the size where it has no place.
fn astray() -> candle_core::Error {
    candle_core::Error::msg("a value is kept as bf16 where the plan has no place for it")
}

/// The nearest bf16, the even one of two.
fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    // What is no number must not be carried over into infinity.
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn numbers_are_rounded_to_the_nearest_even() {
        let widened = |value: f32| f32::from_bits(u32::from(rounded(value)) << 16);
        for exact in [0.0, -0.0, 1.0, -1.5, 3.0e38, 1.0e-38, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(
                (widened(exact) - exact).abs() <= exact.abs() / 256.0 || widened(exact) == exact,
                "{exact}"
            );
        }
        assert!(widened(f32::NAN).is_nan());
        let step = 1.0 / 128.0;
        assert_eq!(widened(1.0 + step / 2.0), 1.0); // a tie goes to the even fraction
        assert_eq!(widened(1.0 + step * 1.5), 1.0 + 2.0 * step);
        assert_eq!(widened(1.0 + step * 0.51), 1.0 + step);
        assert_eq!(widened(1.0 + step * 0.49), 1.0);
    }
}
