//! One server on a data directory: a lock that ends with its process, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::{StoreError, create_private_folder};

const LOCK: &str = "server.lock";

/// Held by the one server of a data directory. Commands do not take it.
pub struct ServerLock {
    _file: File,
}

impl ServerLock {
    /// Takes the lock of a data directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Served`] if another process has it.
    pub fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(LOCK);
        let file = create_private_folder(folder)
            .and_then(|()| File::options().create(true).append(true).open(&path))
            .map_err(|source| StoreError::of_file(&path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Served {
                path: folder.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(StoreError::of_file(&path, source)),
        }
    }
}
