//! Backups: one tar file with all that a server cannot make again, taken while it runs, and put back elsewhere.
//!
//! First `commonweal-backup.json`, which says what it is; then the authority, the database and the blobs. The file
//! holds the authority's key: it is as secret as the data directory.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tar::{Archive, Builder};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::Admin;
use crate::authority::{CA_CERTIFICATE, CA_KEY, TLS_CERTIFICATE, TLS_KEY};
use crate::config::CONFIG;
use crate::store::{BLOBS, DATABASE, Store, StoreError, create_private_folder};

const LABEL: &str = "commonweal-backup.json";
const FORMAT: u32 = 1;
/// Files of a data directory besides the database and the blobs.
const FILES: [&str; 5] = [CA_CERTIFICATE, CA_KEY, TLS_CERTIFICATE, TLS_KEY, CONFIG];
/// Where a backup is put together, or taken apart, within a data directory.
const BESIDE: &str = "unfinished-backup-";
/// Held while a backup is put together; ends with its process, however that ends.
const LOCK: &str = "backup.lock";

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// Blobs.
    pub blobs: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Label {
    format: u32,
    version: String,
}

/// Why there is no backup, or nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One backup at a time.
    #[error("another backup of {} is being made: wait for its end", folder.display())]
    Busy {
        /// The data directory.
        folder: PathBuf,
    },
    /// Nothing is overwritten.
    #[error("{} is there already: choose another name", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A backup is put back into an empty folder only.
    #[error("{} is not empty: a backup is restored into a new or empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The file is no backup, or a part of it is missing.
    #[error("{} is no whole backup of a commonweal server: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Written by a later version.
    #[error(
        "{} was written by commonweal {version} in format {found}, this version reads {FORMAT}: restore with that \
         version", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version that wrote it.
        version: String,
        /// Its format.
        found: u32,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The store cannot be copied, or what was put back is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Admin {
    /// Writes all of the data directory to one new file, as it is at one moment. Costs the disk's space for the database
    /// twice until it is done.
    ///
    /// # Errors
    /// [`BackupError::Exists`], [`BackupError::Busy`]; there is otherwise either the whole file or none.
    pub async fn backup(&self, file: &Path) -> Result<BackupSummary, BackupError> {
        let file = file.to_path_buf();
        if file.exists() {
            return Err(BackupError::Exists { path: file });
        }
        let folder = self.config.data_dir.clone();
        let Some(_turn) = turn(&folder)? else {
            return Err(BackupError::Busy { folder });
        };
        sweep(&folder)?;
        let copy = TempDir::with_prefix_in(BESIDE, &folder).map_err(of_file(&folder))?;
        self.store.copy_into(copy.path()).await?;
        let packed = spawn_blocking(move || pack(&folder, copy.path(), &file));
        packed.await.map_err(|_| StoreError::Stopped)?
    }
}

/// Removes what a backup that was killed has left in a data directory, unless one is being made.
///
/// # Errors
/// [`BackupError::File`].
pub(crate) fn sweep_backups(folder: &Path) -> Result<(), BackupError> {
    match turn(folder)? {
        Some(_turn) => sweep(folder),
        None => Ok(()),
    }
}

/// The right to put a backup together; none while another process has it.
fn turn(folder: &Path) -> Result<Option<File>, BackupError> {
    let path = folder.join(LOCK);
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(of_file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(of_file(&path)(error)),
    }
}

fn sweep(folder: &Path) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(folder).map_err(of_file(folder))? {
        let path = entry.map_err(of_file(folder))?.path();
        let is_left = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(BESIDE));
        if is_left && path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(of_file(&path))?;
        }
    }
    Ok(())
}

/// Puts a backup back into a new or empty data directory, and holds every byte of it against its digest.
///
/// # Errors
/// [`BackupError`]; the folder is then as it was.
pub async fn restore(file: &Path, folder: &Path) -> Result<BackupSummary, BackupError> {
    let (file, to) = (file.to_path_buf(), folder.to_path_buf());
    let unpacked = spawn_blocking(move || {
        let is_empty = match std::fs::read_dir(&to) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if !is_empty {
            return Err(BackupError::NotEmpty { path: to });
        }
        create_private_folder(&to).map_err(of_file(&to))?;
        let beside = TempDir::with_prefix_in(BESIDE, &to).map_err(of_file(&to))?;
        let summary = unpack(&file, beside.path())?;
        Ok((beside, summary))
    });
    let (beside, summary) = unpacked.await.map_err(|_| StoreError::Stopped)??;
    let store = Store::open(beside.path()).await?;
    let verified = store.verify().await;
    store.close().await;
    verified?;
    let to = folder.to_path_buf();
    let moved = spawn_blocking(move || put_in_place(beside.path(), &to));
    moved.await.map_err(|_| StoreError::Stopped)??;
    Ok(summary)
}

