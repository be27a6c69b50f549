//! Blobs by digest, on disk within a size: what was fetched once need not be fetched again.
//!
//! Small ones stay in memory alone, and only the last few: to write each to the disk costs more than to fetch it.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use commonweal_core::Digest;
use commonweal_disk::file::FileError;

use crate::folder::{NodeFolder, create_private_folder};

/// A folder of blobs. What is longest unused goes first.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    most_bytes: u64,
    small: Mutex<VecDeque<(Digest, Vec<u8>)>>,
}

/// Bytes up to which a blob is small.
const SMALL_BYTES: usize = 1 << 20;

/// Small blobs that are kept.
const MOST_SMALL: usize = 4;

impl Cache {
    /// The cache of a node, of at most `most_mb` megabytes.
    pub(crate) fn of(folder: &NodeFolder, most_mb: u64) -> Self {
        Self {
            folder: folder.cache(),
            most_bytes: most_mb.saturating_mul(1 << 20),
            small: Mutex::default(),
        }
    }

    /// The bytes under `name`; the caller knows whether they are the right ones.
    pub(crate) fn read(&self, name: &Digest) -> Option<Vec<u8>> {
        if let Some((_, bytes)) = self.small().iter().find(|(own, _)| own == name) {
            return Some(bytes.clone());
        }
        let path = self.path(name);
        let bytes = fs::read(&path).ok()?;
        // A blob that cannot be marked as used goes earlier; nothing is lost.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Forgets what is under `name`.
    pub(crate) fn remove(&self, name: &Digest) {
        self.small().retain(|(own, _)| own != name);
        let _ = fs::remove_file(self.path(name));
    }

    /// Keeps `bytes`, if there is room for them at all.
    pub(crate) fn write(&self, name: &Digest, bytes: &[u8]) -> Result<(), FileError> {
        if bytes.len() <= SMALL_BYTES {
            let mut small = self.small();
            small.push_back((*name, bytes.to_vec()));
            if small.len() > MOST_SMALL {
                small.pop_front();
            }
            return Ok(());
        }
        if bytes.len() as u64 > self.most_bytes {
            return Ok(());
        }
        create_private_folder(&self.folder)?;
        self.make_room(bytes.len() as u64);
        let path = self.path(name);
        let unfinished = path.with_extension("unfinished");
        // Not synced: after a power failure the digest tells that it must be fetched again.
        fs::write(&unfinished, bytes)
            .and_then(|()| fs::rename(&unfinished, &path))
            .map_err(|error| FileError::of(&path, error))
    }

    fn small(&self) -> MutexGuard<'_, VecDeque<(Digest, Vec<u8>)>> {
        self.small.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_room(&self, wanted: u64) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| {
                let meta = entry.metadata().ok()?;
                Some((meta.modified().ok()?, meta.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut used: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if used.saturating_add(wanted) <= self.most_bytes {
                return;
            }
            if fs::remove_file(path).is_ok() {
                used -= bytes;
            }
        }
    }

    fn path(&self, name: &Digest) -> PathBuf {
        let text = name.to_string();
        self.folder.join(text.trim_start_matches("sha256:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longest_unused_goes_when_there_is_no_room() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::of(&NodeFolder::at(temporary.path()), 5);
        let [a, b, c] = [b"a", b"b", b"c"].map(|name| Digest::of(name));
        let half = vec![7; 5 << 19];
        cache.write(&a, &half).unwrap();
        cache.write(&b, &half).unwrap();
        let old = SystemTime::UNIX_EPOCH;
        fs::File::open(cache.path(&b))
            .unwrap()
            .set_modified(old)
            .unwrap();
        assert!(cache.read(&a).is_some());
        cache.write(&c, &half).unwrap();
        assert_eq!(cache.read(&b), None);
        assert!(cache.read(&a).is_some() && cache.read(&c).is_some());
    }

    #[test]
    fn what_never_fits_is_not_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::of(&NodeFolder::at(temporary.path()), 0);
        let name = Digest::of(b"a");
        cache.write(&name, &vec![1; SMALL_BYTES + 1]).unwrap();
        assert_eq!(cache.read(&name), None);
    }

    #[test]
    fn small_blobs_never_reach_the_disk_and_the_last_are_there() {
        let temporary = tempfile::tempdir().unwrap();
        let cache = Cache::of(&NodeFolder::at(temporary.path()), 1);
        let names: Vec<Digest> = (0..=MOST_SMALL)
            .map(|byte| Digest::of(&[byte as u8]))
            .collect();
        for name in &names {
            cache.write(name, name.as_bytes()).unwrap();
        }
        assert_eq!(cache.read(&names[0]), None);
        for name in &names[1..] {
            assert_eq!(cache.read(name), Some(name.as_bytes().to_vec()));
        }
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}
