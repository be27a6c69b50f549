//! The idx format of MNIST and its relatives: a small big-endian header, then unsigned bytes.
//!
//! Format: <http://yann.lecun.com/exdb/mnist/>, "The IDX file format". Plain or gzip, told apart by
//! the first bytes. Only element type `0x08` is read; the others do not occur in these data sets.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use crate::gzip::is_gzip;

/// The content of an idx file: `shape`, rows first, and as many bytes as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Sizes of the dimensions; the first counts rows.
    pub shape: Vec<usize>,
    /// The elements, last dimension fastest.
    pub values: Vec<u8>,
}

/// Why bytes are not an idx file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdxError {
    /// The file ends within its header.
    #[error("the idx header is cut off after {found} bytes; it needs {expected}")]
    ShortHeader {
        /// Bytes of the header.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// The first two bytes are not zero.
    #[error("not an idx file: the first two bytes must be zero")]
    Magic,
    /// The elements are not unsigned bytes.
    #[error("idx element type {found:#04x} is not supported; expected 0x08, unsigned bytes")]
    ElementType {
        /// The type in the header.
        found: u8,
    },
    /// The file has no dimension, or more than eight.
    #[error("an idx file has 1 to 8 dimensions; this header says {found}")]
    Dimensions {
        /// Dimensions in the header.
        found: u8,
    },
    /// The dimensions multiply to more than a file can hold.
    #[error("the dimensions in the idx header multiply to more than memory can hold")]
    TooLarge,
    /// The file has fewer bytes than its header says.
    #[error("the idx header promises {expected} bytes, the file has {found}; fetch it again")]
    Truncated {
        /// Bytes promised.
        expected: usize,
        /// Bytes there.
        found: usize,
    },
    /// The file goes on after its last element.
    #[error("the idx file goes on after the {expected} bytes that its header promises")]
    TrailingBytes {
        /// Bytes promised.
        expected: usize,
    },
    /// The source failed, or the gzip file is damaged.
    #[error("the idx file cannot be read or unpacked ({kind}); fetch it again")]
    Unreadable {
        /// What the source reported.
        kind: io::ErrorKind,
    },
}

/// Reads an idx file, plain or gzip, from memory. Never panics, whatever the bytes.
///
/// # Errors
/// [`IdxError`].
pub fn parse(bytes: &[u8]) -> Result<Idx, IdxError> {
    if is_gzip(bytes) {
        read_plain(MultiGzDecoder::new(bytes))
    } else {
        read_plain(bytes)
    }
}

/// Reads an idx file, plain or gzip, from a source.
///
/// Memory grows with the bytes that come and ends at what the header promises, so that a header
/// that lies costs nothing.
///
/// # Errors
/// [`IdxError`].
pub fn read(mut source: impl Read) -> Result<Idx, IdxError> {
    let mut start = Vec::new();
    source
        .by_ref()
        .take(2)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    let whole = start.as_slice().chain(source);
    if is_gzip(&start) {
        read_plain(MultiGzDecoder::new(whole))
    } else {
        read_plain(whole)
    }
}

fn read_plain(mut source: impl Read) -> Result<Idx, IdxError> {
    let mut magic = [0; 4];
    read_header(&mut source, &mut magic, 0)?;
    let [first, second, element, dimensions] = magic;
    if first != 0 || second != 0 {
        return Err(IdxError::Magic);
    }
    if element != 0x08 {
        return Err(IdxError::ElementType { found: element });
    }
    if !(1..=8).contains(&dimensions) {
        return Err(IdxError::Dimensions { found: dimensions });
    }
    let mut sizes = [0; 32];
    let sizes = &mut sizes[..4 * usize::from(dimensions)];
    read_header(&mut source, sizes, magic.len())?;
    let (words, _) = sizes.as_chunks::<4>();
    let shape: Vec<usize> = words
        .iter()
        .map(|word| u32::from_be_bytes(*word) as usize)
        .collect();
    let expected = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size))
        .filter(|&product| product < isize::MAX as usize)
        .ok_or(IdxError::TooLarge)?;
    Ok(Idx {
        values: read_values(source, expected)?,
        shape,
    })
}

