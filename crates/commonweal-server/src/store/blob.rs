//! Blobs: bytes under their SHA-256. Written whole and synced, or not there.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use commonweal_core::{Digest, DigestWriter};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::task::spawn_blocking;

use super::StoreError;

/// What a [`BlobReader`] reads at once.
const READ_BYTES: u64 = 256 << 10;

/// The blobs of a store. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct Blobs {
    files: Arc<LocalFileSystem>,
    folder: PathBuf,
    /// How often a blob was put and not yet named by a row: those stay, though no row holds them.
    unclaimed: Arc<Mutex<BTreeMap<Digest, u64>>>,
}

/// A part of a blob, read piece by piece.
pub struct BlobReader {
    blobs: Blobs,
    digest: Digest,
    rest: Range<u64>,
}

impl Blobs {
    /// Opens the blobs in `folder`, and makes it.
    pub(super) fn open(folder: PathBuf) -> Result<Self, StoreError> {
        std::fs::create_dir_all(&folder).map_err(|source| StoreError::of_file(&folder, source))?;
        let files = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| of_object_store(&folder, error))?;
        Ok(Self {
            files: Arc::new(files.with_fsync(true)),
            folder,
            unclaimed: Arc::default(),
        })
    }

    /// Writes a blob. One that is there already costs its digest and no write.
    ///
    /// # Errors
    /// [`StoreError`]; there is then no such blob.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, StoreError> {
        let hashed = bytes.clone();
        let digest = spawn_blocking(move || Digest::of(&hashed)).await;
        let digest = digest.map_err(|_| StoreError::Stopped)?;
        self.expect(digest);
        if !self.is_there(&digest, bytes.len() as u64).await? {
            let put = self.files.put(&location(&digest), bytes.into()).await;
            put.map_err(|error| self.blame(&digest, error))?;
        }
        Ok(digest)
    }

    /// Writes a blob of `chunks`, which are made twice, for the digest and for the file, and never all at once: a
    /// model of 100 MB costs the memory of one chunk.
    ///
    /// # Errors
    /// [`StoreError`]; there is then no such blob.
    pub async fn put_chunks<I>(
        &self,
        chunks: impl Fn() -> I + Send + Sync + 'static,
    ) -> Result<Digest, StoreError>
    where
        I: Iterator<Item = Bytes> + Send,
    {
        let hashed = spawn_blocking(move || {
            let mut writer = DigestWriter::default();
            let mut len = 0;
            for chunk in chunks() {
                len += chunk.len() as u64;
                writer.bytes(&chunk);
            }
            (writer.finish(), len, chunks)
        });
        let (digest, len, chunks) = hashed.await.map_err(|_| StoreError::Stopped)?;
        self.expect(digest);
        if !self.is_there(&digest, len).await? {
            let written = self.write(&location(&digest), chunks()).await;
            written.map_err(|error| self.blame(&digest, error))?;
        }
        Ok(digest)
    }

    /// The length of a blob, in bytes.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`].
    pub async fn len(&self, digest: &Digest) -> Result<u64, StoreError> {
        let meta = self.files.head(&location(digest)).await;
        Ok(meta.map_err(|error| self.blame(digest, error))?.size)
    }

    /// A whole blob, held against its digest.
    ///
    /// # Errors
    /// [`StoreError::NoBlob`]; [`StoreError::Damaged`] if its bytes have changed.
    pub async fn fetch(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let read = async { self.files.get(&location(digest)).await?.bytes().await };
        let bytes = read.await.map_err(|error| self.blame(digest, error))?;
        let hashed = bytes.clone();
        let found = spawn_blocking(move || Digest::of(&hashed)).await;
        match found.map_err(|_| StoreError::Stopped)? {
            found if found == *digest => Ok(bytes),
            found => Err(StoreError::Damaged {
                path: self.folder.join(location(digest).as_ref()),
                what: format!("its content has the digest {found}"),
            }),
        }
    }

    /// Reads the bytes `range` of a blob, piece by piece. They are not held against the digest: who gets them does that.
    #[must_use]
    pub fn reader(&self, digest: Digest, range: Range<u64>) -> BlobReader {
        BlobReader {
            blobs: self.clone(),
            digest,
            rest: range,
        }
    }

    /// All blobs.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self) -> Result<Vec<Digest>, StoreError> {
        let listed = self.files.list_with_delimiter(None).await;
        let listed = listed.map_err(|error| of_object_store(&self.folder, error))?;
        let names = listed
            .objects
            .iter()
            .filter_map(|it| it.location.filename());
        Ok(names
            .filter_map(|name| format!("sha256:{name}").parse().ok())
            .collect())
    }

    async fn is_there(&self, digest: &Digest, len: u64) -> Result<bool, StoreError> {
        match self.len(digest).await {
            Ok(found) => Ok(found == len),
            Err(StoreError::NoBlob { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn write(
        &self,
        location: &Location,
        chunks: impl Iterator<Item = Bytes>,
    ) -> object_store::Result<()> {
        let mut upload = self.files.put_multipart(location).await?;
        for chunk in chunks {
            upload.put_part(chunk.into()).await?;
        }
        upload.complete().await.map(drop)
    }

    fn expect(&self, digest: Digest) {
        let mut unclaimed = self
            .unclaimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *unclaimed.entry(digest).or_default() += 1;
    }

    /// A row names the blob now.
    pub(super) fn claim(&self, digest: &Digest) {
        let mut unclaimed = self
            .unclaimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match unclaimed.get_mut(digest) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(unclaimed.remove(digest)),
        }
    }

    /// Removes a blob, unless it was put and waits to be named; says whether it was there and went.
    pub(super) fn remove_unclaimed(&self, digest: &Digest) -> Result<bool, StoreError> {
        // Held until the file is gone: whoever puts the blob in between says so first, and then finds it missing.
        let unclaimed = self
            .unclaimed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if unclaimed.contains_key(digest) {
            return Ok(false);
        }
        let path = self.folder.join(file_name(digest));
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::of_file(&path, error)),
        }
    }

    fn blame(&self, digest: &Digest, error: object_store::Error) -> StoreError {
        match error {
            object_store::Error::NotFound { .. } => StoreError::NoBlob { digest: *digest },
            error => of_object_store(&self.folder.join(location(digest).as_ref()), error),
        }
    }
}

impl BlobReader {
    /// The next piece, none after the last one.
    ///
    /// # Errors
    /// [`StoreError`], also if the blob is shorter than the range.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self
            .rest
            .end
            .min(self.rest.start.saturating_add(READ_BYTES));
        let files = &self.blobs.files;
        let read = files
            .get_range(&location(&self.digest), self.rest.start..end)
            .await;
        let bytes = read.map_err(|error| self.blobs.blame(&self.digest, error))?;
        if bytes.is_empty() {
            let digest = self.digest;
            return Err(StoreError::NoBlob { digest });
        }
        self.rest.start += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

/// A blob's file is called by the digest's 64 digits.
pub(super) fn file_name(digest: &Digest) -> String {
    digest.to_string().trim_start_matches("sha256:").to_owned()
}

fn location(digest: &Digest) -> Location {
    Location::from(file_name(digest))
}

/// The operating system's error, wherever the object store has put it.
fn of_object_store(path: &Path, error: object_store::Error) -> StoreError {
    let mut inner = error.source();
    let mut kind = io::ErrorKind::Other;
    while let Some(found) = inner {
        if let Some(found) = found.downcast_ref::<io::Error>() {
            kind = found.kind();
            break;
        }
        inner = found.source();
    }
    StoreError::of_file(path, io::Error::new(kind, error))
}
