//! Scratch memory of a worker thread: grows at first use, then is only reused.

use crate::Real;

/// Scratch memory that kernels borrow for one call; keep one per worker thread.
///
/// It grows to the largest call made with it, so that a training step allocates nothing after the
/// first.
#[derive(Debug, Default, Clone)]
pub struct Workspace<T> {
    scratch: Buffer<T>,
    panels: Buffer<T>,
    places: Vec<u32>,
}

impl<T: Real> Workspace<T> {
    /// An empty workspace.
    pub fn new() -> Self {
        Self {
            scratch: Buffer::new(),
            panels: Buffer::new(),
            places: Vec::new(),
        }
    }

    /// `length` values of unspecified content for a layer, and the buffer for the products that it
    /// calls.
    pub(crate) fn split(&mut self, length: usize) -> (&mut [T], &mut Buffer<T>) {
        (self.scratch.take(length), &mut self.panels)
    }

    /// `length` values and `places` integers of unspecified content.
    pub(crate) fn with_places(&mut self, length: usize, places: usize) -> (&mut [T], &mut [u32]) {
        if self.places.len() < places {
            self.places.resize(places, 0);
        }
        (self.scratch.take(length), &mut self.places[..places])
    }

    /// The buffer in which products pack their right factor.
    pub(crate) fn panels(&mut self) -> &mut Buffer<T> {
        &mut self.panels
    }
}

/// Memory that starts at a cache line and never shrinks.
#[derive(Debug, Default, Clone)]
pub(crate) struct Buffer<T>(Vec<T>);

impl<T: Real> Buffer<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// `length` values of unspecified content.
    pub(crate) fn take(&mut self, length: usize) -> &mut [T] {
        let line = LINE_BYTES / size_of::<T>();
        if self.0.len() < length + line {
            self.0.resize(length + line, T::ZERO);
        }
        let skip = self.0.as_ptr().align_offset(LINE_BYTES).min(line);
        &mut self.0[skip..skip + length]
    }

    /// The values that were last taken.
    pub(crate) fn taken(&self, length: usize) -> &[T] {
        let line = LINE_BYTES / size_of::<T>();
        let skip = self.0.as_ptr().align_offset(LINE_BYTES).min(line);
        &self.0[skip..skip + length]
    }
}

/// A vector that straddles two cache lines costs two loads.
const LINE_BYTES: usize = 64;
