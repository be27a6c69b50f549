//! The grid on which updates are summed exactly.

use core::fmt;

/// Rounds a value `u` to the integer `round_ties_even(u · 2^k)`, refusing what is above a largest value.
///
/// The grid is as fine as the largest value allows with 31 bits: k = ⌊log2((2^31 − 1) / largest)⌋. So the sum
/// of weight × integer is exact in `i64` while the weights sum to less than 2^32.
#[derive(Clone, Copy, PartialEq)]
pub struct Quantizer {
    max_abs: f64,
    exponent: u8,
    limit: i32,
}

/// Why a number cannot bound an update.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error(
    "the largest absolute value of an update is a number from 2^-64 to 2^30, but {found} was given: \
     set training.max_abs_update, or leave it out for {}",
    Quantizer::DEFAULT_MAX_ABS
)]
pub struct QuantizerError {
    /// The number.
    pub found: f64,
}

impl Quantizer {
    /// The largest absolute value where a job names none: 16, a grid of 2^-26 = 1.5e-8.
    ///
    /// Updates of trained models stay far below. It is no clip and no privacy claim rests on it: a client
    /// whose update exceeds it is refused.
    pub const DEFAULT_MAX_ABS: f64 = 16.0;

    /// The finest grid for values up to `max_abs` in magnitude.
    ///
    /// # Errors
    /// `max_abs` is not from 2^-64 to 2^30.
    pub fn new(max_abs: f64) -> Result<Self, QuantizerError> {
        let (smallest, largest) = (libm::ldexp(1.0, -64), libm::ldexp(1.0, 30));
        if !(smallest..=largest).contains(&max_abs) {
            return Err(QuantizerError { found: max_abs });
        }
        let exponent = libm::ilogb(f64::from(i32::MAX) / max_abs) as u8;
        let limit = libm::floor(libm::ldexp(max_abs, exponent.into())) as i32;
        Ok(Self {
            max_abs,
            exponent,
            limit,
        })
    }

    /// The largest absolute value.
    pub fn max_abs(self) -> f64 {
        self.max_abs
    }

    /// k: the grid's step is 2^-k.
    pub fn exponent(self) -> u8 {
        self.exponent
    }

    /// The largest integer on the grid.
    pub fn limit(self) -> i32 {
        self.limit
    }

    /// The distance of two neighbours on the grid.
    pub fn step(self) -> f64 {
        libm::ldexp(1.0, -i32::from(self.exponent))
    }
}

impl fmt::Debug for Quantizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantizer(±{}, step 2^-{})", self.max_abs, self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_grid_has_a_step_of_2_to_the_minus_26() {
        let quantizer = Quantizer::new(Quantizer::DEFAULT_MAX_ABS).unwrap();
        // 16 · 2^27 = 2^31 is one above the largest i32.
        assert_eq!((quantizer.exponent(), quantizer.limit()), (26, 1 << 30));
    }

    #[test]
    fn a_bound_that_is_no_bound_is_refused() {
        for found in [0.0, -1.0, f64::INFINITY, 1e-30, 2e9] {
            assert_eq!(Quantizer::new(found), Err(QuantizerError { found }));
        }
        assert!(Quantizer::new(f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn the_largest_value_fits_and_a_finer_grid_would_not(exponent in -64.0_f64..30.0) {
            let max_abs = libm::exp2(exponent);
            let quantizer = Quantizer::new(max_abs).unwrap();
            let largest = max_abs / quantizer.step();
            prop_assert!(largest <= f64::from(i32::MAX));
            prop_assert!(2.0 * largest > f64::from(i32::MAX));
            prop_assert_eq!(f64::from(quantizer.limit()), libm::floor(largest));
        }
    }
}
