//! Client states between rounds, on disk: an append-only log and an index of a few bytes a client.
//!
//! A trained client's new state is appended at once, and becomes the client's state only when its round
//! is committed and the update was counted. A checkpoint holds the index and the length of the log: what
//! is appended afterwards belongs to no checkpoint and is cut off on resuming.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use commonweal_core::{ClientIndex, ClientState, Digest};
use commonweal_disk::file::FileError;

use crate::checkpoint::Checkpoint;

/// Bytes of abandoned records that a log may hold before it is written anew.
const GARBAGE_BYTES: u64 = 64 << 20;
const ENTRY_BYTES: usize = 4 + 8 + 8 + 2 + 8;
const MARK_BYTES: usize = 16;

/// The states of all clients of one run.
#[derive(Debug)]
pub struct StateStore {
    inner: Mutex<Inner>,
}

/// A state that is on disk and not yet the client's.
#[derive(Clone, Copy, Debug)]
pub struct StagedState(Option<Record>);

/// Why the states of a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The log is shorter than the checkpoint says, or gone.
    #[error("the client states of this checkpoint are not in {}", path.display())]
    Lost {
        /// The log.
        path: PathBuf,
    },
    /// The index cannot be read.
    #[error("the index of client states is damaged")]
    Index,
    /// A record is not what was written.
    #[error("the state of client number {client} in {} is damaged", path.display())]
    Record {
        /// Position of the client in its population.
        client: u32,
        /// The log.
        path: PathBuf,
    },
    /// The log cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Debug)]
struct Inner {
    /// None: states go to a file without a name that vanishes with the run.
    folder: Option<PathBuf>,
    generation: u64,
    log: Option<File>,
    length: u64,
    live: u64,
    index: HashMap<u32, Record>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    offset: u64,
    length: u64,
    version: u16,
    check: u64,
}

impl StateStore {
    /// No client has a state yet. The log is made in `folder` when the first one has.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        let inner = Inner {
            folder,
            generation: 0,
            log: None,
            length: 0,
            live: 0,
            index: HashMap::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// The states as they were when [`StateStore::mark`] gave `mark`.
    ///
    /// # Errors
    /// [`StateError`] if the log does not hold them any more.
    pub fn restore(folder: PathBuf, mark: &[u8]) -> Result<Self, StateError> {
        let store = Self::look(folder, mark)?;
        {
            let mut inner = store.lock();
            let length = inner.length;
            inner.open_at(length, true)?;
        }
        Ok(store)
    }

    /// As [`StateStore::restore`], but only to be looked at: the log is neither cut nor written.
    ///
    /// # Errors
    /// [`StateError`] if the log does not hold them any more.
    pub fn look(folder: PathBuf, mark: &[u8]) -> Result<Self, StateError> {
        let (generation, length, index) = parse_mark(mark).ok_or(StateError::Index)?;
        let store = Self::new(Some(folder));
        {
            let mut inner = store.lock();
            inner.generation = generation;
            inner.live = index.values().map(|record| record.length).sum();
            inner.index = index;
            inner.open_at(length, false)?;
        }
        Ok(store)
    }

    /// The state of a client; empty before its first counted round.
    ///
    /// # Errors
    /// [`StateError`] if the log cannot be read.
    pub fn load(&self, client: ClientIndex) -> Result<ClientState, StateError> {
        let mut inner = self.lock();
        match inner.index.get(&client.0).copied() {
            None => Ok(ClientState::default()),
            Some(record) => inner.read(client.0, record),
        }
    }

