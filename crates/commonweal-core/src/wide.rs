//! Exact sums of fixed-point numbers, in limbs that are summed independently.
//!
//! A number is cut into pieces of 32 bits, and each piece is summed in an `i64` of its own without carries:
//! up to 2^31 numbers fit. Such a sum is a vector of plain integers, so the order of additions does not
//! matter, and it can be merged, masked and noised like any other. Carries are propagated once, at the end.

use alloc::vec;
use alloc::vec::Vec;

/// Numbers whose limbs can be summed.
pub(crate) const MAX_NUMBERS: i64 = 1 << 31;

/// The most numbers that one of `clients` clients may sum up, so that a client that lies about its own leaves room
/// for those of the others: an equal share, and at least 2^20 of the 2^31, since clients differ in size.
pub(crate) fn largest_share(clients: u32) -> i64 {
    const LEAST: i64 = 1 << 20;
    (MAX_NUMBERS / i64::from(clients.max(1))).max(LEAST)
}

/// Cuts a 64-bit number into a low limb in [0, 2^32) and a signed high limb.
pub(crate) const fn split(value: i64) -> [i64; 2] {
    [value & 0xffff_ffff, value >> 32]
}

/// The number whose limb sums these are.
pub(crate) fn join(limbs: [i64; 2]) -> i128 {
    i128::from(limbs[0]) + (i128::from(limbs[1]) << 32)
}

/// A whole number of any size: sign and magnitude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wide {
    negative: bool,
    /// Base 2^32, lowest digit first.
    digits: Vec<u32>,
}

impl Wide {
    /// The number whose limb sums these are, lowest limb first.
    pub(crate) fn from_limbs(limbs: &[i64]) -> Self {
        let mut digits = Vec::with_capacity(limbs.len() + 2);
        let mut carry = 0_i128;
        for &limb in limbs {
            carry += i128::from(limb);
            digits.push(carry as u32);
            carry >>= 32;
        }
        digits.extend([carry as u32, (carry >> 32) as u32]);
        let negative = carry < 0;
        if negative {
            negate(&mut digits);
        }
        Self { negative, digits }
    }

    pub(crate) fn square(&self) -> Self {
        let mut product = Self {
            negative: false,
            digits: vec![0; 2 * self.digits.len()],
        };
        for (shift, &digit) in self.digits.iter().enumerate() {
            add_scaled(&mut product.digits[shift..], &self.digits, digit);
        }
        product
    }

    /// `self · factor`.
    pub(crate) fn times(&self, factor: u32) -> Self {
        let mut digits = vec![0; self.digits.len() + 1];
        add_scaled(&mut digits, &self.digits, factor);
        Self {
            negative: self.negative,
            digits,
        }
    }

    /// `self − other`, or 0 if that is negative. Both must not be negative.
    pub(crate) fn saturating_sub(&self, other: &Self) -> Self {
        let len = self.digits.len().max(other.digits.len());
        let mut digits = self.digits.clone();
        digits.resize(len, 0);
        let mut borrow = 0_i64;
        for (at, digit) in digits.iter_mut().enumerate() {
            let difference =
                i64::from(*digit) - i64::from(other.digits.get(at).copied().unwrap_or(0)) + borrow;
            *digit = difference as u32;
            borrow = difference >> 32;
        }
        if borrow < 0 {
            digits.fill(0);
        }
        Self {
            negative: false,
            digits,
        }
    }

    /// The nearest `f64` but for its last bit: the three highest digits are used.
    pub(crate) fn to_f64(&self) -> f64 {
        let highest = self
            .digits
            .iter()
            .rposition(|&digit| digit != 0)
            .unwrap_or(0);
        let lowest = highest.saturating_sub(2);
        let head = self.digits[lowest..=highest]
            .iter()
            .rev()
            .fold(0_u128, |head, &digit| head << 32 | u128::from(digit));
        let magnitude = libm::ldexp(head as f64, 32 * lowest as i32);
        if self.negative { -magnitude } else { magnitude }
    }
}

fn negate(digits: &mut [u32]) {
    let mut carry = true;
    for digit in digits {
        (*digit, carry) = (!*digit).overflowing_add(carry.into());
    }
}

/// `sum += digits · factor`; the product must fit.
fn add_scaled(sum: &mut [u32], digits: &[u32], factor: u32) {
    let mut carry = 0_u64;
    for (at, sum) in sum.iter_mut().enumerate() {
        let digit = digits.get(at).copied().unwrap_or(0);
        carry += u64::from(*sum) + u64::from(digit) * u64::from(factor);
        *sum = carry as u32;
        carry >>= 32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn limb_sums_are_the_sum(values in proptest::collection::vec(any::<i64>(), 0..50)) {
            let sums = values.iter().map(|&value| split(value)).fold([0; 2], |[a, b], [c, d]| [a + c, b + d]);
            prop_assert_eq!(join(sums), values.iter().map(|&value| i128::from(value)).sum::<i128>());
        }

        #[test]
        fn wide_arithmetic_is_that_of_i128(a in any::<i32>(), b in any::<u32>(), c in 0_i64..1 << 40) {
            let wide = |value: i64| Wide::from_limbs(&split(value));
            let square = i128::from(a) * i128::from(a);
            prop_assert_eq!(wide(a.into()).square().to_f64(), square as f64);
            prop_assert_eq!(wide(a.into()).times(b).to_f64(), (i128::from(a) * i128::from(b)) as f64);
            let difference = (square - i128::from(c)).max(0);
            prop_assert_eq!(wide(a.into()).square().saturating_sub(&wide(c)).to_f64(), difference as f64);
        }
    }
}
