//! A SHA-256 digest: the identity of a manifest, a model or what `prepare` found.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, written `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The text does not begin with `sha256:`.
    #[error("a digest begins with \"sha256:\"")]
    Prefix,
    /// Another number of digits than 64.
    #[error("a digest has 64 hexadecimal digits after \"sha256:\", this one {found}")]
    Length {
        /// Bytes after the prefix.
        found: usize,
    },
    /// Something else than a lower-case hexadecimal digit.
    #[error("a digest has only the digits 0-9 and a-f; digit {at} is another")]
    Digit {
        /// Position after the prefix, from 0.
        at: usize,
    },
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest that arrived as 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("sha256:").ok_or(DigestError::Prefix)?;
        if digits.len() != 64 {
            return Err(DigestError::Length {
                found: digits.len(),
            });
        }
        let mut bytes = [0; 32];
        for (at, digit) in digits.bytes().enumerate() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(DigestError::Digit { at }),
            };
            bytes[at / 2] = bytes[at / 2] << 4 | value;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        alloc::format!("{digest}")
    }
}

/// Computes a [`Digest`] piece by piece.
///
/// A piece of variable length is written with [`field`](Self::field), which puts its length before it:
/// two different sequences of fields then never give the same bytes.
#[derive(Clone, Default)]
pub struct DigestWriter(Sha256);

impl DigestWriter {
    /// A writer whose digests differ from those of any other `domain`.
    pub fn new(domain: &str) -> Self {
        let mut writer = Self::default();
        writer.field(domain.as_bytes());
        writer
    }

    /// Appends `bytes` as they are: for pieces of a fixed length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Appends an integer as 8 little-endian bytes.
    pub fn number(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    /// Appends the length of `bytes` in 8 bytes, then `bytes`.
    pub fn field(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes(bytes);
    }

    /// The digest of everything written.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    /// NIST FIPS 180-2, appendix B.1.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_sha_256_and_survives_its_text() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(Digest::of(b"abc")));
    }

    #[test]
    fn a_text_that_is_no_digest_says_why() {
        assert_eq!("md5:00".parse::<Digest>(), Err(DigestError::Prefix));
        assert_eq!(
            "sha256:00".parse::<Digest>(),
            Err(DigestError::Length { found: 2 })
        );
        let upper = ABC.replace("ba78", "bA78");
        assert_eq!(upper.parse::<Digest>(), Err(DigestError::Digit { at: 1 }));
    }

    #[test]
    fn moving_a_byte_between_fields_changes_the_digest() {
        let of = |a: &[u8], b: &[u8]| {
            let mut writer = DigestWriter::new("test");
            writer.field(a);
            writer.field(b);
            writer.finish()
        };
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
    }
}
