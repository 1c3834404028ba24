//! How much memory work holds for a while beside its arguments and results.

/// The sizes of the buffers that work holds at once, in numbers.
///
/// Buffers are kept and used again by what fits, so that what one piece of work and then another leave is the larger of
/// their largest, the larger of their second largest, and so on: [`Working::and`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Working(Vec<usize>);

impl Working {
    /// Buffers of these sizes, in any order.
    pub fn of(sizes: impl IntoIterator<Item = usize>) -> Self {
        let mut sizes: Vec<usize> = sizes.into_iter().filter(|&size| size > 0).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        Self(sizes)
    }

    /// What is kept after this work and `other`.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        for (size, &other) in self.0.iter_mut().zip(&other.0) {
            *size = other.max(*size);
        }
        self
    }

    /// All of them.
    pub fn total(&self) -> usize {
        self.0.iter().fold(0, |total, &size| total.saturating_add(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_serves_either_work() {
        let (one, two) = (Working::of([3, 0, 9]), Working::of([7, 5, 1]));
        assert_eq!(one, Working(vec![9, 3]));
        let both = Working(vec![9, 5, 1]);
        assert_eq!((one.clone().and(&two), two.and(&one)), (both.clone(), both));
        assert_eq!(Working::of([2, 8]).total(), 10);
        assert_eq!(Working::default().total(), 0);
    }
}
