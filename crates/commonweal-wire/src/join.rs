//! The join string: the server's address, how to know that it is the right one, and a token that works once.
//!
//! `https://HOST:PORT/?token=…&ca=…&expires=…`, with `ca` the SHA-256 of the federation's certificate authority. With an
//! operator's own certificate `host=NAME` takes the place of `ca`: the name to check against the machine's roots.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commonweal_core::Digest;
use zeroize::Zeroize;

use crate::key::bytes_32;

/// What an administrator gives to a site.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinString {
    /// `https://HOST:PORT`, without a path.
    pub url: String,
    /// How the node knows the server.
    pub server: ServerIdentity,
    /// What lets the node in, once.
    pub token: Token,
    /// When the token expires, in seconds since 1970, UTC.
    pub expires: u64,
}

/// How a node knows that it speaks to its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerIdentity {
    /// By its certificate authority: SHA-256 of the certificate in DER.
    Authority(Digest),
    /// By a certificate that this machine's roots vouch for, made out to this name.
    Name(String),
}

/// A secret of 32 random bytes. Zeroised when dropped, absent from `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// Why a text is no join string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinStringError {
    /// It does not begin as one.
    #[error("a join string begins with https://HOST:PORT/?token=; copy it whole, in quotes")]
    Form,
    /// A part is missing or broken off.
    #[error("the join string's part {part:?} is missing or damaged; copy it whole, in quotes")]
    Part {
        /// Its name.
        part: &'static str,
    },
}

impl Token {
    /// The token of 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// What a server keeps instead of the token: guessing it from the digest is guessing 256 random bits.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl fmt::Debug for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinString({}, {:?})", self.url, self.server)
    }
}

impl fmt::Display for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = URL_SAFE_NO_PAD.encode(self.token.0);
        write!(f, "{}/?token={token}", self.url)?;
        match &self.server {
            ServerIdentity::Authority(digest) => {
                write!(f, "&ca={}", URL_SAFE_NO_PAD.encode(digest.as_bytes()))?;
            }
            ServerIdentity::Name(host) => write!(f, "&host={host}")?,
        }
        write!(f, "&expires={}", self.expires)
    }
}

impl FromStr for JoinString {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Self, JoinStringError> {
        let (url, query) = text.trim().split_once("/?").ok_or(JoinStringError::Form)?;
        let authority = url.strip_prefix("https://").ok_or(JoinStringError::Form)?;
        if authority.is_empty()
            || authority.contains(|c: char| c.is_whitespace() || "/?#@".contains(c))
        {
            return Err(JoinStringError::Form);
        }
        let part = |name: &str| {
            let mut parts = query.split('&').filter_map(|part| part.split_once('='));
            parts.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let damaged = |part| JoinStringError::Part { part };
        let bytes =
            |name: &'static str, text| bytes_32(&URL_SAFE_NO_PAD, text).map_err(|_| damaged(name));
        let token = part("token").ok_or(damaged("token"))?;
        let token = Token(bytes("token", token)?);
        let server = match (part("ca"), part("host")) {
            (Some(digest), None) => {
                ServerIdentity::Authority(Digest::from_bytes(bytes("ca", digest)?))
            }
            (None, Some(host)) if !host.is_empty() => ServerIdentity::Name(host.to_owned()),
            _ => return Err(damaged("ca")),
        };
        let expires = part("expires").and_then(|text| text.parse().ok());
        Ok(Self {
            url: url.to_owned(),
            server,
            token,
            expires: expires.ok_or(damaged("expires"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings() -> [JoinString; 2] {
        let own = JoinString {
            url: "https://fl.example.org:7070".to_owned(),
            server: ServerIdentity::Authority(Digest::of(b"ca")),
            token: Token([1; 32]),
            expires: 1_700_000_000,
        };
        let server = ServerIdentity::Name("fl.example.org".to_owned());
        [
            JoinString {
                server,
                ..own.clone()
            },
            own,
        ]
    }

    #[test]
    fn a_join_string_survives_being_printed() {
        for string in strings() {
            assert_eq!(string.to_string().parse(), Ok(string));
        }
    }

    #[test]
    fn a_join_string_that_breaks_off_anywhere_is_refused() {
        for string in strings() {
            let text = string.to_string();
            // The last part is a number, of which a shorter one is a number too.
            let last = text.rfind('=').unwrap();
            for len in 0..=last {
                assert!(
                    text[..len].parse::<JoinString>().is_err(),
                    "{}",
                    &text[..len]
                );
            }
        }
    }

    #[test]
    fn a_join_string_is_for_a_server_that_is_known_by_one_thing() {
        let [named, own] = strings();
        let both = format!(
            "{named}&ca={}",
            own.to_string().split_once("&ca=").unwrap().1
        );
        let damaged = JoinStringError::Part { part: "ca" };
        assert_eq!(both.parse::<JoinString>(), Err(damaged));
        let plain = own.to_string().replace("https://", "http://");
        assert_eq!(plain.parse::<JoinString>(), Err(JoinStringError::Form));
    }

    #[test]
    fn debug_never_shows_the_token() {
        let [string, _] = strings();
        let token = URL_SAFE_NO_PAD.encode([1; 32]);
        assert!(string.to_string().contains(&token));
        assert!(!format!("{string:?}").contains(&token));
    }
}
