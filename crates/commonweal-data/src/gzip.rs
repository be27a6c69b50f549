//! Gzip by its magic number, so that every reader takes a file packed or plain.

use std::borrow::Cow;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

/// Whether `bytes` start as a gzip file does (RFC 1952, section 2.3.1).
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Why a file could not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// The packed bytes are damaged or cut off.
    #[error("the gzip file is damaged or cut off; fetch it again")]
    Corrupt,
    /// The content is larger than the caller allows.
    #[error("the gzip file unpacks to more than {limit} bytes")]
    TooLarge {
        /// Largest size allowed, in bytes.
        limit: usize,
    },
}

/// The content of a file that may be packed; memory grows with what is read and ends at `limit` bytes.
///
/// # Errors
/// [`GzipError`]; a plain file within the limit always succeeds.
pub fn unpacked(bytes: &[u8], limit: usize) -> Result<Cow<'_, [u8]>, GzipError> {
    let content = if is_gzip(bytes) {
        let mut content = Vec::new();
        let longest = (limit as u64).saturating_add(1);
        MultiGzDecoder::new(bytes)
            .take(longest)
            .read_to_end(&mut content)
            .map_err(|_: io::Error| GzipError::Corrupt)?;
        Cow::Owned(content)
    } else {
        Cow::Borrowed(bytes)
    };
    if content.len() > limit {
        Err(GzipError::TooLarge { limit })
    } else {
        Ok(content)
    }
}

/// `content` packed, for fixtures.
#[cfg(test)]
pub(crate) fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, content).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_and_a_plain_file_have_the_same_content() {
        assert_eq!(unpacked(&packed(b"abc"), 3).as_deref(), Ok(&b"abc"[..]));
        assert_eq!(unpacked(b"abc", 3).as_deref(), Ok(&b"abc"[..]));
    }

    #[test]
    fn a_file_that_is_cut_off_or_too_large_is_refused() {
        let whole = packed(&[7; 1000]);
        assert_eq!(
            unpacked(&whole[..whole.len() - 1], 1000),
            Err(GzipError::Corrupt)
        );
        assert_eq!(
            unpacked(&whole, 999),
            Err(GzipError::TooLarge { limit: 999 })
        );
        assert_eq!(unpacked(&[0; 5], 4), Err(GzipError::TooLarge { limit: 4 }));
    }
}
