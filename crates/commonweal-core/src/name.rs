//! A client's identity in a run: the name by which seeds, orders and errors speak of it.

use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;

use serde::{Deserialize, Serialize};

/// A client's name: a column value, `client-017`, or a node's enrolled name.
///
/// 1 to 128 bytes of UTF-8 without control characters. Ordered by its bytes, which is the order of
/// every list of clients. Cloning costs a reference count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientName(Arc<str>);

/// Why a text is no client name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing to call the client by.
    #[error("a client name is empty")]
    Empty,
    /// Longer than [`ClientName::MAX_BYTES`].
    #[error(
        "a client name has {found} bytes; at most {} are allowed",
        ClientName::MAX_BYTES
    )]
    TooLong {
        /// Length in bytes.
        found: usize,
    },
    /// A line break, an escape or another character that garbles a log.
    #[error("a client name has the control character U+{:04X} at byte {at}", u32::from(*.found))]
    Control {
        /// The character.
        found: char,
        /// Its byte offset.
        at: usize,
    },
}

impl ClientName {
    /// Longest name, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ClientName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong { found: text.len() });
        }
        if let Some((at, found)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(NameError::Control { found, at });
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ClientName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::try_from(text.as_str())
    }
}

impl From<ClientName> for String {
    fn from(name: ClientName) -> Self {
        String::from(&*name.0)
    }
}

impl Borrow<str> for ClientName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_their_bytes() {
        let name = |text: &str| ClientName::try_from(text).unwrap();
        assert!(name("Z") < name("a"));
        assert!(name("client-9") > name("client-10"));
        assert!(name("z") < name("ä"));
    }

    #[test]
    fn a_name_that_would_garble_a_log_is_refused() {
        assert_eq!(ClientName::try_from(""), Err(NameError::Empty));
        assert_eq!(
            ClientName::try_from("a\nb"),
            Err(NameError::Control { found: '\n', at: 1 })
        );
        let long = "x".repeat(129);
        assert_eq!(
            ClientName::try_from(long.as_str()),
            Err(NameError::TooLong { found: 129 })
        );
        assert!(ClientName::try_from(&long[..128]).is_ok());
    }
}