fn read_header(source: &mut impl Read, out: &mut [u8], before: usize) -> Result<(), IdxError> {
    let mut found = 0;
    while found < out.len() {
        match source.read(&mut out[found..]) {
            Ok(0) => {
                let expected = before + out.len();
                return Err(IdxError::ShortHeader {
                    expected,
                    found: before + found,
                });
            }
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    Ok(())
}

fn read_values(source: impl Read, expected: usize) -> Result<Vec<u8>, IdxError> {
    let mut values = Vec::new();
    source
        .take(expected as u64 + 1)
        .read_to_end(&mut values)
        .map_err(unreadable)?;
    match values.len() {
        found if found < expected => Err(IdxError::Truncated { expected, found }),
        found if found > expected => Err(IdxError::TrailingBytes { expected }),
        _ => Ok(values),
    }
}

fn unreadable(error: io::Error) -> IdxError {
    IdxError::Unreadable { kind: error.kind() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::packed;

    const TWO_BY_TWO: [u8; 16] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4];

    fn with(position: usize, byte: u8) -> Vec<u8> {
        let mut bytes = TWO_BY_TWO.to_vec();
        bytes[position] = byte;
        bytes
    }

    #[test]
    fn a_plain_and_a_packed_file_read_the_same() {
        let expected = Idx {
            shape: vec![2, 2],
            values: vec![1, 2, 3, 4],
        };
        assert_eq!(parse(&TWO_BY_TWO).as_ref(), Ok(&expected));
        assert_eq!(parse(&packed(&TWO_BY_TWO)).as_ref(), Ok(&expected));
        assert_eq!(read(&packed(&TWO_BY_TWO)[..]).as_ref(), Ok(&expected));
    }

    #[test]
    fn every_header_that_is_wrong_is_refused_by_what_is_wrong() {
        assert_eq!(
            parse(&[]),
            Err(IdxError::ShortHeader {
                expected: 4,
                found: 0
            })
        );
        assert_eq!(
            parse(&TWO_BY_TWO[..9]),
            Err(IdxError::ShortHeader {
                expected: 12,
                found: 9
            })
        );
        assert_eq!(parse(&with(0, 1)), Err(IdxError::Magic));
        assert_eq!(
            parse(&with(2, 0x0d)),
            Err(IdxError::ElementType { found: 0x0d })
        );
        assert_eq!(parse(&with(3, 0)), Err(IdxError::Dimensions { found: 0 }));
        assert_eq!(parse(&with(3, 9)), Err(IdxError::Dimensions { found: 9 }));
    }

    #[test]
    fn a_header_that_promises_more_or_less_than_the_file_has_is_refused() {
        assert_eq!(
            parse(&with(7, 3)),
            Err(IdxError::Truncated {
                expected: 6,
                found: 4
            })
        );
        assert_eq!(
            parse(&with(7, 1)),
            Err(IdxError::TrailingBytes { expected: 2 })
        );
        assert_eq!(
            parse(&packed(&with(4, 0x7f))),
            Err(IdxError::Truncated {
                expected: (0x7f00_0002) * 2,
                found: 4
            })
        );
    }

    #[test]
    fn dimensions_that_overflow_are_refused() {
        let mut bytes = vec![0, 0, 8, 3];
        bytes.extend([0xff; 12]);
        assert_eq!(parse(&bytes), Err(IdxError::TooLarge));
    }

    #[test]
    fn a_packed_file_that_is_cut_off_is_refused() {
        let whole = packed(&TWO_BY_TWO);
        let error = parse(&whole[..whole.len() - 4]);
        assert!(
            matches!(error, Err(IdxError::Unreadable { .. })),
            "{error:?}"
        );
    }
}