    /// Whether no client has a state, so that loading one is free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().index.is_empty()
    }

    /// Puts a new state on disk, to be committed or forgotten. One without bytes is none.
    ///
    /// # Errors
    /// [`FileError`], such as on a full disk.
    pub fn stage(&self, state: &ClientState) -> Result<StagedState, FileError> {
        if state.bytes.is_empty() {
            return Ok(StagedState(None));
        }
        self.lock()
            .append(state)
            .map(|record| StagedState(Some(record)))
    }

    /// Makes staged states those of their clients: the updates that came with them were counted.
    pub fn commit(&self, counted: impl IntoIterator<Item = (ClientIndex, StagedState)>) {
        let mut inner = self.lock();
        for (client, staged) in counted {
            let old = match staged.0 {
                Some(record) => {
                    inner.live += record.length;
                    inner.index.insert(client.0, record)
                }
                None => inner.index.remove(&client.0),
            };
            inner.live -= old.map_or(0, |record| record.length);
        }
    }

    /// Brings everything to the disk and tells what a checkpoint must hold to find it again.
    ///
    /// # Errors
    /// [`StateError`], such as on a full disk.
    pub fn mark(&self) -> Result<Vec<u8>, StateError> {
        let mut inner = self.lock();
        if inner.length - inner.live > GARBAGE_BYTES.max(inner.live) {
            inner.compact()?;
        }
        inner.sync()?;
        let mut mark = Vec::with_capacity(MARK_BYTES + inner.index.len() * ENTRY_BYTES);
        mark.extend_from_slice(&inner.generation.to_le_bytes());
        mark.extend_from_slice(&inner.length.to_le_bytes());
        for (client, record) in inner.sorted() {
            mark.extend_from_slice(&client.to_le_bytes());
            mark.extend_from_slice(&record.offset.to_le_bytes());
            mark.extend_from_slice(&record.length.to_le_bytes());
            mark.extend_from_slice(&record.version.to_le_bytes());
            mark.extend_from_slice(&record.check.to_le_bytes());
        }
        Ok(mark)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn path(&self) -> PathBuf {
        log_path(
            self.folder.as_deref().unwrap_or(Path::new("")),
            self.generation,
        )
    }

    fn sorted(&self) -> Vec<(u32, Record)> {
        let mut entries: Vec<_> = self
            .index
            .iter()
            .map(|(&client, &record)| (client, record))
            .collect();
        entries.sort_unstable_by_key(|entry| entry.0);
        entries
    }

    /// The next generation without a log: one of a later checkpoint may lie there.
    fn free_generation(&self) -> u64 {
        let is_taken = |generation| {
            let folder = self.folder.as_deref();
            folder.is_some_and(|folder| log_path(folder, generation).exists())
        };
        let mut generation = self.generation + 1;
        while is_taken(generation) {
            generation += 1;
        }
        generation
    }

    /// Opens the log at `length`; one that is to be written is cut there.
    fn open_at(&mut self, length: u64, is_written: bool) -> Result<(), StateError> {
        if length == 0 {
            return Ok(());
        }
        let path = self.path();
        let lost = || StateError::Lost { path: path.clone() };
        let log = OpenOptions::new()
            .read(true)
            .write(is_written)
            .open(&path)
            .map_err(|_| lost())?;
        let found = log
            .metadata()
            .map_err(|error| FileError::of(&path, error))?
            .len();
        if found < length {
            return Err(lost());
        }
        if is_written {
            log.set_len(length)
                .map_err(|error| FileError::of(&path, error))?;
        }
        self.log = Some(log);
        self.length = length;
        Ok(())
    }

    fn read(&mut self, client: u32, record: Record) -> Result<ClientState, StateError> {
        if record.length == 0 {
            // A log without a byte need not exist.
            let (version, bytes) = (record.version, Vec::new());
            return Ok(ClientState { version, bytes });
        }
        let path = self.path();
        let damaged = || StateError::Record {
            client,
            path: path.clone(),
        };
        let log = self.log.as_mut().ok_or_else(damaged)?;
        let mut bytes = vec![0; record.length as usize];
        log.seek(SeekFrom::Start(record.offset))
            .and_then(|_| log.read_exact(&mut bytes))
            .map_err(|error| FileError::of(&path, error))?;
        if check(&bytes) != record.check {
            return Err(damaged());
        }
        Ok(ClientState {
            version: record.version,
            bytes,
        })
    }

    fn append(&mut self, state: &ClientState) -> Result<Record, FileError> {
        let record = Record {
            offset: self.length,
            length: state.bytes.len() as u64,
            version: state.version,
            check: check(&state.bytes),
        };
        let path = self.path();
        self.write(&state.bytes)
            .map_err(|error| FileError::of(&path, error))?;
        self.length += record.length;
        Ok(record)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let log = match &mut self.log {
            Some(log) => log,
            None => {
                let log = match &self.folder {
                    Some(folder) => create_log(folder, self.generation)?,
                    None => tempfile::tempfile()?,
                };
                self.log.insert(log)
            }
        };
        log.seek(SeekFrom::Start(self.length))?;
        log.write_all(bytes)
    }

    fn sync(&mut self) -> Result<(), FileError> {
        match &self.log {
            Some(log) => log
                .sync_data()
                .map_err(|error| FileError::of(&self.path(), error)),
            None => Ok(()),
        }
    }

    /// Copies the live records to a new log. The log before it stays for the checkpoints of before, and so
    /// do all that a kept checkpoint names; the others are needed no more.
    fn compact(&mut self) -> Result<(), StateError> {
        let mut next = Self {
            folder: self.folder.clone(),
            generation: self.free_generation(),
            log: None,
            length: 0,
            live: self.live,
            index: HashMap::with_capacity(self.index.len()),
        };
        for (client, record) in self.sorted() {
            let state = self.read(client, record)?;
            let record = next.append(&state)?;
            next.index.insert(client, record);
        }
        if let Some(folder) = &self.folder {
            let mut needed = named_generations(folder)?;
            needed.extend([self.generation, next.generation]);
            for (_, log) in logs(folder)?
                .into_iter()
                .filter(|(generation, _)| !needed.contains(generation))
            {
                // A log that stays for want of permission only costs room.
                let _ = fs::remove_file(log);
            }
        }
        *self = next;
        Ok(())
    }
}

