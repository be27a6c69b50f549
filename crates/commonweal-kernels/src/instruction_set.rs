//! Which instruction set runs: chosen once from the processor, or narrowed for one closure.

use core::cell::Cell;
use core::fmt;

/// An instruction set for which the kernels are compiled, narrowest first.
///
/// Results of one set are the same bits on every machine that has it; those of two sets may differ
/// in the last bits, since wider vectors sum in another order. A checkpoint therefore records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstructionSet {
    /// What the compilation target guarantees.
    Portable,
    /// AVX2 with FMA: 256-bit vectors.
    Avx2,
    /// AVX-512 F, DQ, BW and VL: 512-bit vectors.
    Avx512,
}

impl InstructionSet {
    /// Every set, narrowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        self <= widest()
    }

    /// Runs `work` with the kernels that this thread calls held to this set.
    ///
    /// For tests, which compare every available set with `Portable`, and for repeating bit for bit
    /// what a machine with a narrower set computed.
    ///
    /// # Panics
    /// If this machine does not have the set.
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        assert!(self.is_available(), "this machine has no {self}");
        let restore = Restore(FORCED.replace(Some(self)));
        let result = work();
        drop(restore);
        result
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

/// The set that this thread's kernels run on: the widest of the machine unless
/// [`InstructionSet::run`] narrows it.
#[inline]
pub fn instruction_set() -> InstructionSet {
    FORCED.get().unwrap_or_else(widest)
}

thread_local! {
    static FORCED: Cell<Option<InstructionSet>> = const { Cell::new(None) };
}

/// Puts the former choice back, also when the closure panics.
struct Restore(Option<InstructionSet>);

impl Drop for Restore {
    fn drop(&mut self) {
        FORCED.set(self.0);
    }
}

/// The standard library caches what the processor answers: a few loads a call.
#[inline]
#[cfg(target_arch = "x86_64")]
fn widest() -> InstructionSet {
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
    {
        InstructionSet::Avx512
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        InstructionSet::Avx2
    } else {
        InstructionSet::Portable
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn widest() -> InstructionSet {
    InstructionSet::Portable
}
