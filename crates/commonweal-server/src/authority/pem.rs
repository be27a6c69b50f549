//! PEM files: certificates, and keys that their owner alone can read.

use std::io::Write as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::AuthorityError;

/// The certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let bytes = read(path)?;
    let malformed = || AuthorityError::Malformed {
        path: path.to_path_buf(),
        expected: "certificate",
    };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(malformed()),
    }
}

/// The file as it is.
pub(super) fn text(path: &Path) -> Result<String, AuthorityError> {
    std::fs::read_to_string(path).map_err(|source| AuthorityError::Unreadable {
        path: path.to_path_buf(),
        source,
    })
}

/// The private key of a file.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, AuthorityError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| AuthorityError::Malformed {
        path: path.to_path_buf(),
        expected: "private key",
    })
}

/// Writes a file whole, for its owner alone.
pub(super) fn write(path: &Path, text: &str) -> Result<(), AuthorityError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = (|| {
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        std::fs::File::open(folder)?.sync_all()
    })();
    written.map_err(|source: std::io::Error| AuthorityError::Unwritten {
        path: path.to_path_buf(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    std::fs::read(path).map_err(|source| AuthorityError::Unreadable {
        path: path.to_path_buf(),
        source,
    })
}