fn pack(folder: &Path, copy: &Path, file: &Path) -> Result<BackupSummary, BackupError> {
    let at = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // Made with mode 0600.
    let unfinished = tempfile::NamedTempFile::new_in(at).map_err(of_file(file))?;
    let label = serde_json::to_vec(&Label {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    });
    let packed = (|| {
        let mut summary = BackupSummary { blobs: 0, bytes: 0 };
        let mut tar = Builder::new(io::BufWriter::with_capacity(1 << 20, unfinished.as_file()));
        append(&mut tar, LABEL, &label.map_err(io::Error::other)?)?;
        for name in FILES {
            match std::fs::read(folder.join(name)) {
                Ok(bytes) => append(&mut tar, name, &bytes)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        summary.bytes += append_file(&mut tar, DATABASE, &copy.join(DATABASE))?;
        for entry in std::fs::read_dir(copy.join(BLOBS))? {
            let entry = entry?;
            let name = format!("{BLOBS}/{}", entry.file_name().to_string_lossy());
            summary.bytes += append_file(&mut tar, &name, &entry.path())?;
            summary.blobs += 1;
        }
        tar.into_inner()?.flush()?;
        unfinished.as_file().sync_all()?;
        Ok(summary)
    })();
    let summary = packed.map_err(of_file(file))?;
    unfinished
        .persist_noclobber(file)
        .map_err(|error| match error.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists {
                path: file.to_path_buf(),
            },
            _ => of_file(file)(error.error),
        })?;
    File::open(at)
        .and_then(|folder| folder.sync_all())
        .map_err(of_file(file))?;
    Ok(summary)
}

fn append<W: io::Write>(tar: &mut Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    tar.append_data(&mut header(bytes.len() as u64), name, bytes)
}

fn append_file<W: io::Write>(tar: &mut Builder<W>, name: &str, path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    tar.append_data(&mut header(len), name, file)?;
    Ok(len)
}

fn header(len: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(len);
    header.set_mode(0o600);
    header
}

/// Writes the backup's files under the names that a data directory has, and under no others.
fn unpack(file: &Path, folder: &Path) -> Result<BackupSummary, BackupError> {
    let malformed = |what: String| BackupError::Malformed {
        path: file.to_path_buf(),
        what,
    };
    let broken = |error: io::Error| malformed(error.to_string());
    let opened = File::open(file).map_err(of_file(file))?;
    let mut archive = Archive::new(io::BufReader::with_capacity(1 << 20, opened));
    let mut entries = archive.entries().map_err(broken)?;
    let label = entries
        .next()
        .ok_or_else(|| malformed("it is empty".to_owned()))?;
    check_label(file, label.map_err(broken)?)?;
    std::fs::create_dir(folder.join(BLOBS)).map_err(of_file(folder))?;
    let mut summary = BackupSummary { blobs: 0, bytes: 0 };
    let mut has_database = false;
    for entry in entries {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path().map_err(broken)?.to_string_lossy().into_owned();
        let is_blob = is_blob(&name);
        if !is_blob && name != DATABASE && !FILES.contains(&&*name) {
            return Err(malformed(format!("it has the file {name:?}")));
        }
        has_database |= name == DATABASE;
        let written = write_private(&folder.join(&name), &mut entry).map_err(of_file(file))?;
        if is_blob {
            summary.blobs += 1;
        }
        if is_blob || name == DATABASE {
            summary.bytes += written;
        }
    }
    match has_database {
        true => Ok(summary),
        false => Err(malformed("it has no database".to_owned())),
    }
}

fn check_label(file: &Path, mut entry: tar::Entry<'_, impl Read>) -> Result<(), BackupError> {
    let path = file.to_path_buf();
    let mut text = String::new();
    let is_label = entry.path().is_ok_and(|name| name.as_os_str() == LABEL);
    let read = entry.by_ref().take(1 << 16).read_to_string(&mut text);
    let label: Option<Label> = read.ok().and_then(|_| serde_json::from_str(&text).ok());
    match label {
        Some(label) if is_label && label.format == FORMAT => Ok(()),
        Some(label) if is_label => Err(BackupError::Newer {
            path,
            version: label.version,
            found: label.format,
        }),
        _ => Err(BackupError::Malformed {
            path,
            what: format!("it does not begin with {LABEL}"),
        }),
    }
}

fn is_blob(name: &str) -> bool {
    let digits = name
        .strip_prefix(BLOBS)
        .and_then(|rest| rest.strip_prefix('/'));
    digits
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|it| it.is_ascii_hexdigit()))
}

fn write_private(path: &Path, bytes: &mut impl Read) -> io::Result<u64> {
    let mut options = File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = io::copy(bytes, &mut file)?;
    file.sync_all()?;
    Ok(written)
}

/// The database last: without it the folder is no server's.
fn put_in_place(from: &Path, to: &Path) -> Result<(), BackupError> {
    for name in FILES.into_iter().chain([BLOBS, DATABASE]) {
        match std::fs::rename(from.join(name), to.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(of_file(&to.join(name))(error));
            }
            _ => {}
        }
    }
    File::open(to)
        .and_then(|folder| folder.sync_all())
        .map_err(of_file(to))
}

fn of_file(path: &Path) -> impl Fn(io::Error) -> BackupError + use<> {
    let path = path.to_path_buf();
    move |source| BackupError::File {
        path: path.clone(),
        source,
    }
}
