//! Scratch memory of a worker thread: grows at first use, then is only reused.

/// Scratch memory that kernels borrow for one call; keep one per worker thread.
///
/// It grows to the largest call made with it, so that a training step allocates nothing after the
/// first.
#[derive(Debug, Default, Clone)]
pub struct Workspace<T> {
    scratch: Vec<T>,
}

impl<T: crate::Real> Workspace<T> {
    /// An empty workspace.
    pub fn new() -> Self {
        Self {
            scratch: Vec::new(),
        }
    }

    /// `length` values of unspecified content.
    pub(crate) fn take(&mut self, length: usize) -> &mut [T] {
        if self.scratch.len() < length {
            self.scratch.resize(length, T::ZERO);
        }
        &mut self.scratch[..length]
    }
}
