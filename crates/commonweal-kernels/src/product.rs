//! Products of row-major matrices.
//!
//! Big products pack both factors (Goto and van de Geijn 2008, "Anatomy of high-performance matrix
//! multiplication"): a block of the right factor that stays in the second-level cache, and a panel of
//! rows of the left one that stays in the first.

use crate::simd::{Kernel, Simd, dispatch};
use crate::tile::{Dots, Start, Tile, runs};
use crate::workspace::Buffer;
use crate::{Real, Workspace};

/// Which factor is stored transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// `C = A · B`: `a` is `[rows, inner]`, `b` is `[inner, columns]`.
    Nn,
    /// `C = A · Bᵀ`: `a` is `[rows, inner]`, `b` is `[columns, inner]`.
    Nt,
    /// `C = Aᵀ · B`: `a` is `[inner, rows]`, `b` is `[inner, columns]`.
    Tn,
}

/// Sizes of a product: `C` is `[rows, columns]`, summed over `inner`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows of `C`.
    pub rows: usize,
    /// Columns of `C`.
    pub columns: usize,
    /// Length of the sum.
    pub inner: usize,
}

/// What happens to the former content of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Overwritten.
    Set,
    /// Added to.
    Add,
}

impl Output {
    pub(crate) fn start<T: Real>(self) -> Start<T> {
        match self {
            Self::Set => Start::Zero,
            Self::Add => Start::Keep(T::ONE),
        }
    }
}

/// Writes the product of `a` and `b` into (or adds it to) `c`.
///
/// # Panics
/// If a length does not fit `shape`.
pub fn matmul<T: Real>(
    form: Form,
    shape: Shape,
    a: &[T],
    b: &[T],
    output: Output,
    c: &mut [T],
    workspace: &mut Workspace<T>,
) {
    matmul_in(form, shape, a, b, output, c, workspace.panels());
}

/// [`matmul`] with its own part of a workspace.
pub(crate) fn matmul_in<T: Real>(
    form: Form,
    shape: Shape,
    a: &[T],
    b: &[T],
    output: Output,
    c: &mut [T],
    panels: &mut Buffer<T>,
) {
    let Shape {
        rows,
        columns,
        inner,
    } = shape;
    assert_eq!(a.len(), rows * inner);
    assert_eq!(b.len(), inner * columns);
    assert_eq!(c.len(), rows * columns);
    if inner == 0 && output == Output::Set {
        c.fill(T::ZERO);
    }
    if form == Form::Nt && rows <= MOST_DOT_ROWS {
        dispatch(ByDots {
            shape,
            a,
            b,
            output,
            c,
        });
        return;
    }
    // A right factor that is used once is read where it lies.
    let pack = form == Form::Nt || rows > FEWEST_PACKED_ROWS;
    for first in (0..columns).step_by(BLOCK_COLUMNS) {
        let width = BLOCK_COLUMNS.min(columns - first);
        for depth in (0..inner).step_by(BLOCK_INNER) {
            let height = BLOCK_INNER.min(inner - depth);
            let start = if depth == 0 {
                output.start()
            } else {
                Start::Keep(T::ONE)
            };
            let right = if !pack {
                Right {
                    values: &b[depth * columns + first..],
                    step: columns,
                    strip: STRIP,
                }
            } else {
                let packed = panels.take(width.next_multiple_of(STRIP) * height);
                if form == Form::Nt {
                    pack_transposed(&b[first * inner + depth..], inner, width, height, packed);
                } else {
                    pack_strips(
                        &b[depth * columns + first..],
                        columns,
                        width,
                        height,
                        packed,
                    );
                }
                Right {
                    values: packed,
                    step: STRIP,
                    strip: STRIP * height,
                }
            };
            let left = match form {
                Form::Tn => Left {
                    values: &a[depth * rows..],
                    rows,
                    row: 1,
                    step: rows,
                },
                _ => Left {
                    values: &a[depth..],
                    rows,
                    row: inner,
                    step: 1,
                },
            };
            let c = &mut c[first..];
            dispatch(Block {
                inner: height,
                left,
                right,
                columns: width,
                start,
                c,
                c_step: columns,
            });
        }
    }
}

/// The right factor of many products, packed once: the recurrent weights of an LSTM over its steps.
#[derive(Debug, Clone, Default)]
pub struct Packed<T> {
    columns: usize,
    inner: usize,
    panels: Buffer<T>,
}

impl<T: Real> Packed<T> {
    /// No matrix yet.
    pub fn new() -> Self {
        Self {
            columns: 0,
            inner: 0,
            panels: Buffer::new(),
        }
    }

    /// Packs `b` of `[inner, columns]`, for `C = A · B`. Allocates only if larger than any before.
    ///
    /// # Panics
    /// If `b` has another length.
    pub fn pack(&mut self, inner: usize, columns: usize, b: &[T]) {
        assert_eq!(b.len(), inner * columns);
        (self.columns, self.inner) = (columns, inner);
        pack_strips(b, columns, columns, inner, self.panels.take(self.length()));
    }