/// Generations of the logs that the checkpoints in `folder` refer to. A damaged one refers to none.
fn named_generations(folder: &Path) -> Result<BTreeSet<u64>, FileError> {
    let checkpoints = files(folder)?
        .into_iter()
        .filter(|(name, _)| name.ends_with(".checkpoint"));
    let marks = checkpoints.filter_map(|(_, path)| Some(Checkpoint::read(&path).ok()?.states));
    Ok(marks
        .filter_map(|mark| mark.first_chunk().map(|first| u64::from_le_bytes(*first)))
        .collect())
}

/// The logs in `folder` with their generations.
fn logs(folder: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let generation = |name: &str| {
        let number = name.strip_prefix("states-")?.strip_suffix(".log")?;
        number.parse().ok()
    };
    Ok(files(folder)?
        .into_iter()
        .filter_map(|(name, path)| Some((generation(&name)?, path)))
        .collect())
}

fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, FileError> {
    let entries = fs::read_dir(folder).map_err(|error| FileError::of(folder, error))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .collect())
}

fn log_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("states-{generation:04}.log"))
}

fn create_log(folder: &Path, generation: u64) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let path = log_path(folder, generation);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
}

/// The first 8 bytes of the SHA-256.
fn check(bytes: &[u8]) -> u64 {
    let digest = Digest::of(bytes);
    digest
        .as_bytes()
        .first_chunk()
        .map_or(0, |first| u64::from_le_bytes(*first))
}

