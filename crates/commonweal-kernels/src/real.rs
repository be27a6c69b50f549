//! The two element types of the kernels, behind one sealed trait.

use core::fmt::{Debug, Display};
use core::iter::Sum;
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// `f32` (what runs) or `f64` (what finite differences check), with the same algorithms for both.
///
/// Sealed: no other type has kernels.
pub trait Real:
    sealed::Kernels
    + Copy
    + Debug
    + Default
    + Display
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Sum
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + 'static
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Distance from 1 to the next larger value.
    const EPSILON: Self;
    /// Smallest finite value.
    const MIN: Self;

    /// The nearest value to `x`.
    fn from_f64(x: f64) -> Self;
    /// The nearest value to `x`; exact for both types.
    fn from_f32(x: f32) -> Self;
    /// The nearest value to `x`; exact up to 2^24.
    fn from_usize(x: usize) -> Self;
    /// This value as `f64`; exact.
    fn to_f64(self) -> f64;
    /// This value as `f32`; rounded to nearest for `f64`.
    fn to_f32(self) -> f32;
    /// Square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// The larger of the two; a NaN loses.
    fn max(self, other: Self) -> Self;
    /// The smaller of the two; a NaN loses.
    fn min(self, other: Self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
}

pub(crate) mod sealed {
    use crate::simd::{Simd, Vector};

    /// What the kernels need of an element type.
    pub trait Kernels: Sized {
        /// Its vector in an instruction set.
        type Vector<S: Simd>: Vector<Element = Self>;
        /// 1.5 · 2^(mantissa bits): adding and subtracting it rounds to an integer.
        const ROUNDER: Self;
        /// Terms of the series of `exp` on ±ln 2 / 2 that leave less than a tenth of an ulp.
        const EXP_TERMS: usize;
        /// `ln 2` without its lower digits, so that small integers times it are exact.
        const LN_2_HIGH: Self;
        /// `ln 2 − LN_2_HIGH`.
        const LN_2_LOW: Self;
        /// Largest argument of `exp` whose power of two is a normal number.
        const EXP_MAX: Self;
        /// Above it `tanh` is 1.
        const TANH_MAX: Self;
        /// The magnitude of `self` with the sign of `sign`.
        fn copy_sign(self, sign: Self) -> Self;
        /// `2^self` for integers whose power is a normal number.
        fn power_of_two(self) -> Self;
    }
}

macro_rules! real {
    (
        $real:ident, $vector:ident, $rounder:literal, $terms:literal, $exp_max:literal,
        $tanh_max:literal, $ln_2_high:expr, $ln_2_low:literal, $bias:literal, $mantissa:literal
    ) => {
        impl sealed::Kernels for $real {
            type Vector<S: crate::simd::Simd> = S::$vector;
            const ROUNDER: Self = $rounder;
            const EXP_TERMS: usize = $terms;
            const LN_2_HIGH: Self = $ln_2_high;
            const LN_2_LOW: Self = $ln_2_low;
            const EXP_MAX: Self = $exp_max;
            const TANH_MAX: Self = $tanh_max;

            #[inline(always)]
            fn copy_sign(self, sign: Self) -> Self {
                self.copysign(sign)
            }
            #[inline(always)]
            fn power_of_two(self) -> Self {
                let shifted = (self + $rounder).to_bits();
                <$real>::from_bits(shifted.wrapping_add($bias) << $mantissa)
            }
        }

        impl Real for $real {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = <$real>::EPSILON;
            const MIN: Self = <$real>::MIN;

            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $real
            }
            #[inline(always)]
            fn from_f32(x: f32) -> Self {
                x as $real
            }
            #[inline(always)]
            fn from_usize(x: usize) -> Self {
                x as $real
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$real>::sqrt(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$real>::abs(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                <$real>::max(self, other)
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                <$real>::min(self, other)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$real>::is_finite(self)
            }
        }
    };
}

real!(
    f32,
    F32,
    12_582_912.0,
    8,
    87.0,
    10.0,
    355.0 / 512.0,
    -2.121_944_4e-4,
    127,
    23
);
real!(
    f64,
    F64,
    6_755_399_441_055_744.0,
    14,
    708.0,
    20.0,
    f64::from_bits(0x3FE6_2E42_FEE0_0000),
    1.908_214_929_270_587_7e-10,
    1023,
    52
);
