//! One message on the pipe: a fixed prefix, a JSON header, a body. Parsing is pure.

/// A message as it travels: a JSON object and the bytes that it speaks of.
///
/// On the pipe: the four bytes `CWF1`, the header's length (`u32`, little-endian), the body's length
/// (`u64`, little-endian), the header, the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// UTF-8 JSON, not yet looked at.
    pub header: Vec<u8>,
    /// A safetensors file, or nothing.
    pub body: Vec<u8>,
}

/// What stands before header and body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Bytes of the header.
    pub header_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
}

/// The largest sizes that a reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a header.
    pub header_bytes: u64,
    /// Bytes of a body.
    pub body_bytes: u64,
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes do not begin as a frame does.
    #[error(
        "expected a frame, which begins with \"CWF1\", but found {found:?}: only frames may be \
         written to standard output, print to standard error instead"
    )]
    Magic {
        /// The first bytes found.
        found: String,
    },
    /// A header longer than the limit.
    #[error("a header of {found} bytes, where at most {limit} are accepted")]
    HeaderTooLong {
        /// Bytes accepted.
        limit: u64,
        /// Bytes announced.
        found: u64,
    },
    /// A body longer than the limit.
    #[error("a body of {found} bytes, where at most {limit} are accepted here")]
    BodyTooLong {
        /// Bytes accepted.
        limit: u64,
        /// Bytes announced.
        found: u64,
    },
}

impl Limits {
    /// Bytes of the largest header: room for the names and shapes of 10,000 tensors.
    pub const HEADER_BYTES: u64 = 4 << 20;

    /// The usual header and a body of at most `body_bytes`.
    pub const fn body(body_bytes: u64) -> Self {
        Self {
            header_bytes: Self::HEADER_BYTES,
            body_bytes,
        }
    }
}

impl Prefix {
    /// Length of a prefix in bytes.
    pub const BYTES: usize = 16;
    /// How a frame begins: its version is part of it.
    pub const MAGIC: [u8; 4] = *b"CWF1";

    /// Whether `bytes` can be the beginning of a frame, however few they are.
    ///
    /// # Errors
    /// [`FrameError::Magic`].
    pub fn expect_magic(bytes: &[u8]) -> Result<(), FrameError> {
        match bytes
            .iter()
            .zip(Self::MAGIC)
            .all(|(&found, expected)| found == expected)
        {
            true => Ok(()),
            false => Err(FrameError::Magic {
                found: bytes[..bytes.len().min(Self::BYTES)]
                    .escape_ascii()
                    .to_string(),
            }),
        }
    }

    /// Reads a prefix.
    ///
    /// # Errors
    /// Another beginning, or a length above the limit.
    pub fn parse(bytes: &[u8; Self::BYTES], limits: Limits) -> Result<Self, FrameError> {
        Self::expect_magic(bytes)?;
        let [_, _, _, _, h0, h1, h2, h3, body @ ..] = *bytes;
        let header = u64::from(u32::from_le_bytes([h0, h1, h2, h3]));
        let body = u64::from_le_bytes(body);
        let size = |found, limit| usize::try_from(found).ok().filter(|_| found <= limit);
        let header_bytes = size(header, limits.header_bytes).ok_or(FrameError::HeaderTooLong {
            limit: limits.header_bytes,
            found: header,
        })?;
        let body_bytes = size(body, limits.body_bytes).ok_or(FrameError::BodyTooLong {
            limit: limits.body_bytes,
            found: body,
        })?;
        Ok(Self {
            header_bytes,
            body_bytes,
        })
    }
}

impl Frame {
    /// The first frame in `bytes` and its length, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]: what follows cannot be understood any more.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((prefix, rest)) = bytes.split_first_chunk() else {
            return Prefix::expect_magic(bytes).map(|()| None);
        };
        let Prefix {
            header_bytes,
            body_bytes,
        } = Prefix::parse(prefix, limits)?;
        let Some((header, rest)) = rest.split_at_checked(header_bytes) else {
            return Ok(None);
        };
        let Some(body) = rest.get(..body_bytes) else {
            return Ok(None);
        };
        let frame = Self {
            header: header.to_vec(),
            body: body.to_vec(),
        };
        Ok(Some((frame, Prefix::BYTES + header_bytes + body_bytes)))
    }

    /// The bytes for the pipe.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend(&self.body);
        bytes
    }

    /// The bytes before the body.
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Prefix::BYTES + self.header.len());
        bytes.extend(Prefix::MAGIC);
        bytes.extend((self.header.len() as u32).to_le_bytes());
        bytes.extend((self.body.len() as u64).to_le_bytes());
        bytes.extend(&self.header);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits::body(1 << 20);

    #[test]
    fn a_frame_has_the_documented_bytes() {
        let frame = Frame {
            header: b"{}".to_vec(),
            body: vec![7],
        };
        let expected = b"CWF1\x02\0\0\0\x01\0\0\0\0\0\0\0{}\x07";
        assert_eq!(frame.to_bytes(), expected);
        assert_eq!(Frame::parse(expected, LIMITS), Ok(Some((frame, 19))));
    }

    #[test]
    fn what_user_code_prints_is_quoted_and_refused() {
        for (printed, found) in [
            (&b"Epoch 1: loss 0.3\n"[..], "Epoch 1: loss 0."),
            (b"hi\n", "hi\\n"),
        ] {
            let error = FrameError::Magic {
                found: found.into(),
            };
            assert_eq!(Frame::parse(printed, LIMITS), Err(error));
        }
    }

    #[test]
    fn a_lying_length_is_refused_before_anything_is_reserved() {
        let header = b"CWF1\xff\xff\xff\xff\0\0\0\0\0\0\0\0";
        let body = b"CWF1\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
        assert_eq!(
            Frame::parse(header, LIMITS),
            Err(FrameError::HeaderTooLong {
                limit: 4 << 20,
                found: u64::from(u32::MAX)
            })
        );
        assert_eq!(
            Frame::parse(body, LIMITS),
            Err(FrameError::BodyTooLong {
                limit: 1 << 20,
                found: u64::MAX
            })
        );
    }

    proptest! {
        #[test]
        fn a_written_frame_is_read_back_and_no_prefix_of_it_is_a_frame(
            header: Vec<u8>, body: Vec<u8>, cut: prop::sample::Index,
        ) {
            let frame = Frame { header, body };
            let bytes = frame.to_bytes();
            prop_assert_eq!(Frame::parse(&bytes[..cut.index(bytes.len())], LIMITS), Ok(None));
            let length = bytes.len();
            prop_assert_eq!(Frame::parse(&bytes, LIMITS), Ok(Some((frame, length))));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let _ = Frame::parse(&bytes, LIMITS);
        }
    }
}
