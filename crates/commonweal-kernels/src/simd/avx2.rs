//! AVX2 with FMA: 256-bit vectors, 16 registers.

use super::{Kernel, Simd, Vector};
use crate::real::sealed::Kernels as _;
use core::arch::x86_64::*;

/// The AVX2 instruction set.
pub(super) struct Avx2;

impl Simd for Avx2 {
    type F32 = F32x8;
    type F64 = F64x4;
    const TILE_ROWS: usize = 6;
    const DOT_ROWS: usize = 3;
}

/// Runs `kernel` with the set's features enabled.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

/// Lanes that a partial load or store touches: the window that starts at `8 − count`.
static PART: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// A vector type over one raw register.
macro_rules! vector {
    (
        $name:ident($raw:ty) = [$element:ident; $lanes:literal], $words:literal,
        $set1:ident $loadu:ident $maskload:ident $storeu:ident $maskstore:ident
        $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $max:ident $min:ident
        $cmp:ident $blend:ident $andnot:ident $and:ident $or:ident
        $as_integer:ident $as_real:ident $add_integer:ident $shift:ident $set1_integer:ident
        $bias:literal $mantissa:literal $($override:item)*
    ) => {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(super) struct $name($raw);

        impl $name {
            /// Ones in the first `count` lanes.
            #[inline(always)]
            fn part(count: usize) -> __m256i {
                debug_assert!(count <= $lanes);
                // SAFETY: the window of eight words starts within 0..=8.
                unsafe { _mm256_loadu_si256(PART.as_ptr().add(8 - $words * count).cast()) }
            }
        }

        // SAFETY of every block below: the type is reached only through `run`, which the caller
        // enters on processors with the set; what pointers need is vouched for by the caller.
        #[expect(clippy::undocumented_unsafe_blocks, reason = "stated once above")]
        impl Vector for $name {
            type Element = $element;
            const LANES: usize = $lanes;

            #[inline(always)]
            fn splat(x: $element) -> Self {
                Self(unsafe { $set1(x) })
            }
            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                Self(unsafe { $loadu(from) })
            }
            #[inline(always)]
            unsafe fn load_part(from: *const $element, count: usize) -> Self {
                Self(unsafe { $maskload(from, Self::part(count)) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                unsafe { $storeu(to, self.0) }
            }
            #[inline(always)]
            unsafe fn store_part(self, to: *mut $element, count: usize) {
                unsafe { $maskstore(to, Self::part(count), self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                Self(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                Self(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                Self(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            fn div(self, other: Self) -> Self {
                Self(unsafe { $div(self.0, other.0) })
            }
            #[inline(always)]
            fn mul_add(self, factor: Self, addend: Self) -> Self {
                Self(unsafe { $fmadd(self.0, factor.0, addend.0) })
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                Self(unsafe { $max(self.0, other.0) })
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                Self(unsafe { $min(self.0, other.0) })
            }
            #[inline(always)]
            fn select_greater(self, other: Self, yes: Self, no: Self) -> Self {
                Self(unsafe { $blend(no.0, yes.0, $cmp::<_CMP_GT_OQ>(self.0, other.0)) })
            }
            #[inline(always)]
            fn copy_sign(self, sign: Self) -> Self {
                let mask = Self::splat(-0.0).0;
                Self(unsafe { $or($andnot(mask, self.0), $and(mask, sign.0)) })
            }
            #[inline(always)]
            fn power_of_two(self) -> Self {
                let shifted = self.add(Self::splat($element::ROUNDER)).0;
                Self(unsafe {
                    let biased = $add_integer($as_integer(shifted), $set1_integer($bias));
                    $as_real($shift::<$mantissa>(biased))
                })
            }
            $($override)*
        }
    };
}

vector! {
    F32x8(__m256) = [f32; 8], 1,
    _mm256_set1_ps _mm256_loadu_ps _mm256_maskload_ps _mm256_storeu_ps
    _mm256_maskstore_ps
    _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_div_ps _mm256_fmadd_ps _mm256_max_ps
    _mm256_min_ps
    _mm256_cmp_ps _mm256_blendv_ps _mm256_andnot_ps _mm256_and_ps _mm256_or_ps
    _mm256_castps_si256 _mm256_castsi256_ps _mm256_add_epi32 _mm256_slli_epi32 _mm256_set1_epi32
    127 23

    #[inline(always)]
    fn sum4([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        let mut sums = [0.0; 4];
        unsafe {
            let halves = _mm256_hadd_ps(_mm256_hadd_ps(a.0, b.0), _mm256_hadd_ps(c.0, d.0));
            let (low, high) = (_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            _mm_storeu_ps(sums.as_mut_ptr(), _mm_add_ps(low, high));
        }
        sums
    }
}

vector! {
    F64x4(__m256d) = [f64; 4], 2,
    _mm256_set1_pd _mm256_loadu_pd _mm256_maskload_pd _mm256_storeu_pd
    _mm256_maskstore_pd
    _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_div_pd _mm256_fmadd_pd _mm256_max_pd
    _mm256_min_pd
    _mm256_cmp_pd _mm256_blendv_pd _mm256_andnot_pd _mm256_and_pd _mm256_or_pd
    _mm256_castpd_si256 _mm256_castsi256_pd _mm256_add_epi64 _mm256_slli_epi64 _mm256_set1_epi64x
    1023 52
}
