//! Files that are there whole or not at all: written beside their place, synced, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Why a file or folder of a run was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No room. What was there before is untouched.
    #[error(
        "the disk is full: {} was not written; what was saved before is untouched. Free some space, and it can \
         go on from there", path.display()
    )]
    DiskFull {
        /// The file that has no room.
        path: PathBuf,
    },
    /// The user may not write there.
    #[error(
        "no permission to write {}: change its permissions, or run as a user who may", path.display()
    )]
    Denied {
        /// The file or folder.
        path: PathBuf,
    },
    /// The user may not read it.
    #[error("no permission to read {}: change its permissions, or run as a user who may", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
    },
    /// Nothing there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
    },
    /// Anything else that the operating system says.
    #[error("{}: {source}", path.display())]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

impl FileError {
    /// An operating system's error in reading `path`.
    pub fn of_reading(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Unreadable {
                path: path.to_path_buf(),
            },
            _ => Self::of(path, source),
        }
    }

    /// An operating system's error in writing, making or removing `path`.
    pub fn of(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied { path }
            }
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::System { path, source },
        }
    }
}

/// Writes `path` with `fill`, so that a reader or a crash finds the old file or the new one.
///
/// # Errors
/// [`FileError`]; an old file is then untouched and the unfinished one removed.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let unfinished = unfinished(path);
    let result = (|| {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&unfinished)?);
        fill(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_folder(path)
    })();
    result.map_err(|source| {
        // The first error is the one to tell; that the unfinished file stays too harms nobody.
        let _ = fs::remove_file(&unfinished);
        FileError::of(path, source)
    })
}

/// Writes `bytes` to `path` as [`write_whole`] does.
///
/// # Errors
/// As [`write_whole`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_whole(path, |out| out.write_all(bytes))
}

/// Reads a whole file.
///
/// # Errors
/// [`FileError`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|source| FileError::of_reading(path, source))
}

/// Reads a whole text.
///
/// # Errors
/// [`FileError`], also if it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::of_reading(path, source))
}

/// Makes a folder and those above it.
///
/// # Errors
/// [`FileError`].
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|source| FileError::of(path, source))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".unfinished");
    path.with_file_name(name)
}

/// A rename is on disk only once its folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_unfinished_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_bytes(&path, b"old").unwrap();
        let failed = write_whole(&path, |out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(failed, Err(FileError::DiskFull { .. })));
        assert_eq!(read_bytes(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_replaces_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write_bytes(&path, b"a longer old file").unwrap();
        write_bytes(&path, b"new").unwrap();
        assert_eq!(read_bytes(&path).unwrap(), b"new");
    }

    #[test]
    fn a_refusal_says_what_was_refused_and_what_to_do() {
        let denied = || io::ErrorKind::PermissionDenied.into();
        let read = FileError::of_reading(Path::new("rows.csv"), denied()).to_string();
        assert!(read.starts_with("no permission to read rows.csv"), "{read}");
        let written = FileError::of(Path::new("runs"), denied()).to_string();
        assert!(
            written.starts_with("no permission to write runs"),
            "{written}"
        );
        assert!(written.contains("change its permissions"), "{written}");
    }

    #[test]
    fn a_missing_file_is_told_by_its_path() {
        let error = read_bytes(Path::new("no/such/file")).unwrap_err();
        assert_eq!(error.to_string(), "no/such/file does not exist");
    }
}
