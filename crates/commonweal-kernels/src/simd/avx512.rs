//! AVX-512: 512-bit vectors, 32 registers.

use super::{Kernel, Simd, Vector};
use crate::real::sealed::Kernels as _;
use core::arch::x86_64::*;

/// The AVX-512 instruction set.
pub(super) struct Avx512;

impl Simd for Avx512 {
    type F32 = F32x16;
    type F64 = F64x8;
    const TILE_ROWS: usize = 12;
    const DOT_ROWS: usize = 6;
}

/// Runs `kernel` with the set's features enabled.
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")]
pub(super) fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

/// A vector type over one raw register.
macro_rules! vector {
    (
        $name:ident($raw:ty) = [$element:ident; $lanes:literal], $mask:ty,
        $set1:ident $loadu:ident $maskz_loadu:ident $storeu:ident $mask_storeu:ident
        $add:ident $sub:ident $mul:ident $div:ident $fmadd:ident $max:ident $min:ident
        $cmp:ident $blend:ident $andnot:ident $and:ident $or:ident
        $as_integer:ident $as_real:ident $add_integer:ident $shift:ident $set1_integer:ident
        $bias:literal $mantissa:literal $($override:item)*
    ) => {
        #[derive(Clone, Copy)]
        #[repr(transparent)]
        pub(super) struct $name($raw);

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
                Self(unsafe { $maskz_loadu(((1u32 << count) - 1) as $mask, from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                unsafe { $storeu(to, self.0) }
            }
            #[inline(always)]
            unsafe fn store_part(self, to: *mut $element, count: usize) {
                unsafe { $mask_storeu(to, ((1u32 << count) - 1) as $mask, self.0) }
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
                Self(unsafe { $blend($cmp::<_CMP_GT_OQ>(self.0, other.0), no.0, yes.0) })
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
    F32x16(__m512) = [f32; 16], __mmask16,
    _mm512_set1_ps _mm512_loadu_ps _mm512_maskz_loadu_ps _mm512_storeu_ps
    _mm512_mask_storeu_ps
    _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_div_ps _mm512_fmadd_ps _mm512_max_ps
    _mm512_min_ps
    _mm512_cmp_ps_mask _mm512_mask_blend_ps _mm512_andnot_ps _mm512_and_ps _mm512_or_ps
    _mm512_castps_si512 _mm512_castsi512_ps _mm512_add_epi32 _mm512_slli_epi32 _mm512_set1_epi32
    127 23

    #[inline(always)]
    fn sum4([a, b, c, d]: [Self; 4]) -> [f32; 4] {
        // Two steps halve the register while they bring two and then four vectors together: the
        // four quarters of `quarters` then hold partial sums of one vector each.
        let mut sums = [0.0; 16];
        unsafe {
            let ab = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x44>(a.0, b.0),
                _mm512_shuffle_f32x4::<0xEE>(a.0, b.0),
            );
            let cd = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x44>(c.0, d.0),
                _mm512_shuffle_f32x4::<0xEE>(c.0, d.0),
            );
            let quarters = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x88>(ab, cd),
                _mm512_shuffle_f32x4::<0xDD>(ab, cd),
            );
            let pairs = _mm512_add_ps(quarters, _mm512_permute_ps::<0x4E>(quarters));
            let all = _mm512_add_ps(pairs, _mm512_permute_ps::<0xB1>(pairs));
            _mm512_storeu_ps(sums.as_mut_ptr(), all);
        }
        [sums[0], sums[4], sums[8], sums[12]]
    }
}

vector! {
    F64x8(__m512d) = [f64; 8], __mmask8,
    _mm512_set1_pd _mm512_loadu_pd _mm512_maskz_loadu_pd _mm512_storeu_pd
    _mm512_mask_storeu_pd
    _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_div_pd _mm512_fmadd_pd _mm512_max_pd
    _mm512_min_pd
    _mm512_cmp_pd_mask _mm512_mask_blend_pd _mm512_andnot_pd _mm512_and_pd _mm512_or_pd
    _mm512_castpd_si512 _mm512_castsi512_pd _mm512_add_epi64 _mm512_slli_epi64 _mm512_set1_epi64
    1023 52
}
