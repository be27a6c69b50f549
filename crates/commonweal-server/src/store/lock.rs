//! Locks of a data directory, which end with their process, however that ends: one server, and one who opens.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::{StoreError, create_private_folder};

const LOCK: &str = "server.lock";
/// Held while a store is opened: a server and a command may begin at once, and each would make the tables.
const OPENING: &str = "open.lock";

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
        let (file, path) = open(folder, LOCK)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Served {
                path: folder.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(StoreError::of_file(&path, source)),
        }
    }
}

/// Waits for the turn to open the store of a folder, which is made if it is not there.
pub(super) fn wait(folder: &Path) -> Result<File, StoreError> {
    let (file, path) = open(folder, OPENING)?;
    let locked = file.lock();
    locked.map_err(|source| StoreError::of_file(&path, source))?;
    Ok(file)
}

fn open(folder: &Path, name: &str) -> Result<(File, PathBuf), StoreError> {
    create_private_folder(folder).map_err(|source| StoreError::of_file(folder, source))?;
    let path = folder.join(name);
    match File::options().create(true).append(true).open(&path) {
        Ok(file) => Ok((file, path)),
        Err(source) => Err(StoreError::of_file(&path, source)),
    }
}
