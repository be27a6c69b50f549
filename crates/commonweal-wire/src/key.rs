//! A node's identity: an Ed25519 key made on the node, and the fingerprint by which people compare it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use commonweal_core::Digest;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// A node's secret key. Zeroised when dropped, absent from `Debug`.
pub struct NodeKey(SigningKey);

/// A node's public key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// SHA-256 of a public key: what a request names its sender by, and the fingerprint that both ends show.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

/// Why bytes or a text are no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another number of bytes, or no text of such a key.
    #[error("this is no Ed25519 key in the form that Commonweal writes")]
    Malformed,
    /// A point of small order, to which anybody can sign.
    #[error("this Ed25519 key is weak")]
    Weak,
}

impl NodeKey {
    /// The key of a secret that was drawn from the operating system.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The secret as one line of text, for a file that its owner alone can read.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(self.0.to_bytes());
        Zeroizing::new(format!("ed25519:{}\n", STANDARD_NO_PAD.encode(*secret)))
    }

    /// The key of such a line.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let encoded = text
            .trim()
            .strip_prefix("ed25519:")
            .ok_or(KeyError::Malformed)?;
        let mut secret = Zeroizing::new([0; 32]);
        let written = STANDARD_NO_PAD.decode_slice(encoded, &mut *secret);
        match written {
            Ok(32) => Ok(Self::from_secret(&secret)),
            _ => Err(KeyError::Malformed),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl PublicKey {
    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key's fingerprint.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*Digest::of(self.0.as_bytes()).as_bytes())
    }

    pub(crate) fn verifies(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from_bytes(signature);
        self.0.verify_strict(bytes, &signature).is_ok()
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = VerifyingKey::try_from(bytes).map_err(|_| KeyError::Malformed)?;
        match key.is_weak() {
            true => Err(KeyError::Weak),
            false => Ok(Self(key)),
        }
    }
}

impl fmt::Display for KeyId {
    /// As OpenSSH writes fingerprints: `SHA256:` and base64 without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

impl KeyId {
    /// As the header of a request writes it: base64 for addresses, without padding.
    #[must_use]
    pub fn to_header(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The id in a header.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_header(text: &str) -> Result<Self, KeyError> {
        bytes_32(&URL_SAFE_NO_PAD, text).map(Self)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let encoded = text.strip_prefix("SHA256:").ok_or(KeyError::Malformed)?;
        bytes_32(&STANDARD_NO_PAD, encoded).map(Self)
    }
}

pub(crate) fn bytes_32(engine: &impl base64::Engine, text: &str) -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    match engine.decode_slice(text, &mut bytes) {
        Ok(32) => Ok(bytes),
        _ => Err(KeyError::Malformed),
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public().id())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_and_debug_never_shows_it() {
        let key = NodeKey::from_secret(&[7; 32]);
        let text = key.to_text();
        let again = NodeKey::from_text(&text).unwrap();
        assert_eq!(again.public(), key.public());
        let secret = text.trim().strip_prefix("ed25519:").unwrap();
        assert!(!format!("{key:?}").contains(secret));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused() {
        for text in ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA"] {
            assert_eq!(
                NodeKey::from_text(text).err(),
                Some(KeyError::Malformed),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_key_to_which_anybody_can_sign_is_refused() {
        // The neutral element: y = 1.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::try_from(&neutral[..]), Err(KeyError::Weak));
        assert_eq!(PublicKey::try_from(&[1, 2][..]), Err(KeyError::Malformed));
    }

    #[test]
    fn an_id_survives_both_of_its_texts() {
        let id = NodeKey::from_secret(&[3; 32]).public().id();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(KeyId::from_header(&id.to_header()), Ok(id));
    }
}
