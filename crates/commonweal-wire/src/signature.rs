//! Signed requests: who asks for what, when, and with which body.
//!
//! The signature covers the method, the path with its query, the key, the time, a nonce and the body's digest, so
//! that identity survives a proxy that ends TLS, and a request cannot be changed, moved or repeated.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commonweal_core::Digest;

use crate::key::{KeyId, NodeKey, PublicKey};

/// Names of the headers, in lower case.
pub mod header {
    /// [`PROTOCOL`](crate::PROTOCOL), in decimal digits.
    pub const PROTOCOL: &str = "commonweal-protocol";
    /// [`KeyId`](crate::KeyId) of the sender.
    pub const NODE: &str = "commonweal-node";
    /// Milliseconds since 1970, UTC, in decimal digits. Answers carry the server's.
    pub const TIME: &str = "commonweal-time";
    /// Sixteen random bytes, base64 for addresses.
    pub const NONCE: &str = "commonweal-nonce";
    /// SHA-256 of the body; of a report that is sent in parts, of the whole report. Base64 for addresses.
    pub const DIGEST: &str = "commonweal-digest";
    /// The signature, base64 for addresses.
    pub const SIGNATURE: &str = "commonweal-signature";
}

/// Sixteen random bytes that no other request of the key has.
pub type Nonce = [u8; 16];

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`, `POST` or `PUT`.
    pub method: &'a str,
    /// Path and query as they are on the request line.
    pub target: &'a str,
    /// The sender's time: milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// Drawn anew for every request.
    pub nonce: Nonce,
    /// Of the body, or of the whole report.
    pub digest: Digest,
}

/// What the headers of a request say: not yet known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who is said to ask.
    pub node: KeyId,
    /// When.
    pub time_ms: u64,
    /// The nonce.
    pub nonce: Nonce,
    /// Of what the body is said to be.
    pub digest: Digest,
    signature: [u8; 64],
}

/// Why headers are no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// A header is missing.
    #[error("the header {name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A header does not have its form.
    #[error("the header {name} does not have its form")]
    Malformed {
        /// Its name.
        name: &'static str,
    },
    /// Another version of the protocol.
    #[error(
        "the node speaks version {found} of the protocol, the server version {}: install the same release at both ends",
        crate::PROTOCOL
    )]
    Protocol {
        /// The node's.
        found: String,
    },
}

impl Request<'_> {
    /// The headers of this request, signed with `key`.
    #[must_use]
    pub fn sign(&self, key: &NodeKey) -> [(&'static str, String); 6] {
        let id = key.public().id();
        let signature = key.sign(&self.to_be_signed(&id));
        [
            (header::PROTOCOL, crate::PROTOCOL.to_string()),
            (header::NODE, id.to_header()),
            (header::TIME, self.time_ms.to_string()),
            (header::NONCE, URL_SAFE_NO_PAD.encode(self.nonce)),
            (
                header::DIGEST,
                URL_SAFE_NO_PAD.encode(self.digest.as_bytes()),
            ),
            (header::SIGNATURE, URL_SAFE_NO_PAD.encode(signature)),
        ]
    }

    /// No field can run into the next: each is on a line of its own, and none holds a line feed.
    fn to_be_signed(self, node: &KeyId) -> Vec<u8> {
        format!(
            "commonweal request {}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            crate::PROTOCOL,
            self.method,
            self.target,
            node.to_header(),
            self.time_ms,
            URL_SAFE_NO_PAD.encode(self.nonce),
            URL_SAFE_NO_PAD.encode(self.digest.as_bytes()),
        )
        .into_bytes()
    }
}

impl Signed {
    /// Reads the headers, of which `value` gives each by name.
    ///
    /// # Errors
    /// [`SignedError`]. The protocol's version is looked at first.
    pub fn read<'a>(value: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, SignedError> {
        let needed = |name| value(name).ok_or(SignedError::Missing { name });
        let malformed = |name| SignedError::Malformed { name };
        let protocol = needed(header::PROTOCOL)?;
        if protocol != crate::PROTOCOL.to_string() {
            return Err(SignedError::Protocol {
                found: protocol.chars().take(16).collect(),
            });
        }
        let node =
            KeyId::from_header(needed(header::NODE)?).map_err(|_| malformed(header::NODE))?;
        let time = needed(header::TIME)?;
        let time_ms = time.parse().map_err(|_| malformed(header::TIME))?;
        let mut signed = Self {
            node,
            time_ms,
            nonce: [0; 16],
            digest: Digest::from_bytes([0; 32]),
            signature: [0; 64],
        };
        let mut digest = [0; 32];
        decode(needed(header::NONCE)?, &mut signed.nonce).ok_or(malformed(header::NONCE))?;
        decode(needed(header::DIGEST)?, &mut digest).ok_or(malformed(header::DIGEST))?;
        decode(needed(header::SIGNATURE)?, &mut signed.signature)
            .ok_or(malformed(header::SIGNATURE))?;
        signed.digest = Digest::from_bytes(digest);
        Ok(signed)
    }

    /// Whether the holder of `key` signed this request of `method` for `target`.
    #[must_use]
    pub fn is_by(&self, key: &PublicKey, method: &str, target: &str) -> bool {
        let request = Request {
            method,
            target,
            time_ms: self.time_ms,
            nonce: self.nonce,
            digest: self.digest,
        };
        let id = key.id();
        id == self.node && key.verifies(&request.to_be_signed(&id), &self.signature)
    }
}

/// Exactly as many bytes as `out` has.
fn decode(text: &str, out: &mut [u8]) -> Option<()> {
    let written = URL_SAFE_NO_PAD.decode_slice(text, out).ok()?;
    (written == out.len()).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<'static> {
        Request {
            method: "PUT",
            target: "/v1/runs/heart-1/reports/train-3/0?offset=0&length=9",
            time_ms: 1_700_000_000_123,
            nonce: [5; 16],
            digest: Digest::of(b"the report"),
        }
    }

    fn headers() -> Vec<(&'static str, String)> {
        request().sign(&NodeKey::from_secret(&[9; 32])).to_vec()
    }

    fn read(headers: &[(&'static str, String)]) -> Result<Signed, SignedError> {
        Signed::read(|name| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_str())
        })
    }

    #[test]
    fn a_request_is_by_its_signer_and_by_nobody_else() {
        let (key, other) = (
            NodeKey::from_secret(&[9; 32]),
            NodeKey::from_secret(&[8; 32]),
        );
        let signed = read(&headers()).unwrap();
        let Request { method, target, .. } = request();
        assert!(signed.is_by(&key.public(), method, target));
        assert!(!signed.is_by(&other.public(), method, target));
    }

    #[test]
    fn every_part_of_a_request_is_signed() {
        let key = NodeKey::from_secret(&[9; 32]).public();
        let Request { method, target, .. } = request();
        let whole = read(&headers()).unwrap();
        assert!(!whole.is_by(&key, "GET", target));
        assert!(!whole.is_by(
            &key,
            method,
            "/v1/runs/heart-1/reports/train-3/0?offset=1&length=9"
        ));
        let changes: [fn(&mut Signed); 4] = [
            |signed| signed.time_ms += 1,
            |signed| signed.nonce[0] ^= 1,
            |signed| signed.digest = Digest::of(b"another report"),
            |signed| signed.signature[0] ^= 1,
        ];
        for change in changes {
            let mut changed = whole.clone();
            change(&mut changed);
            assert!(!changed.is_by(&key, method, target));
        }
    }

    #[test]
    fn a_missing_or_garbled_header_is_named() {
        for at in 0..6 {
            let mut missing = headers();
            let (name, _) = missing.remove(at);
            assert_eq!(read(&missing), Err(SignedError::Missing { name }));
            if name != header::PROTOCOL {
                let mut garbled = headers();
                garbled[at].1.push('!');
                assert_eq!(read(&garbled), Err(SignedError::Malformed { name }));
            }
        }
    }

    #[test]
    fn another_version_is_said_before_anything_else() {
        let old = [(header::PROTOCOL, "0".to_owned())];
        let found = "0".to_owned();
        assert_eq!(read(&old), Err(SignedError::Protocol { found }));
    }

    #[test]
    fn the_signature_of_this_request_is_pinned() {
        let [.., (_, signature)] = request().sign(&NodeKey::from_secret(&[9; 32]));
        assert_eq!(signature, PINNED);
    }

    /// Written by this code at version 1 of the protocol: a change breaks every node in the field.
    const PINNED: &str =
        "dwdGb9RARSeVBtfn_t0qRs0LjRXYMyLWKzPucW2VdtDGHvl_YbnWNC8otKmR1wffv1MaqMykThfln0crruJpCQ";
}