    /// Packs `b` of `[columns, inner]`, for `C = A · Bᵀ`. Allocates only if larger than any before.
    ///
    /// # Panics
    /// If `b` has another length.
    pub fn pack_transposed(&mut self, columns: usize, inner: usize, b: &[T]) {
        assert_eq!(b.len(), inner * columns);
        (self.columns, self.inner) = (columns, inner);
        pack_transposed(b, inner, columns, inner, self.panels.take(self.length()));
    }

    /// Writes `a · B` into (or adds it to) `c`: `a` is `[rows, inner]`, `c` is `[rows, columns]`.
    ///
    /// # Panics
    /// If a length does not fit the packed matrix.
    pub fn multiply(&self, rows: usize, a: &[T], output: Output, c: &mut [T]) {
        let Self { columns, inner, .. } = *self;
        assert_eq!(a.len(), rows * inner);
        assert_eq!(c.len(), rows * columns);
        if inner == 0 && output == Output::Set {
            c.fill(T::ZERO);
        }
        if self.length() == 0 {
            return;
        }
        let panels = self.panels.taken(self.length());
        for depth in (0..inner).step_by(BLOCK_INNER) {
            let start = if depth == 0 {
                output.start()
            } else {
                Start::Keep(T::ONE)
            };
            let values = &panels[depth * STRIP..];
            dispatch(Block {
                inner: BLOCK_INNER.min(inner - depth),
                left: Left {
                    values: &a[depth..],
                    rows,
                    row: inner,
                    step: 1,
                },
                right: Right {
                    values,
                    step: STRIP,
                    strip: STRIP * inner,
                },
                columns,
                start,
                c,
                c_step: columns,
            });
        }
    }

    fn length(&self) -> usize {
        self.columns.next_multiple_of(STRIP) * self.inner
    }
}

/// Columns of a strip of a packed factor: two vectors of the widest set.
const STRIP: usize = 32;
/// Length of the sum in one block: a panel of the left factor fills a third of 32 KiB.
const BLOCK_INNER: usize = 256;
/// Columns of a block of the right factor, which fills half of 1 MiB.
const BLOCK_COLUMNS: usize = 512;
/// Rows up to which dot products beat packing a transposed right factor.
const MOST_DOT_ROWS: usize = 48;
/// Rows above which a right factor that needs no transposition is packed.
const FEWEST_PACKED_ROWS: usize = 24;
/// Most rows of a tile in any instruction set.
const MOST_TILE_ROWS: usize = 12;

/// Value `(r, l)` of the left factor is at `r · row + l · step`.
struct Left<'a, T> {
    values: &'a [T],
    rows: usize,
    row: usize,
    step: usize,
}

impl<T: Real> Left<'_, T> {
    /// Packs `count` rows so that their values at one `l` are adjacent.
    #[inline(always)]
    fn pack(&self, first: usize, count: usize, inner: usize, panel: &mut [T]) {
        let from = &self.values[first * self.row..];
        if self.step == 1 {
            transpose(from, self.row, count, inner, panel, count);
        } else {
            for (l, to) in panel.chunks_exact_mut(count).take(inner).enumerate() {
                for (to, from) in to.iter_mut().zip(&from[l * self.step..][..count]) {
                    *to = *from;
                }
            }
        }
    }
}

/// Value `(l, j)` of the right factor is at `(j / STRIP) · strip + l · step + j % STRIP`.
struct Right<'a, T> {
    values: &'a [T],
    step: usize,
    strip: usize,
}

/// A block of a product, at most [`BLOCK_INNER`] deep.
struct Block<'a, T> {
    inner: usize,
    left: Left<'a, T>,
    right: Right<'a, T>,
    columns: usize,
    start: Start<T>,
    c: &'a mut [T],
    c_step: usize,
}

impl<T: Real> Kernel for Block<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Self {
            inner,
            left,
            right,
            columns,
            start,
            c,
            c_step,
        } = self;
        if columns == 0 || left.rows == 0 {
            return;
        }
        assert!(inner > 0 && inner <= BLOCK_INNER);
        let last_strip = (columns - 1) / STRIP;
        let last_width = columns - last_strip * STRIP;
        assert!(
            right.values.len() >= last_strip * right.strip + (inner - 1) * right.step + last_width
        );
        assert!(c.len() >= (left.rows - 1) * c_step + columns);
        let mut panel = [T::ZERO; MOST_TILE_ROWS * BLOCK_INNER];
        for (first, rows) in runs(left.rows, S::TILE_ROWS) {
            left.pack(first, rows, inner, &mut panel);
            for strip in 0..=last_strip {
                // SAFETY: `rows <= TILE_ROWS`; the panel holds `inner · rows` values; the assertions above bound the last value of the right factor and of the
                // output that a tile touches; `c` is borrowed exclusively.
                unsafe {
                    let tile = Tile {
                        inner,
                        a: panel.as_ptr(),
                        a_step: rows,
                        b: right.values.as_ptr().add(strip * right.strip),
                        b_step: right.step,
                        c: c.as_mut_ptr().add(first * c_step + strip * STRIP),
                        c_step,
                        start,
                    };
                    tile.run::<S>(
                        rows,
                        if strip == last_strip {
                            last_width
                        } else {
                            STRIP
                        },
                    );
                }
            }
        }
    }
}