fn parse_mark(mark: &[u8]) -> Option<(u64, u64, HashMap<u32, Record>)> {
    let (generation, rest) = mark.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (generation, length) = (u64::from_le_bytes(*generation), u64::from_le_bytes(*length));
    let entries = rest.chunks_exact(ENTRY_BYTES);
    if !entries.remainder().is_empty() {
        return None;
    }
    let index: Option<HashMap<u32, Record>> = entries
        .map(|entry| {
            let (client, entry) = entry.split_first_chunk()?;
            let (offset, entry) = entry.split_first_chunk()?;
            let (bytes, entry) = entry.split_first_chunk()?;
            let (version, check) = entry.split_first_chunk()?;
            let record = Record {
                offset: u64::from_le_bytes(*offset),
                length: u64::from_le_bytes(*bytes),
                version: u16::from_le_bytes(*version),
                check: u64::from_le_bytes(*check.first_chunk()?),
            };
            let end = record.offset.checked_add(record.length)?;
            (end <= length).then_some((u32::from_le_bytes(*client), record))
        })
        .collect();
    Some((generation, length, index?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Header;
    use commonweal_disk::file;

    fn state(byte: u8, length: usize) -> ClientState {
        ClientState {
            version: 1,
            bytes: vec![byte; length],
        }
    }

    fn client(number: u32) -> ClientIndex {
        ClientIndex(number)
    }

    #[test]
    fn a_state_advances_only_if_it_is_committed() {
        let store = StateStore::new(None);
        let staged = store.stage(&state(1, 10)).unwrap();
        assert_eq!(store.load(client(7)).unwrap(), ClientState::default());
        store.commit([(client(7), staged)]);
        assert_eq!(store.load(client(7)).unwrap(), state(1, 10));
        store.stage(&state(2, 10)).unwrap();
        assert_eq!(store.load(client(7)).unwrap(), state(1, 10));
    }

    #[test]
    fn a_state_without_bytes_takes_no_room_and_ends_the_one_before() {
        let store = StateStore::new(None);
        let empty = store.stage(&state(1, 0)).unwrap();
        store.commit([(client(7), empty)]);
        assert!(store.is_empty());
        let kept = store.stage(&state(1, 10)).unwrap();
        store.commit([(client(7), kept)]);
        store.commit([(client(7), empty)]);
        assert!(store.is_empty());
    }

    #[test]
    fn a_restored_store_knows_what_its_checkpoint_knew_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::new(Some(folder.path().to_path_buf()));
        for number in 0..5 {
            let staged = store.stage(&state(number, 100)).unwrap();
            store.commit([(client(u32::from(number)), staged)]);
        }
        let mark = store.mark().unwrap();
        let later = store.stage(&state(9, 100)).unwrap();
        store.commit([(client(0), later)]);
        drop(store);

        let store = StateStore::restore(folder.path().to_path_buf(), &mark).unwrap();
        assert_eq!(store.load(client(0)).unwrap(), state(0, 100));
        assert_eq!(store.load(client(5)).unwrap(), ClientState::default());
        let staged = store.stage(&state(6, 50)).unwrap();
        store.commit([(client(5), staged)]);
        assert_eq!(store.load(client(5)).unwrap(), state(6, 50));
        assert_eq!(store.load(client(4)).unwrap(), state(4, 100));
    }

    #[test]
    fn a_log_of_mostly_old_states_is_written_anew_and_the_last_checkpoint_still_holds() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::new(Some(folder.path().to_path_buf()));
        let before = {
            let staged = store.stage(&state(3, 1000)).unwrap();
            store.commit([(client(3), staged)]);
            store.mark().unwrap()
        };
        for round in 0..80 {
            let staged = store.stage(&state(round, 1 << 20)).unwrap();
            store.commit([(client(1), staged)]);
        }
        let after = store.mark().unwrap();
        drop(store);
        let log = fs::metadata(log_path(folder.path(), 1)).unwrap();
        assert_eq!(log.len(), (1 << 20) + 1000);
        for (mark, expected) in [
            (after, state(79, 1 << 20)),
            (before, ClientState::default()),
        ] {
            let store = StateStore::restore(folder.path().to_path_buf(), &mark).unwrap();
            assert_eq!(store.load(client(1)).unwrap(), expected);
            assert_eq!(store.load(client(3)).unwrap(), state(3, 1000));
        }
    }

    #[test]
    fn a_log_that_a_kept_checkpoint_names_outlives_any_number_of_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::new(Some(folder.path().to_path_buf()));
        let grow = |byte| {
            let staged = store.stage(&state(byte, 1 << 20)).unwrap();
            store.commit([(client(1), staged)]);
        };
        let mut marks = Vec::new();
        for compaction in 0..3 {
            for _ in 0..66 {
                grow(compaction);
            }
            marks.push(store.mark().unwrap());
            if compaction == 0 {
                let header = Header {
                    simulation: String::new(),
                    round: 5,
                    seconds_train: 0.0,
                    seconds_evaluate: 0.0,
                    metrics: [].into(),
                };
                let (run, states) = (Vec::new(), marks[0].clone());
                let kept = Checkpoint {
                    header,
                    run,
                    states,
                };
                kept.write(&folder.path().join("round-000005.checkpoint"))
                    .unwrap();
            }
        }
        for (mark, byte) in [(0, 0), (2, 2)] {
            let store = StateStore::look(folder.path().to_path_buf(), &marks[mark]).unwrap();
            assert_eq!(store.load(client(1)).unwrap(), state(byte, 1 << 20));
        }
        let left = [0, 1, 2, 3].map(|generation| log_path(folder.path(), generation).exists());
        assert_eq!(left, [false, true, true, true]);
    }

    #[test]
    fn a_damaged_or_missing_log_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let store = StateStore::new(Some(folder.path().to_path_buf()));
        let staged = store.stage(&state(3, 10)).unwrap();
        store.commit([(client(3), staged)]);
        let mark = store.mark().unwrap();
        let path = log_path(folder.path(), 0);
        let restore = || StateStore::restore(folder.path().to_path_buf(), &mark);
        file::write_bytes(&path, &[9; 10]).unwrap();
        assert!(matches!(
            restore().unwrap().load(client(3)),
            Err(StateError::Record { .. })
        ));
        file::write_bytes(&path, &[3; 9]).unwrap();
        assert!(matches!(restore(), Err(StateError::Lost { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(restore(), Err(StateError::Lost { .. })));
        assert!(StateStore::restore(folder.path().to_path_buf(), &mark[..20]).is_err());
    }
}
