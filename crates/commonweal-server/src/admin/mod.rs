//! What an administrator does at a server's data directory, whether the server runs or not.
//!
//! A running server takes up what changed here within a second.

mod backup;
mod sites;

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use commonweal_core::{ClientName, Digest, NameError};
use commonweal_wire::{JoinString, Token};
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::authority::{Authority, AuthorityError};
use crate::config::ServerConfig;
use crate::store::{
    ApiKey, Invitation, Invitations, Keys, Node, NodeState, Nodes, Role, Store, StoreError,
};

pub(crate) use backup::sweep_backups;
pub use backup::{BackupError, BackupSummary, restore};
pub use sites::{SitesError, read_sites};

/// What an administrator's commands work on.
pub struct Admin {
    store: Store,
    config: ServerConfig,
}

/// An invitation that was just made: the only time that its join string is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invited {
    /// The name that whoever joins will have; none leaves it to them.
    pub name: Option<ClientName>,
    /// What to send to the site.
    pub join: JoinString,
}

/// A new key's secret: `cwk_` and 43 characters. Absent from `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

/// Why an administrator's command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Someone of that name is there.
    #[error(
        "a node called {name} is {} already: revoke it first with `commonweal server revoke {name}`, or invite under \
         another name", state.as_str()
    )]
    Enrolled {
        /// The name.
        name: ClientName,
        /// `waiting` or `enrolled`.
        state: NodeState,
    },
    /// Two invitations for one name.
    #[error("{name} is to be invited twice: each node needs a name of its own")]
    Twice {
        /// The name.
        name: ClientName,
    },
    /// A key's name follows the rules of a client's.
    #[error("{name:?} cannot be a key's name: {source}")]
    KeyName {
        /// The name.
        name: String,
        /// What is wrong with it.
        source: NameError,
    },
    /// No secret can be made.
    #[error("the operating system gives no random bytes: {what}")]
    NoEntropy {
        /// What it says.
        what: String,
    },
}

impl Admin {
    /// Opens the data directory of a configuration; makes what is not there.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub async fn open(config: ServerConfig) -> Result<Self, AdminError> {
        let store = Store::open(&config.data_dir).await?;
        Ok(Self { store, config })
    }

    /// Makes an invitation for each of `names`, all or none; an absent name leaves it to whoever joins. Each is good
    /// once, until `valid` from `now` on.
    ///
    /// # Errors
    /// [`AdminError::Enrolled`], [`AdminError::Twice`], or the store's or the certificates'.
    pub async fn invite(
        &self,
        names: &[Option<ClientName>],
        valid: Duration,
        now: SystemTime,
    ) -> Result<Vec<Invited>, AdminError> {
        self.refuse_taken(names).await?;
        let config = self.config.clone();
        let authority = tokio::task::spawn_blocking(move || Authority::open(&config, now)).await;
        let authority = authority.map_err(|_| StoreError::Stopped)??;
        let created_at_ms = unix_ms(now);
        let valid_ms = u64::try_from(valid.as_millis()).unwrap_or(u64::MAX);
        let expires_at_ms = created_at_ms.saturating_add(valid_ms);
        let mut invitations = Vec::with_capacity(names.len());
        let mut invited = Vec::with_capacity(names.len());
        for name in names {
            let token = Token::from_bytes(random_bytes()?);
            invitations.push(Invitation {
                token: token.digest(),
                name: name.clone(),
                created_at_ms,
                expires_at_ms,
                used: None,
            });
            let join = JoinString {
                url: self.config.public_url().to_string(),
                server: authority.identity().clone(),
                token,
                expires: expires_at_ms / 1000,
            };
            let name = name.clone();
            invited.push(Invited { name, join });
        }
        self.store.invitations().add(&invitations).await?;
        Ok(invited)
    }

    /// Makes a key; its secret is told once and kept as a digest.
    ///
    /// # Errors
    /// [`AdminError::KeyName`]; [`StoreError::Taken`] if a key of that name is in use.
    pub async fn add_key(
        &self,
        name: &str,
        role: Role,
        now: SystemTime,
    ) -> Result<KeySecret, AdminError> {
        ClientName::try_from(name).map_err(|source| AdminError::KeyName {
            name: name.to_owned(),
            source,
        })?;
        let secret = KeySecret::from_bytes(random_bytes()?);
        let key = ApiKey {
            name: name.to_owned(),
            role,
            digest: secret.digest(),
            created_at_ms: unix_ms(now),
            revoked_at_ms: None,
        };
        self.store.keys().add(&key).await?;
        Ok(secret)
    }

    /// Takes back the key that is in use under this name.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none.
    pub async fn revoke_key(&self, name: &str, now: SystemTime) -> Result<(), AdminError> {
        Ok(self.store.keys().revoke(name, unix_ms(now)).await?)
    }

    /// The nodes: to list, approve and revoke them.
    #[must_use]
    pub fn nodes(&self) -> Nodes<'_> {
        self.store.nodes()
    }

    /// The invitations: to list them.
    #[must_use]
    pub fn invitations(&self) -> Invitations<'_> {
        self.store.invitations()
    }

    /// The keys: to list them.
    #[must_use]
    pub fn keys(&self) -> Keys<'_> {
        self.store.keys()
    }

    /// Closes the store.
    pub async fn close(self) {
        self.store.close().await;
    }

    async fn refuse_taken(&self, names: &[Option<ClientName>]) -> Result<(), AdminError> {
        let nodes = self.store.nodes().list().await?;
        let active = |node: &&Node| matches!(node.state, NodeState::Waiting | NodeState::Enrolled);
        let mut given = std::collections::BTreeSet::new();
        for name in names.iter().flatten() {
            if let Some(node) = nodes.iter().filter(active).find(|node| node.name == *name) {
                return Err(AdminError::Enrolled {
                    name: name.clone(),
                    state: node.state,
                });
            }
            if !given.insert(name) {
                let name = name.clone();
                return Err(AdminError::Twice { name });
            }
        }
        Ok(())
    }
}

impl KeySecret {
    /// The secret of 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(format!("cwk_{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// As its holder sends it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a server keeps: SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

fn unix_ms(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn random_bytes() -> Result<[u8; 32], AdminError> {
    let mut bytes = [0; 32];
    let filled = SysRng.try_fill_bytes(&mut bytes);
    filled.map_err(|error| AdminError::NoEntropy {
        what: error.to_string(),
    })?;
    Ok(bytes)
}
