//! Files by name, as they come out of a tar archive, plain or gzip, or stand alone.

use std::io::{self, Read};

use crate::gzip::{GzipError, unpacked};

/// A file in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Name without folders.
    pub name: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// Why an archive cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The packed bytes are damaged.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// The archive is damaged or cut off.
    #[error("the archive is damaged or cut off after {files} files; fetch it again")]
    Corrupt {
        /// Files read before the damage.
        files: usize,
    },
    /// The archive holds no file of the wanted kind.
    #[error("the archive has no file whose name ends in `{ending}`")]
    NothingInside {
        /// Wanted ending.
        ending: String,
    },
}

/// The regular files of a tar archive, plain or gzip, whose names end in `ending`, by name in byte
/// order. Links and folders are passed over; memory ends at `limit` bytes.
///
/// # Errors
/// [`ArchiveError`].
pub fn unpack(bytes: &[u8], ending: &str, limit: usize) -> Result<Vec<File>, ArchiveError> {
    let content = unpacked(bytes, limit)?;
    let mut files: Vec<File> = Vec::new();
    let mut archive = tar::Archive::new(&content[..]);
    let mut read = || -> io::Result<()> {
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path_bytes();
            let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            if entry.header().entry_type().is_file() && name.ends_with(ending) {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                if bytes.len() as u64 != entry.size() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                files.push(File { name, bytes });
            }
        }
        Ok(())
    };
    if read().is_err() {
        return Err(ArchiveError::Corrupt { files: files.len() });
    }
    if files.is_empty() {
        return Err(ArchiveError::NothingInside {
            ending: ending.to_owned(),
        });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// An archive of `files`, for fixtures.
#[cfg(test)]
pub(crate) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        builder
            .append_data(&mut header, path, *bytes)
            .expect("writes to memory");
    }
    builder.into_inner().expect("writes to memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::packed;

    #[test]
    fn files_of_the_wanted_kind_come_out_by_name() {
        let tar = archive(&[("a/z.txt", b"1"), ("b.bin", b"2"), ("c/d/a.txt", b"3")]);
        let names = |files: Vec<File>| files.into_iter().map(|file| file.name).collect::<Vec<_>>();
        let expected = Ok(vec!["a.txt".to_owned(), "z.txt".to_owned()]);
        assert_eq!(unpack(&tar, ".txt", 1 << 20).map(names), expected);
        assert_eq!(unpack(&packed(&tar), ".txt", 1 << 20).map(names), expected);
    }

    #[test]
    fn a_damaged_archive_and_one_without_the_wanted_files_are_refused() {
        let tar = archive(&[("a.txt", &[b'x'; 2000])]);
        assert_eq!(
            unpack(&tar[..1000], ".txt", 1 << 20),
            Err(ArchiveError::Corrupt { files: 0 })
        );
        let ending = ".csv".to_owned();
        assert_eq!(
            unpack(&tar, ".csv", 1 << 20),
            Err(ArchiveError::NothingInside { ending })
        );
    }
}
