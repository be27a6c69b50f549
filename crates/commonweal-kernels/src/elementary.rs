//! `exp`, `tanh`, the logistic function and `ln` as our own series, the same for every C library.
//!
//! `exp x = 2^n · exp r` with `n = round(x / ln 2)`, so that `|r| ≤ ln 2 / 2`; `exp r` is its Taylor
//! series, long enough for the element type (Cody and Waite 1980, chapter 6).

use crate::Real;
use crate::real::sealed::Kernels as _;
use crate::simd::Vector;

/// `exp x`; arguments beyond the range of normal results are moved to its ends. A NaN stays.
#[inline(always)]
pub(crate) fn exp<V: Vector>(x: V) -> V {
    let max = V::splat(V::Element::EXP_MAX);
    let min = V::splat(-V::Element::EXP_MAX);
    let (power, rest) = split(max.min(min.max(x)));
    exp_m1_reduced(rest).mul_add(power, power)
}

/// `tanh x`, to the last digits also near 0. A NaN stays.
#[inline(always)]
pub(crate) fn tanh<V: Vector>(x: V) -> V {
    let magnitude = V::splat(V::Element::TANH_MAX).min(x.copy_sign(V::splat(V::Element::ONE)));
    let (power, rest) = split(magnitude.add(magnitude));
    let one = V::splat(V::Element::ONE);
    // e = exp(2|x|) − 1, without cancellation where |x| is small and the power is 1.
    let e = exp_m1_reduced(rest).mul_add(power, power.sub(one));
    e.div(e.add(one.add(one))).copy_sign(x)
}

/// The logistic function `1 / (1 + exp(−x))`. A NaN stays.
#[inline(always)]
pub(crate) fn sigmoid<V: Vector>(x: V) -> V {
    let one = V::splat(V::Element::ONE);
    one.div(one.add(exp(V::splat(V::Element::ZERO).sub(x))))
}

/// `ln x` of a positive, finite, normal number.
pub(crate) fn ln<T: Real>(x: T) -> T {
    let bits = x.to_f64().to_bits();
    // x = 2^n · m with m within [1/√2, √2): the offset moves the boundary of the exponent there.
    const ONE: u64 = 1f64.to_bits();
    const OFFSET: u64 = ONE - core::f64::consts::FRAC_1_SQRT_2.to_bits();
    let shifted = bits.wrapping_add(OFFSET);
    let n = (shifted >> 52) as i64 - 1023;
    let m = f64::from_bits(bits.wrapping_sub((n as u64) << 52));
    // ln m = 2 artanh s = 2 (s + s³/3 + s⁵/5 + …), |s| ≤ 0.1716.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = (0..11)
        .rev()
        .fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    T::from_f64(2.0 * s * series + n as f64 * core::f64::consts::LN_2)
}

/// `2^n` and `r` with `x = n ln 2 + r`.
#[inline(always)]
fn split<V: Vector>(x: V) -> (V, V) {
    let n = x
        .mul(V::splat(V::Element::from_f64(core::f64::consts::LOG2_E)))
        .round();
    // ln 2 in two parts: n times the first is exact.
    let rest = n.mul_add(V::splat(-V::Element::LN_2_HIGH), x);
    let rest = n.mul_add(V::splat(-V::Element::LN_2_LOW), rest);
    (n.power_of_two(), rest)
}

/// `exp r − 1` for `|r| ≤ ln 2 / 2`: `r + r² (1/2 + r/6 + …)`.
#[inline(always)]
fn exp_m1_reduced<V: Vector>(r: V) -> V {
    let mut factorial = 1.0;
    let mut coefficients = [0.0; 16];
    for (k, coefficient) in coefficients.iter_mut().enumerate().skip(1) {
        factorial *= k as f64;
        *coefficient = 1.0 / factorial;
    }
    let last = V::Element::EXP_TERMS - 1;
    let mut series = V::splat(V::Element::from_f64(coefficients[last]));
    for k in (2..last).rev() {
        series = series.mul_add(r, V::splat(V::Element::from_f64(coefficients[k])));
    }
    series.mul_add(r.mul(r), r)
}
