//! Invitations: secrets of which the digest is kept, each good for one key.

use commonweal_core::{ClientName, Digest};
use commonweal_wire::{KeyId, PublicKey, proto};
use prost::Message as _;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row, Sqlite, Transaction};

use super::database::Database;
use super::row::{digest, maybe_number, name, number, parsed};
use super::{Node, NodeState, StoreError};

/// What lets one node in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Digest of the token.
    pub token: Digest,
    /// The name that whoever joins will have; without one, they choose.
    pub name: Option<ClientName>,
    /// Milliseconds since 1970, UTC.
    pub created_at_ms: u64,
    /// From then on it lets nobody in.
    pub expires_at_ms: u64,
    /// Who joined with it, and when.
    pub used: Option<(KeyId, u64)>,
}

/// A node that asks to be let in.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolment {
    /// Digest of the token that it brings.
    pub token: Digest,
    /// Its key, with which it has signed.
    pub key: PublicKey,
    /// The name that it asks for.
    pub name: ClientName,
    /// What it says of itself.
    pub statement: proto::Statement,
    /// Whether its key has to be approved before anything else.
    pub waits_for_approval: bool,
    /// Now.
    pub at_ms: u64,
}

/// Why a node was not let in.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// No such token was ever given out.
    #[error("the invitation is unknown: ask the server's administrator for a new join string")]
    Unknown,
    /// Another key has joined with it.
    #[error("the invitation was used before: ask the server's administrator for a new join string")]
    Used,
    /// Too late.
    #[error("the invitation has expired: ask the server's administrator for a new join string")]
    Expired,
    /// Another node has that name.
    #[error(
        "a node called {name} is enrolled already: join under another name, or let the administrator revoke that \
         node first"
    )]
    NameTaken {
        /// The name.
        name: ClientName,
    },
    /// The key joined before, with another invitation.
    #[error("this key is known as {name}, {}: leave first, which makes a new key", state.as_str())]
    KeyKnown {
        /// The name under which it joined.
        name: ClientName,
        /// Whether it may still take part.
        state: NodeState,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The invitations of a store.
pub struct Invitations<'a>(pub(super) &'a Database);

impl Invitations<'_> {
    /// Adds invitations, all or none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add(&self, invitations: &[Invitation]) -> Result<(), StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        let written = async {
            let mut write = sqlite.write().await?;
            for invitation in invitations {
                sqlx::query(
                    "INSERT INTO invitations (token, name, created_at_ms, expires_at_ms) VALUES ($1, $2, $3, $4)",
                )
                .bind(&invitation.token.as_bytes()[..])
                .bind(invitation.name.as_ref().map(ClientName::to_string))
                .bind(invitation.created_at_ms.cast_signed())
                .bind(invitation.expires_at_ms.cast_signed())
                .execute(&mut *write)
                .await?;
            }
            write.commit().await
        };
        self.0.told(written.await)
    }

    /// All of them, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self) -> Result<Vec<Invitation>, StoreError> {
        let Database::Sqlite(sqlite) = self.0;
        sqlx::query_as("SELECT * FROM invitations ORDER BY created_at_ms DESC, name")
            .fetch_all(&sqlite.readers)
            .await
            .map_err(|error| self.0.blame(error))
    }

    /// Lets a node in and uses up its invitation, in one transaction. The same key with the same token gets the same
    /// answer again, for the first one may have been lost on its way.
    ///
    /// The token is found by its digest, so that the time it takes tells nothing of a token that exists.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(&self, enrolment: Enrolment) -> Result<Node, JoinError> {
        let Database::Sqlite(sqlite) = self.0;
        let joined = async {
            let mut write = sqlite.write().await?;
            let node = match admit(&mut write, &enrolment).await? {
                Ok(node) => node,
                Err(refusal) => return Ok(Err(refusal)),
            };
            write.commit().await?;
            Ok(Ok(node))
        };
        joined.await.map_err(|error| self.0.blame(error))?
    }
}

async fn admit(
    write: &mut Transaction<'static, Sqlite>,
    enrolment: &Enrolment,
) -> sqlx::Result<Result<Node, JoinError>> {
    let key = enrolment.key.id();
    let known: Option<Node> = sqlx::query_as("SELECT * FROM nodes WHERE key = $1")
        .bind(key.to_string())
        .fetch_optional(&mut **write)
        .await?;
    let invitation: Option<Invitation> =
        sqlx::query_as("SELECT * FROM invitations WHERE token = $1")
            .bind(&enrolment.token.as_bytes()[..])
            .fetch_optional(&mut **write)
            .await?;
    let Some(invitation) = invitation else {
        return Ok(Err(JoinError::Unknown));
    };
    match (invitation.used, known) {
        (Some((user, _)), Some(node)) if user == key => return Ok(Ok(node)),
        (Some(_), _) => return Ok(Err(JoinError::Used)),
        (None, _) if enrolment.at_ms >= invitation.expires_at_ms => {
            return Ok(Err(JoinError::Expired));
        }
        (None, Some(Node { name, state, .. })) => {
            return Ok(Err(JoinError::KeyKnown { name, state }));
        }
        (None, None) => {}
    }
    let name = invitation.name.unwrap_or_else(|| enrolment.name.clone());
    if is_taken(write, &name).await? {
        return Ok(Err(JoinError::NameTaken { name }));
    }
    let node = Node {
        name,
        key: enrolment.key,
        state: match enrolment.waits_for_approval {
            true => NodeState::Waiting,
            false => NodeState::Enrolled,
        },
        statement: enrolment.statement.clone(),
        joined_at_ms: enrolment.at_ms,
        seen_at_ms: Some(enrolment.at_ms),
    };
    enter(write, &node, &enrolment.token).await?;
    Ok(Ok(node))
}

async fn is_taken(
    write: &mut Transaction<'static, Sqlite>,
    name: &ClientName,
) -> sqlx::Result<bool> {
    sqlx::query("SELECT 1 FROM nodes WHERE name = $1 AND state IN ('waiting', 'enrolled')")
        .bind(name.to_string())
        .fetch_optional(&mut **write)
        .await
        .map(|row| row.is_some())
}

async fn enter(
    write: &mut Transaction<'static, Sqlite>,
    node: &Node,
    token: &Digest,
) -> sqlx::Result<()> {
    let key = node.key.id().to_string();
    sqlx::query(
        "INSERT INTO nodes (key, public_key, name, state, statement, joined_at_ms, seen_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
    )
    .bind(&key)
    .bind(&node.key.to_bytes()[..])
    .bind(node.name.to_string())
    .bind(node.state.as_str())
    .bind(node.statement.encode_to_vec())
    .bind(node.joined_at_ms.cast_signed())
    .execute(&mut **write)
    .await?;
    sqlx::query("UPDATE invitations SET used_by = $1, used_at_ms = $2 WHERE token = $3")
        .bind(&key)
        .bind(node.joined_at_ms.cast_signed())
        .bind(&token.as_bytes()[..])
        .execute(&mut **write)
        .await?;
    Ok(())
}

impl FromRow<'_, SqliteRow> for Invitation {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let is_named = row.try_get::<Option<&str>, _>("name")?.is_some();
        let used_at_ms = maybe_number(row, "used_at_ms")?;
        Ok(Self {
            token: digest(row, "token")?,
            name: is_named.then(|| name(row, "name")).transpose()?,
            created_at_ms: number(row, "created_at_ms")?,
            expires_at_ms: number(row, "expires_at_ms")?,
            used: match used_at_ms {
                Some(at_ms) => Some((parsed(row, "used_by")?, at_ms)),
                None => None,
            },
        })
    }
}
