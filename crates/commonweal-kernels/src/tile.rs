//! The register tiles of which all products are made.
//!
//! [`Tile`] is an outer-product tile: its rows share every vector of the right factor, which is why
//! the right factor's columns must be adjacent. [`Dots`] is an inner-product tile for a right factor
//! that is stored by columns and used too seldom to be worth packing.

use crate::Real;
use crate::simd::{Simd, Vector};

/// What a tile starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Start<T> {
    /// Zeros.
    Zero,
    /// The output's former content times a factor.
    Keep(T),
}

/// `C ← start + Σ_l A[l, ·] ⊗ B[l, ·]` on a block of `C` of at most
/// `TILE_ROWS` rows and two vectors of columns.
#[derive(Clone, Copy)]
pub(crate) struct Tile<T> {
    /// Length of the sum.
    pub(crate) inner: usize,
    /// Left factor: `rows` adjacent values for every `l`.
    pub(crate) a: *const T,
    /// Values from one `l` to the next in the left factor.
    pub(crate) a_step: usize,
    /// Right factor: `columns` adjacent values for every `l`.
    pub(crate) b: *const T,
    /// Values from one `l` to the next in the right factor.
    pub(crate) b_step: usize,
    /// Output.
    pub(crate) c: *mut T,
    /// Values from one row of the output to the next.
    pub(crate) c_step: usize,
    /// What the output starts from.
    pub(crate) start: Start<T>,
}

impl<T: Real> Tile<T> {
    /// Computes `rows × columns` of the output.
    ///
    /// # Safety
    /// `1 <= rows <= TILE_ROWS`. For every `l < inner` the left factor is valid for reads of `rows`
    /// values and the right one of `columns` values; every row of the output is valid for reads and
    /// writes of `columns` values and overlaps neither factor.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, rows: usize, columns: usize) {
        let lanes = T::Vector::<S>::LANES;
        let mut tile = self;
        let mut left = columns;
        while left > 0 {
            let width = if left >= 2 * lanes {
                2 * lanes
            } else {
                left.min(lanes)
            };
            // SAFETY: the caller's promise covers every part of the block.
            unsafe {
                tile.run_vectors::<S>(rows, width);
                tile.b = tile.b.add(width);
                tile.c = tile.c.add(width);
            }
            left -= width;
        }
    }

    /// Chooses the compiled tile of that many rows.
    ///
    /// # Safety
    /// As [`Tile::run`], with two whole vectors or at most one.
    #[inline(always)]
    unsafe fn run_vectors<S: Simd>(self, rows: usize, width: usize) {
        macro_rules! choose {
            ($($count:literal)*) => {
                match rows {
                    // SAFETY: the caller's promise.
                    $($count => unsafe {
                        if const { $count <= S::TILE_ROWS } {
                            if width > T::Vector::<S>::LANES {
                                self.whole::<T::Vector<S>, $count, 2>()
                            } else {
                                self.part::<T::Vector<S>, $count>(width)
                            }
                        }
                    },)*
                    _ => unreachable!("more rows than a tile has"),
                }
            };
        }
        choose!(1 2 3 4 5 6 7 8 9 10 11 12);
    }

    /// `R` rows of `N` whole vectors.
    #[inline(always)]
    unsafe fn whole<V: Vector<Element = T>, const R: usize, const N: usize>(self) {
        let mut acc = [[V::splat(T::ZERO); N]; R];
        // SAFETY: the caller's promise covers `R` rows of `N` vectors.
        unsafe {
            if let Start::Keep(factor) = self.start {
                for (r, acc) in acc.iter_mut().enumerate() {
                    for (v, acc) in acc.iter_mut().enumerate() {
                        let c = V::load(self.c.add(r * self.c_step + v * V::LANES));
                        *acc = if factor == T::ONE {
                            c
                        } else {
                            c.mul(V::splat(factor))
                        };
                    }
                }
            }
            let (mut a, mut b) = (self.a, self.b);
            for _ in 0..self.inner {
                let mut columns = [V::splat(T::ZERO); N];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = V::load(b.add(v * V::LANES));
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    let row = V::splat(*a.add(r));
                    for (acc, column) in acc.iter_mut().zip(columns) {
                        *acc = row.mul_add(column, *acc);
                    }
                }
                a = a.wrapping_add(self.a_step);
                b = b.wrapping_add(self.b_step);
            }
            for (r, acc) in acc.iter().enumerate() {
                for (v, acc) in acc.iter().enumerate() {
                    acc.store(self.c.add(r * self.c_step + v * V::LANES));
                }
            }
        }
    }

    /// `R` rows of the first `width` lanes of one vector.
    #[inline(always)]
    unsafe fn part<V: Vector<Element = T>, const R: usize>(self, width: usize) {
        let mut acc = [V::splat(T::ZERO); R];
        // SAFETY: the caller's promise covers `R` rows of `width <= V::LANES` values.
        unsafe {
            if let Start::Keep(factor) = self.start {
                for (r, acc) in acc.iter_mut().enumerate() {
                    let c = V::load_part(self.c.add(r * self.c_step), width);
                    *acc = c.mul(V::splat(factor));
                }
            }
            let (mut a, mut b) = (self.a, self.b);
            for _ in 0..self.inner {
                let column = V::load_part(b, width);
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = V::splat(*a.add(r)).mul_add(column, *acc);
                }
                a = a.wrapping_add(self.a_step);
                b = b.wrapping_add(self.b_step);
            }
            for (r, acc) in acc.iter().enumerate() {
                acc.store_part(self.c.add(r * self.c_step), width);
            }
        }
    }
}

