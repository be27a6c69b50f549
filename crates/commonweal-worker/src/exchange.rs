//! The private folder through which large bodies travel, and what is left of the folders of killed runs.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

/// A new private folder, removed with the value.
///
/// It holds a file that is locked as long as the process lives, and no longer, however it ends. So whoever
/// makes the next folder can tell, and remove, those that nobody uses any more.
#[derive(Debug)]
pub(crate) struct Exchange {
    folder: TempDir,
    _lock: File,
}

const PREFIX: &str = "commonweal-worker-";
const LOCK: &str = "lock";

impl Exchange {
    /// A folder for temporary files within `parent`.
    pub(crate) fn within(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Named only once it is locked: another run never finds it free.
        let unnamed = folder.path().join("unlocked");
        let lock = File::create_new(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes folders whose lock is free. Those of other users cannot be opened and stay.
fn remove_abandoned(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_ours || !is_folder {
            continue;
        }
        let lock = File::open(entry.path().join(LOCK));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // Another run may be removing it too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_a_run_that_was_killed_is_removed_by_the_next_and_that_of_a_living_run_is_not()
    {
        let parent = TempDir::new().unwrap();
        let living = Exchange::within(parent.path()).unwrap();
        let killed = parent.path().join(format!("{PREFIX}killed"));
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        fs::write(killed.join("data.safetensors"), "large").unwrap();
        let starting = parent.path().join(format!("{PREFIX}starting"));
        fs::create_dir(&starting).unwrap();

        let next = Exchange::within(parent.path()).unwrap();
        assert!(!killed.exists());
        assert!(living.path().exists() && next.path().exists() && starting.exists());
        let path = next.path().to_owned();
        drop(next);
        assert!(!path.exists());
    }
}
