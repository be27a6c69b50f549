//! Blobs of the server: fetched once, whole, and known by their digest.

use bytes::BytesMut;
use commonweal_core::{Digest, Prepared};
use commonweal_wire::path;
use tokio::sync::Notify;

use crate::backoff::{Backoff, Pace};
use crate::cache::Cache;
use crate::connection::{CallError, Connection};

/// Largest manifest or record of what `prepare` found.
const LONGEST_TEXT: usize = 256 << 20;

/// Fetches blobs through the cache.
#[derive(Debug)]
pub(crate) struct Blobs<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) cache: &'a Cache,
    pub(crate) pace: Pace,
    /// Wakes a download from a connection that is no more.
    pub(crate) reconnected: &'a Notify,
}

impl Blobs<'_> {
    /// The bytes whose SHA-256 is `digest`, at most `longest`.
    pub(crate) async fn bytes(
        &self,
        digest: &Digest,
        longest: usize,
    ) -> Result<Vec<u8>, CallError> {
        let is_right = |bytes: &[u8]| Digest::of(bytes) == *digest;
        if let Some(bytes) = self.cache.read(digest) {
            if is_right(&bytes) {
                return Ok(bytes);
            }
            self.cache.remove(digest);
        }
        let bytes = self.download(digest, longest).await?;
        if !is_right(&bytes) {
            return Err(CallError::OtherBytes { digest: *digest });
        }
        if let Err(error) = self.cache.write(digest, &bytes) {
            tracing::warn!("the cache cannot be written: {error}");
        }
        Ok(bytes.into())
    }

    /// A manifest.
    pub(crate) async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, CallError> {
        self.bytes(digest, LONGEST_TEXT).await
    }

    /// What `prepare` found: a blob that says what the tasks are bound to.
    pub(crate) async fn prepared(
        &self,
        blob: &Digest,
        found: &Digest,
    ) -> Result<Prepared, CallError> {
        let bytes = self.bytes(blob, LONGEST_TEXT).await?;
        let prepared: Option<Prepared> = serde_json::from_slice(&bytes).ok();
        prepared
            .filter(|prepared| prepared.digest() == *found)
            .ok_or(CallError::OtherBytes { digest: *found })
    }

    /// Goes on where a download broke off.
    async fn download(&self, digest: &Digest, longest: usize) -> Result<BytesMut, CallError> {
        let target = path::blob(digest);
        let mut held = BytesMut::new();
        let mut backoff = Backoff::new(self.pace);
        loop {
            let before = held.len();
            let silence = self.pace.silence;
            let call = (self.connection).get_bytes(&target, &mut held, longest, silence);
            let result = tokio::select! {
                result = call => result,
                () = self.reconnected.notified() => Err(self.connection.lost()),
            };
            match result {
                Ok(()) => return Ok(held),
                Err(error) if error.is_passing() => {
                    if held.len() > before {
                        backoff.reset();
                    }
                    tracing::debug!("{digest} broke off at byte {}: {error}", held.len());
                    tokio::time::sleep(backoff.next()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}