/// Dot products of rows of `A` with four columns of `B`, each stored contiguously.
#[derive(Clone, Copy)]
pub(crate) struct Dots<T> {
    /// Length of the sums.
    pub(crate) inner: usize,
    /// Rows of the left factor.
    pub(crate) a: *const T,
    /// Values from one row of the left factor to the next.
    pub(crate) a_step: usize,
    /// Columns of the right factor.
    pub(crate) b: [*const T; 4],
}

impl<T: Real> Dots<T> {
    /// Calls `visit(row, its four dot products)` for every row.
    ///
    /// # Safety
    /// `1 <= rows <= DOT_ROWS`; every row and column is valid for reads of `inner` values.
    #[inline(always)]
    pub(crate) unsafe fn run<S: Simd>(self, rows: usize, visit: impl FnMut(usize, [T; 4])) {
        macro_rules! choose {
            ($($count:literal)*) => {
                match rows {
                    // SAFETY: the caller's promise.
                    $($count => unsafe {
                        if const { $count <= S::DOT_ROWS } {
                            self.rows::<T::Vector<S>, $count>(visit)
                        }
                    },)*
                    _ => unreachable!("more rows than a tile has"),
                }
            };
        }
        choose!(1 2 3 4 5 6);
    }

    #[inline(always)]
    unsafe fn rows<V: Vector<Element = T>, const R: usize>(
        self,
        mut visit: impl FnMut(usize, [T; 4]),
    ) {
        let mut acc = [[V::splat(T::ZERO); 4]; R];
        let whole = self.inner - self.inner % V::LANES;
        // SAFETY: the caller's promise covers `inner` values of each row and column.
        unsafe {
            for l in (0..whole).step_by(V::LANES) {
                let mut columns = [V::splat(T::ZERO); 4];
                for (column, b) in columns.iter_mut().zip(self.b) {
                    *column = V::load(b.add(l));
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    let row = V::load(self.a.add(r * self.a_step + l));
                    for (acc, column) in acc.iter_mut().zip(columns) {
                        *acc = row.mul_add(column, *acc);
                    }
                }
            }
            let rest = self.inner - whole;
            if rest > 0 {
                let mut columns = [V::splat(T::ZERO); 4];
                for (column, b) in columns.iter_mut().zip(self.b) {
                    *column = V::load_part(b.add(whole), rest);
                }
                for (r, acc) in acc.iter_mut().enumerate() {
                    let row = V::load_part(self.a.add(r * self.a_step + whole), rest);
                    for (acc, column) in acc.iter_mut().zip(columns) {
                        *acc = row.mul_add(column, *acc);
                    }
                }
            }
        }
        for (r, acc) in acc.into_iter().enumerate() {
            visit(r, V::sum4(acc));
        }
    }
}

/// `(first, count)` of the fewest runs of at most `most` that cover `total`, of even length: a tile
/// of few rows is slow.
pub(crate) fn runs(total: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = total.div_ceil(most);
    (0..count).map(move |i| {
        let first = i * total / count;
        (first, (i + 1) * total / count - first)
    })
}
