//! `server.toml`: which federation the node joined, under which name, and how it knows the server.

use std::fmt::Write as _;
use std::path::Path;

use commonweal_core::{ClientName, Digest};
use commonweal_disk::file::{FileError, read_text};
use commonweal_wire::{KeyError, NodeKey, ServerIdentity};

use crate::document::{DocumentError, File, Table};
use crate::folder::{NodeFolder, write_private};

/// The federation that the node is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The server's address: `https://HOST:PORT`.
    pub url: String,
    /// How the node knows the server.
    pub server: ServerIdentity,
    /// The node's name in every run.
    pub name: ClientName,
}

/// Why a node is of no federation.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// It has not joined.
    #[error(
        "{} is no node yet: join a federation with `commonweal node join`",
        folder.display()
    )]
    NotJoined {
        /// The node's directory.
        folder: std::path::PathBuf,
    },
    /// The file does not say what it should.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The key's file does not hold a key.
    #[error("{}: {source}; restore it from a backup, or join again with a new invitation", path.display())]
    Key {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        source: KeyError,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Membership {
    /// What `folder` says, and the node's key.
    ///
    /// # Errors
    /// [`MembershipError`].
    pub fn read(folder: &NodeFolder) -> Result<(Self, NodeKey), MembershipError> {
        let path = folder.server();
        let text = match read_text(&path) {
            Err(FileError::Missing { .. }) => {
                let folder = folder.path().to_path_buf();
                return Err(MembershipError::NotJoined { folder });
            }
            text => text?,
        };
        let membership = Self::parse(&text, &path)?;
        Ok((membership, read_key(folder)?))
    }

    fn parse(text: &str, path: &Path) -> Result<Self, DocumentError> {
        let file = File { path, text };
        let mut root = file.root()?;
        let url = root.need("url", "it is the server's address")?;
        let url = url.text("the server's address")?;
        let server = server_of(&mut root)?;
        let name = root.need("name", "it is the node's name")?;
        let wrong = name.expected("a name");
        let name = ClientName::try_from(name.text("a name")?).map_err(|error| DocumentError {
            what: error.to_string(),
            ..wrong
        })?;
        root.end()?;
        Ok(Self { url, server, name })
    }

    /// Writes the file. Until it is there, the node has not joined.
    pub(crate) fn write(&self, folder: &NodeFolder) -> Result<(), FileError> {
        let mut text = "# Written by `commonweal node join`.\n".to_owned();
        let _ = writeln!(text, "url = {}", quoted(&self.url));
        let _ = match &self.server {
            ServerIdentity::Authority(digest) => writeln!(text, "ca = \"{digest}\""),
            ServerIdentity::Name(host) => writeln!(text, "host = {}", quoted(host)),
        };
        let _ = writeln!(text, "name = {}", quoted(self.name.as_str()));
        write_private(&folder.server(), text.as_bytes())
    }
}

/// A text as a basic string of TOML.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

fn server_of(root: &mut Table<'_>) -> Result<ServerIdentity, DocumentError> {
    if let Some(host) = root.take("host") {
        return match root.take("ca") {
            Some(ca) => Err(ca.wrong("goes without `host`: a server is known by one thing".into())),
            None => Ok(ServerIdentity::Name(host.text("a host's name")?)),
        };
    }
    let ca = root.need("ca", "it is the fingerprint of the federation's authority")?;
    let wrong = ca.expected("a digest");
    let digest: Result<Digest, _> = ca.text("a digest")?.parse();
    digest
        .map(ServerIdentity::Authority)
        .map_err(|error| DocumentError {
            what: error.to_string(),
            ..wrong
        })
}

/// The node's key, if there is one.
pub(crate) fn read_key(folder: &NodeFolder) -> Result<NodeKey, MembershipError> {
    let path = folder.key();
    let text = zeroize::Zeroizing::new(read_text(&path)?);
    NodeKey::from_text(&text).map_err(|source| MembershipError::Key { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_survives_its_file() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = NodeFolder::at(temporary.path());
        for server in [
            ServerIdentity::Authority(Digest::of(b"ca")),
            ServerIdentity::Name("fl.example.org".to_owned()),
        ] {
            let membership = Membership {
                url: "https://fl.example.org:7070".to_owned(),
                server,
                name: ClientName::try_from("a \"quoted\\\" name").unwrap(),
            };
            membership.write(&folder).unwrap();
            let text = std::fs::read_to_string(folder.server()).unwrap();
            assert_eq!(Membership::parse(&text, &folder.server()), Ok(membership));
        }
    }

    #[test]
    fn a_directory_that_never_joined_says_how_to() {
        let temporary = tempfile::tempdir().unwrap();
        let error = Membership::read(&NodeFolder::at(temporary.path())).unwrap_err();
        assert!(
            error.to_string().contains("commonweal node join"),
            "{error}"
        );
    }

    #[test]
    fn a_server_is_known_by_exactly_one_thing() {
        let path = Path::new("server.toml");
        let text = "url = \"https://a:1\"\nname = \"a\"\n";
        let error = Membership::parse(text, path).unwrap_err();
        assert!(error.to_string().contains("ca: is missing"), "{error}");
        let both = format!("{text}ca = \"{}\"\nhost = \"a\"\n", Digest::of(b"ca"));
        let error = Membership::parse(&both, path).unwrap_err();
        assert!(error.to_string().contains("known by one thing"), "{error}");
    }
}
