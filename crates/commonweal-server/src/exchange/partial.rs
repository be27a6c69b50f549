//! A report as far as it has arrived, with its digest so far.

use std::fmt;

use commonweal_core::Digest;
use sha2::{Digest as _, Sha256};

/// Bytes from the beginning of a report. Memory grows with what arrives, never beyond the declared length.
#[derive(Default)]
pub(super) struct Partial {
    bytes: Vec<u8>,
    digest: Sha256,
}

/// The first piece of memory; each further one is eight times as large, since growing copies.
const FIRST_BYTES: usize = 64 << 10;

impl Partial {
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends. The caller has checked that the whole stays within `length`.
    pub(super) fn append(&mut self, bytes: &[u8], length: usize) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let grown = self.bytes.capacity().saturating_mul(8).max(FIRST_BYTES);
            let capacity = grown.min(length).max(needed);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        self.digest.update(bytes);
    }

    /// The bytes, and their digest.
    pub(super) fn into_whole(self) -> (Vec<u8>, Digest) {
        let digest = Digest::from_bytes(self.digest.finalize().into());
        (self.bytes, digest)
    }
}

impl fmt::Debug for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Partial({} bytes)", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_the_bytes_and_never_the_declared_length() {
        let mut partial = Partial::default();
        partial.append(&[1; 10], 1 << 30);
        assert!(partial.bytes.capacity() < 2 * FIRST_BYTES);
        let mut exact = Partial::default();
        for _ in 0..100 {
            exact.append(&[1; 1000], 100_000);
        }
        assert_eq!(exact.bytes.capacity(), 100_000);
    }

    #[test]
    fn a_report_in_pieces_has_the_digest_of_the_whole() {
        let mut partial = Partial::default();
        for piece in [&b"the "[..], b"", b"report"] {
            partial.append(piece, 10);
        }
        assert_eq!(
            partial.into_whole(),
            (b"the report".to_vec(), Digest::of(b"the report"))
        );
    }
}
