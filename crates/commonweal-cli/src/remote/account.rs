//! What `commonweal login` keeps: the server's address, how it is known again, and the key, for its owner's eyes.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use commonweal_disk::file::{self, FileError};
use commonweal_wire::ServerIdentity;
use serde::{Deserialize, Serialize};

use super::error::RemoteError;

/// Environment variable that names the folder of the account.
const HOME_VARIABLE: &str = "COMMONWEAL_HOME";

/// A server that one is known to.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// `https://HOST:PORT`, without a path.
    pub url: String,
    /// How the server is known again.
    pub server: ServerIdentity,
    /// The key.
    pub key: String,
}

/// The account's file.
#[derive(Serialize, Deserialize)]
struct Record {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    key: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({}, {:?})", self.url, self.server)
    }
}

impl Account {
    /// Where it lies.
    ///
    /// # Errors
    /// [`RemoteError::NoLogin`] where no folder of the user is known.
    pub fn path() -> Result<PathBuf, RemoteError> {
        folder(|name| std::env::var_os(name).map(PathBuf::from))
            .map(|folder| folder.join("account.json"))
            .ok_or(RemoteError::NoLogin)
    }

    /// The account of this user.
    ///
    /// # Errors
    /// [`RemoteError::NoLogin`]; a file that cannot be read.
    pub fn read() -> Result<Self, RemoteError> {
        let path = Self::path()?;
        let text = match file::read_text(&path) {
            Ok(text) => text,
            Err(FileError::Missing { .. }) => return Err(RemoteError::NoLogin),
            Err(error) => return Err(error.into()),
        };
        Self::parse(&text).map_err(|reason| RemoteError::Account {
            path: path.display().to_string(),
            reason,
        })
    }

    /// Keeps it, in place of another.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self) -> Result<PathBuf, RemoteError> {
        let path = Self::path()?;
        let (authority, name) = match &self.server {
            ServerIdentity::Authority(digest) => (Some(digest.to_string()), None),
            ServerIdentity::Name(name) => (None, Some(name.clone())),
        };
        let record = Record {
            url: self.url.clone(),
            authority,
            name,
            key: self.key.clone(),
        };
        let text = serde_json::to_string_pretty(&record).map_err(|error| RemoteError::Account {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        write_private(&path, &text).map_err(|error| FileError::of(&path, error))?;
        Ok(path)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let record: Record = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let server = match (record.authority, record.name) {
            (Some(digest), None) => {
                let digest = digest.parse().map_err(|_| "damaged authority".to_owned())?;
                ServerIdentity::Authority(digest)
            }
            (None, Some(name)) => ServerIdentity::Name(name),
            _ => return Err("neither authority nor name".to_owned()),
        };
        Ok(Self {
            url: record.url,
            server,
            key: record.key,
        })
    }
}

/// `COMMONWEAL_HOME`, else `commonweal` in the folder that the system has for settings.
fn folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let named = |name| variable(name).filter(|folder| !folder.as_os_str().is_empty());
    named(HOME_VARIABLE)
        .or_else(|| named("XDG_CONFIG_HOME").map(|folder| folder.join("commonweal")))
        .or_else(|| named("HOME").map(|folder| folder.join(".config/commonweal")))
}

/// A new file that its owner alone can read, in the old one's place at once.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let new = path.with_extension(format!("{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_commonweals_own_variable_then_the_systems_then_the_users() {
        let set = |names: &'static [&str]| {
            folder(move |name| {
                names
                    .contains(&name)
                    .then(|| PathBuf::from(format!("/{name}")))
            })
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(set(&["COMMONWEAL_HOME", "HOME"]), path("/COMMONWEAL_HOME"));
        assert_eq!(
            set(&["XDG_CONFIG_HOME", "HOME"]),
            path("/XDG_CONFIG_HOME/commonweal")
        );
        assert_eq!(set(&["HOME"]), path("/HOME/.config/commonweal"));
        assert_eq!(set(&[]), None);
    }

    #[test]
    fn debug_never_shows_the_key() {
        let account = Account {
            url: "https://fl.example.org:7070".to_owned(),
            server: ServerIdentity::Name("fl.example.org".to_owned()),
            key: "secret".to_owned(),
        };
        assert!(!format!("{account:?}").contains("secret"));
    }
}
