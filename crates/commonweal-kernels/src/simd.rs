//! Vectors of one instruction set, and the dispatch of generic kernels to the set that runs.
//!
//! A kernel is written once, generic over [`Simd`]. [`dispatch`] compiles it once for each
//! instruction set, inside a function that enables the set's target features.
//!
//! Why this is sound: the methods of [`Vector`] use instructions that not every processor has. Its
//! implementations are private to this module, so that no other code can name them; they reach a
//! kernel only as the type parameter that `dispatch` fills after [`instruction_set`] has found the
//! processor to have the set.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::real::sealed::Kernels as _;
use crate::{InstructionSet, Real, instruction_set};

/// A computation that is generic over the instruction set.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;

    /// Runs it; must be `#[inline(always)]`, as must all that it calls with `S`, closures too: a
    /// function of its own would not have the features enabled, and its vectors would be slow.
    fn run<S: Simd>(self) -> Self::Output;
}

/// Runs `kernel` on the current instruction set.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match instruction_set() {
        // SAFETY: `instruction_set` returns only sets that this processor has.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => unsafe { avx512::run(kernel) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => unsafe { avx2::run(kernel) },
        _ => kernel.run::<portable::Portable>(),
    }
}

/// An instruction set: its vectors, and how many of them a kernel may keep in registers.
pub trait Simd: 'static {
    /// Vector of `f32`.
    type F32: Vector<Element = f32>;
    /// Vector of `f64`.
    type F64: Vector<Element = f64>;
    /// Rows of a tile of products, which is two vectors wide.
    const TILE_ROWS: usize;
    /// Rows of a tile of dot products, which is four columns wide.
    const DOT_ROWS: usize;
}

/// A vector register of numbers. Operations act lane by lane unless they say otherwise.
pub trait Vector: Copy {
    /// Type of a lane.
    type Element: Real;
    /// Number of lanes: a power of two.
    const LANES: usize;

    /// `x` in every lane.
    fn splat(x: Self::Element) -> Self;

    /// Reads `LANES` values.
    ///
    /// # Safety
    /// `from` is valid for reads of `LANES` values; any alignment of the vector will do.
    unsafe fn load(from: *const Self::Element) -> Self;

    /// Reads the first `count` lanes and zeros the rest.
    ///
    /// # Safety
    /// `count <= LANES`; `from` is valid for reads of `count` values.
    unsafe fn load_part(from: *const Self::Element, count: usize) -> Self;

    /// Writes `LANES` values.
    ///
    /// # Safety
    /// `to` is valid for writes of `LANES` values; any alignment of the vector will do.
    unsafe fn store(self, to: *mut Self::Element);

    /// Writes the first `count` lanes.
    ///
    /// # Safety
    /// `count <= LANES`; `to` is valid for writes of `count` values.
    unsafe fn store_part(self, to: *mut Self::Element, count: usize);

    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self − other`.
    fn sub(self, other: Self) -> Self;
    /// `self · other`.
    fn mul(self, other: Self) -> Self;
    /// `self / other`.
    fn div(self, other: Self) -> Self;
    /// `self · factor + addend`, rounded once where the set has a fused multiplication.
    fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// `self` where `self > other`, else `other`: hence `other` where either is NaN.
    fn max(self, other: Self) -> Self;
    /// `self` where `self < other`, else `other`: hence `other` where either is NaN.
    fn min(self, other: Self) -> Self;
    /// `yes` where `self > other`, else `no`: hence `no` where either is NaN.
    fn select_greater(self, other: Self, yes: Self, no: Self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copy_sign(self, sign: Self) -> Self;
    /// `2^self` for integers whose power is a normal number.
    fn power_of_two(self) -> Self;

    /// Sum over the lanes, by halves.
    #[inline(always)]
    fn sum(self) -> Self::Element {
        let mut lanes = [Self::Element::ZERO; 16];
        self.write(&mut lanes[..Self::LANES]);
        let mut width = Self::LANES / 2;
        while width > 0 {
            for i in 0..width {
                let other = lanes[i + width];
                lanes[i] += other;
            }
            width /= 2;
        }
        lanes[0]
    }

    /// The four sums over the lanes.
    #[inline(always)]
    fn sum4(vectors: [Self; 4]) -> [Self::Element; 4] {
        let mut sums = [Self::Element::ZERO; 4];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = vector.sum();
        }
        sums
    }

    /// Reads up to `LANES` values from the front of a slice, zeros beyond its end.
    #[inline(always)]
    fn read(from: &[Self::Element]) -> Self {
        if from.len() >= Self::LANES {
            // SAFETY: the slice holds at least `LANES` values.
            unsafe { Self::load(from.as_ptr()) }
        } else {
            // SAFETY: the slice holds exactly that many values, fewer than `LANES`.
            unsafe { Self::load_part(from.as_ptr(), from.len()) }
        }
    }

    /// Writes as many lanes as the slice has values, at most `LANES`.
    #[inline(always)]
    fn write(self, to: &mut [Self::Element]) {
        if to.len() >= Self::LANES {
            // SAFETY: the slice holds at least `LANES` values.
            unsafe { self.store(to.as_mut_ptr()) }
        } else {
            // SAFETY: the slice holds exactly that many values, fewer than `LANES`.
            unsafe { self.store_part(to.as_mut_ptr(), to.len()) }
        }
    }

    /// The nearest integer, ties to even; for magnitudes below `Element::ROUNDER / 3`.
    #[inline(always)]
    fn round(self) -> Self {
        let rounder = Self::splat(Self::Element::ROUNDER);
        self.add(rounder).sub(rounder)
    }

    /// Replaces every value of a slice by its image.
    #[inline(always)]
    fn map(values: &mut [Self::Element], image: impl Fn(Self) -> Self) {
        let mut chunks = values.chunks_exact_mut(Self::LANES);
        for chunk in &mut chunks {
            image(Self::read(chunk)).write(chunk);
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            image(Self::read(rest)).write(rest);
        }
    }
}
