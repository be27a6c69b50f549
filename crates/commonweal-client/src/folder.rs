//! The node's directory: where everything lies that a node keeps.
//!
//! Only files are known here, not what is in them. A lock sees to it that one process at a time is the node.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use commonweal_disk::file::FileError;

/// Where it is unless somebody says otherwise.
pub const DEFAULT_FOLDER: &str = "commonweal-node";

/// Paths within a node's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFolder(PathBuf);

/// Holds the node's directory for one process; let go when dropped, and when the process dies.
#[derive(Debug)]
pub struct FolderLock(
    #[expect(dead_code, reason = "the lock lives as long as its file is open")] File,
);

/// Why a directory cannot be a node's.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process is this node.
    #[error(
        "{} is in use by another process: one directory is one node; stop the other `commonweal node run` first",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl NodeFolder {
    /// The directory at `path`, which need not exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the owner says: data sets, consent, limits.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.0.join("node.toml")
    }

    /// The node's secret key, for its owner's eyes.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.0.join("node.key")
    }

    /// Which server the node joined, and how it knows it.
    #[must_use]
    pub fn server(&self) -> PathBuf {
        self.0.join("server.toml")
    }

    /// The chain of records.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.0.join("record.jsonl")
    }

    /// Where the chain of records ends.
    #[must_use]
    pub fn record_head(&self) -> PathBuf {
        self.0.join("record.head")
    }

    /// What a running node says of itself.
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// Runs that asked for consent.
    #[must_use]
    pub fn requests(&self) -> PathBuf {
        self.0.join("requests")
    }

    /// Client states by run.
    #[must_use]
    pub fn states(&self) -> PathBuf {
        self.0.join("states")
    }

    /// Blobs by digest.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// Makes the directory, closed to others.
    pub(crate) fn create(&self) -> Result<(), FileError> {
        create_private_folder(&self.0)
    }

    /// Removes what is bound to one federation: what its runs asked and were told, their states and their models.
    pub(crate) fn forget_runs(&self) -> Result<(), FileError> {
        for path in [self.requests(), self.states(), self.cache()] {
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FileError::of(&path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes this process the node.
    ///
    /// # Errors
    /// [`FolderError::InUse`].
    pub fn lock(&self) -> Result<FolderLock, FolderError> {
        let path = self.0.join("node.lock");
        let of = |error| FileError::of(&path, error);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(of)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock(file)),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse {
                path: self.0.clone(),
            }),
            Err(TryLockError::Error(error)) => Err(of(error).into()),
        }
    }
}

/// Makes a folder that only its owner can enter. One that exists is left as it is.
pub(crate) fn create_private_folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(|error| FileError::of(path, error))
}

/// Writes a new file that only its owner can read, whole or not at all; an old one is replaced.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        // A temporary file is its owner's alone from the moment it exists.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| FileError::of(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_process_at_a_time() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = NodeFolder::at(temporary.path());
        let held = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(FolderError::InUse { .. })));
        drop(held);
        assert!(folder.lock().is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_its_owners_alone_even_where_another_was() {
        use std::os::unix::fs::PermissionsExt as _;

        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("node.key");
        fs::write(&path, "for everybody").unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
