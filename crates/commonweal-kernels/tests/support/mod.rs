//! What the kernel tests share: every available instruction set, and repeatable numbers.
#![allow(dead_code, reason = "each test file uses its part")]

use commonweal_kernels::{InstructionSet, Real};

/// Lengths around the vector widths and the blocks.
pub(crate) const LENGTHS: [usize; 20] = [
    0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257,
];

/// Runs `claim` on every instruction set of this machine.
pub(crate) fn on_every_set(claim: impl Fn(InstructionSet)) {
    for set in InstructionSet::ALL
        .into_iter()
        .filter(|set| set.is_available())
    {
        set.run(|| claim(set));
    }
}

/// `length` numbers within ±1, the same for the same seed.
pub(crate) fn numbers<T: Real>(length: usize, seed: u64) -> Vec<T> {
    let mut state = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(0x1234_5678_9ABC_DEF1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // 24 bits: the same numbers in both element types.
        T::from_f64((state >> 40) as f64 / (1u64 << 23) as f64 - 1.0)
    };
    (0..length).map(|_| next()).collect()
}

/// Panics unless every value is within `tolerance` of what is expected.
pub(crate) fn assert_close<T: Real>(found: &[T], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found.to_f64() - expected).abs();
        assert!(
            error <= tolerance,
            "{what}: value {i} is {found}, expected {expected}"
        );
    }
}