/// `C = A · Bᵀ` by dot products: both factors are read along their rows, where they lie.
struct ByDots<'a, T> {
    shape: Shape,
    a: &'a [T],
    b: &'a [T],
    output: Output,
    c: &'a mut [T],
}

impl<T: Real> Kernel for ByDots<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self) {
        let Shape {
            rows,
            columns,
            inner,
        } = self.shape;
        assert!(self.a.len() >= rows * inner && self.b.len() >= columns * inner);
        // Blocks of the left factor stay in the first-level cache, of the right in the second.
        let depths = inner.div_ceil(1024).max(1);
        let chunk = (BLOCK_COLUMNS * BLOCK_INNER / 2 / inner.max(1)).next_multiple_of(4);
        for depth in 0..depths {
            let (start, end) = (depth * inner / depths, (depth + 1) * inner / depths);
            let set = depth == 0 && self.output == Output::Set;
            for left in (0..columns).step_by(chunk) {
                for (first, count) in runs(rows, S::DOT_ROWS) {
                    for column in (left..columns.min(left + chunk)).step_by(4) {
                        // SAFETY: rows and columns lie within the factors, by the assertion.
                        unsafe {
                            let last = columns - 1;
                            let dots = Dots {
                                inner: end - start,
                                a: self.a.as_ptr().add(first * inner + start),
                                a_step: inner,
                                b: core::array::from_fn(|i| {
                                    self.b.as_ptr().add((column + i).min(last) * inner + start)
                                }),
                            };
                            dots.run::<S>(count, |r, sums| {
                                let row = &mut self.c[(first + r) * columns..][..columns];
                                for (c, sum) in row[column..].iter_mut().zip(sums) {
                                    *c = if set { sum } else { *c + sum };
                                }
                            });
                        }
                    }
                }
            }
        }
    }
}

/// Packs `height` rows of `width` values into strips, padded with zeros.
fn pack_strips<T: Real>(b: &[T], step: usize, width: usize, height: usize, packed: &mut [T]) {
    if height == 0 {
        return;
    }
    for (strip, to) in packed.chunks_exact_mut(STRIP * height).enumerate() {
        let first = strip * STRIP;
        let count = STRIP.min(width - first);
        for (l, to) in to.chunks_exact_mut(STRIP).enumerate() {
            to[..count].copy_from_slice(&b[l * step + first..][..count]);
            to[count..].fill(T::ZERO);
        }
    }
}

/// Packs the transpose of `width` rows of `height` values into strips, padded with zeros.
fn pack_transposed<T: Real>(b: &[T], step: usize, width: usize, height: usize, packed: &mut [T]) {
    if height == 0 {
        return;
    }
    for (strip, to) in packed.chunks_exact_mut(STRIP * height).enumerate() {
        let first = strip * STRIP;
        let count = STRIP.min(width - first);
        if count < STRIP {
            to.fill(T::ZERO);
        }
        transpose(&b[first * step..], step, count, height, to, STRIP);
    }
}

/// Writes `to[l · to_step + r] = from[r · from_step + l]` for `rows × inner` values.
#[inline(always)]
fn transpose<T: Real>(
    from: &[T],
    from_step: usize,
    rows: usize,
    inner: usize,
    to: &mut [T],
    to_step: usize,
) {
    assert!(rows > 0 && inner > 0 && rows <= to_step);
    assert!(from.len() >= (rows - 1) * from_step + inner);
    assert!(to.len() >= (inner - 1) * to_step + rows);
    // Squares of four by four, which both sides move as whole vectors; then what is left.
    let (whole_rows, whole_inner) = (rows - rows % 4, inner - inner % 4);
    // SAFETY: the assertions bound the last place that is read and written.
    unsafe {
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        // A cache line of four rows at a time: rows a power of two apart would evict each other.
        for line in (0..whole_inner).step_by(16) {
            for r in (0..whole_rows).step_by(4) {
                for l in (line..whole_inner.min(line + 16)).step_by(4) {
                    let row = |i: usize| from.add((r + i) * from_step + l).cast::<[T; 4]>().read();
                    let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
                    let column = |i: usize| to.add((l + i) * to_step + r).cast::<[T; 4]>();
                    column(0).write([a[0], b[0], c[0], d[0]]);
                    column(1).write([a[1], b[1], c[1], d[1]]);
                    column(2).write([a[2], b[2], c[2], d[2]]);
                    column(3).write([a[3], b[3], c[3], d[3]]);
                }
            }
        }
        for l in 0..inner {
            for r in if l < whole_inner { whole_rows } else { 0 }..rows {
                *to.add(l * to_step + r) = *from.add(r * from_step + l);
            }
        }
    }
}
