//! The instruction set: found once, forced by `ZOO_SIMD` or, in tests, by [`with_isa`].

use std::cell::Cell;
use std::sync::OnceLock;

use crate::element::Element;
use crate::simd::Lanes;

/// An instruction set that the kernels can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust on arrays, vectorised by the compiler for the target's baseline (SSE2 or NEON).
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors with masks.
    Avx512,
}

impl Isa {
    /// The instruction sets of this machine, the plainest first.
    pub fn available() -> Vec<Self> {
        [Self::Portable, Self::Avx2, Self::Avx512].into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The name that `ZOO_SIMD` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Numbers in one of its vectors.
    pub(crate) fn lanes<T: Element>(self) -> usize {
        match self {
            Self::Portable => T::Portable::N,
            Self::Avx2 => T::Avx2::N,
            Self::Avx512 => T::Avx512::N,
        }
    }

    /// Vectors across the matrix product's tile.
    pub(crate) fn vectors<T: Element>(self) -> usize {
        match self {
            Self::Portable => T::Portable::VECTORS,
            Self::Avx2 => T::Avx2::VECTORS,
            Self::Avx512 => T::Avx512::VECTORS,
        }
    }

    /// Rows of the matrix product's tile.
    pub(crate) fn rows<T: Element>(self) -> usize {
        match self {
            Self::Portable => T::Portable::ROWS,
            Self::Avx2 => T::Avx2::ROWS,
            Self::Avx512 => T::Avx512::ROWS,
        }
    }

    /// The one in use on this thread: [`with_isa`]'s if inside it, else `ZOO_SIMD`'s, else the best.
    pub fn current() -> Self {
        FORCED.get().unwrap_or_else(|| selection().isa)
    }
}

/// What was chosen for this process, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The instruction set in use.
    pub isa: Isa,
    /// A sentence for the user where `ZOO_SIMD` asked for what can't be had; nothing else is wrong then.
    pub warning: Option<String>,
}

/// The process's choice: `ZOO_SIMD` if the machine has what it names, else the best there is.
///
/// A library can't stop the program for a mistyped variable and never prints; so an impossible wish
/// falls back to the best instruction set, and [`Selection::warning`] holds the sentence to show.
pub fn selection() -> &'static Selection {
    static SELECTION: OnceLock<Selection> = OnceLock::new();
    SELECTION.get_or_init(|| select(std::env::var("ZOO_SIMD").ok().as_deref()))
}

fn select(wish: Option<&str>) -> Selection {
    let available = Isa::available();
    let best = available.last().copied().unwrap_or(Isa::Portable);
    let Some(wish) = wish.map(str::trim).filter(|wish| !wish.is_empty()) else {
        return Selection { isa: best, warning: None };
    };
    if let Some(&isa) = available.iter().find(|isa| isa.name().eq_ignore_ascii_case(wish)) {
        return Selection { isa, warning: None };
    }
    let names: Vec<_> = available.iter().map(|isa| isa.name()).collect();
    let warning = format!(
        "ZOO_SIMD={wish} isn't available here, so {} is used; this machine has {}",
        best.name(),
        names.join(", ")
    );
    Selection { isa: best, warning: Some(warning) }
}

thread_local! {
    static FORCED: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// Runs `work` with the kernels that it calls from this thread on `isa`, or returns `None` without
/// running it if the machine lacks `isa`.
pub fn with_isa<R>(isa: Isa, work: impl FnOnce() -> R) -> Option<R> {
    isa.is_available().then(|| forced(Some(isa), work))
}

/// What is forced on this thread.
pub(crate) fn force() -> Option<Isa> {
    FORCED.get()
}

/// Runs `work` with this forced, which is available.
pub(crate) fn forced<R>(isa: Option<Isa>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Isa>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(isa));
    work()
}

/// Work written once over [`Lanes`], compiled for every instruction set.
pub(crate) trait Kernel<T: Element> {
    /// Does it. Implementations are `#[inline(always)]`, so that the body is compiled inside a function
    /// that has the instruction set enabled, and so is all that they call on vectors. Vector code in a closure
    /// would be compiled without the instruction set wherever the compiler chose not to inline it, ten times
    /// slower: they use loops.
    fn run<S: Lanes<Elem = T>>(self);
}

/// Runs `kernel` compiled for `isa`.
#[expect(unsafe_code, reason = "calls functions compiled for instruction sets found at run time")]
#[inline]
pub(crate) fn dispatch<T: Element, K: Kernel<T>>(isa: Isa, kernel: K) {
    match isa {
        Isa::Portable => kernel.run::<T::Portable>(),
        // SAFETY: an `Isa` other than `Portable` reaches this point only from `Isa::current`, which gives
        // one that `is_available` confirmed for this machine.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { on_avx2(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { on_avx512(kernel) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => kernel.run::<T::Portable>(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline(never)]
pub(crate) fn on_avx2<T: Element, K: Kernel<T>>(kernel: K) {
    kernel.run::<T::Avx2>();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
#[inline(never)]
pub(crate) fn on_avx512<T: Element, K: Kernel<T>>(kernel: K) {
    kernel.run::<T::Avx512>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_wish_falls_back_with_a_sentence() {
        let selection = select(Some("neon2"));
        assert_eq!(selection.isa, *Isa::available().last().unwrap());
        let warning = selection.warning.unwrap();
        assert!(warning.contains("neon2") && warning.contains("portable"), "{warning}");
    }

    #[test]
    fn a_wish_is_honoured_and_case_does_not_matter() {
        assert_eq!(select(Some(" Portable ")), Selection { isa: Isa::Portable, warning: None });
        assert_eq!(select(None).warning, None);
    }

    #[test]
    fn forcing_ends_with_its_scope() {
        let before = Isa::current();
        assert_eq!(with_isa(Isa::Portable, Isa::current), Some(Isa::Portable));
        assert_eq!(Isa::current(), before);
    }
}
