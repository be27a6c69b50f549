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
    /// What the kernels need of an element type.
    pub trait Kernels: Sized {
        fn exp(self) -> Self;
        fn tanh(self) -> Self;
        fn ln(self) -> Self;
    }
}

macro_rules! real {
    ($real:ident) => {
        impl sealed::Kernels for $real {
            fn exp(self) -> Self {
                <$real>::exp(self)
            }
            fn tanh(self) -> Self {
                <$real>::tanh(self)
            }
            fn ln(self) -> Self {
                <$real>::ln(self)
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

real!(f32);
real!(f64);
