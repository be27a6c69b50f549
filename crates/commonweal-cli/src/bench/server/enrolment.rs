//! Enrols the scripted nodes, and makes a researcher's key, in the store of a server: each node by an invitation of its
//! own, as real nodes join, without the network.

use std::path::Path;

use commonweal_core::{ClientName, Digest};
use commonweal_server::store::{ApiKey, Enrolment, Invitation, Role, Store};

use super::error::LoadError;
use super::node;

/// The researcher's key: no secret, since its server ends with the measurement.
const KEY: &str = "key-of-a-measurement";
/// When all of this happens, which no figure depends on.
const AT_MS: u64 = 0;

/// Enrols the nodes numbered below `nodes` in a data directory; a researcher's key.
///
/// # Errors
/// [`LoadError::Store`].
pub(super) async fn enrol(
    folder: &Path,
    nodes: usize,
    data: &'static str,
) -> Result<String, LoadError> {
    let store = Store::open(folder).await?;
    let invitations = (0..nodes).map(invitation).collect::<Result<Vec<_>, _>>()?;
    store.invitations().add(&invitations).await?;
    for number in 0..nodes {
        let enrolment = Enrolment {
            token: token(number),
            key: node::key(number).public(),
            name: client_name(number)?,
            statement: node::statement(data),
            waits_for_approval: false,
            at_ms: AT_MS,
        };
        let joined = store.invitations().join(enrolment).await;
        joined.map_err(|error| LoadError::Enrolment(error.to_string()))?;
    }
    let key = ApiKey {
        name: "bench".to_owned(),
        role: Role::Researcher,
        digest: Digest::of(KEY.as_bytes()),
        created_at_ms: AT_MS,
        revoked_at_ms: None,
    };
    store.keys().add(&key).await?;
    store.close().await;
    Ok(KEY.to_owned())
}

fn invitation(number: usize) -> Result<Invitation, LoadError> {
    Ok(Invitation {
        token: token(number),
        name: Some(client_name(number)?),
        created_at_ms: AT_MS,
        expires_at_ms: u64::MAX >> 1,
        used: None,
    })
}

fn token(number: usize) -> Digest {
    Digest::of(format!("token of {}", node::name(number)).as_bytes())
}

fn client_name(number: usize) -> Result<ClientName, LoadError> {
    let name = ClientName::try_from(node::name(number));
    name.map_err(|error| LoadError::Enrolment(error.to_string()))
}
