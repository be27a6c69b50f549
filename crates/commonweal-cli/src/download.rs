//! The files of a run on a server, as a run folder of this machine.

use std::path::Path;

use commonweal_disk::file;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::record::Summary;

use crate::failure::Failure;
use crate::remote::Remote;

/// Files that a run may have, in the order in which they are written.
const FILES: &[&str] = &[
    "job.toml",
    "manifest.digest",
    "prepared.json",
    "input.json",
    "history.csv",
    "clients.csv",
    "model.safetensors",
    "summary.json",
    // Last: a folder with a manifest is a run.
    "manifest.json",
];

/// Writes the run's files into `folder`, which exists; those that the run does not have yet are left out.
///
/// # Errors
/// [`Failure::Remote`]; a file that cannot be written.
pub(crate) fn download(remote: &Remote, run: &str, folder: &Path) -> Result<RunFolder, Failure> {
    for name in FILES {
        if let Some(bytes) = remote.file(run, name)? {
            file::write_bytes(&folder.join(name), &bytes)?;
        }
    }
    Ok(RunFolder::open(folder)?)
}

/// The result of a finished run.
///
/// # Errors
/// [`Failure::Remote`]; a record that this version cannot read.
pub(crate) fn summary(remote: &Remote, run: &str) -> Result<Option<Summary>, Failure> {
    let Some(bytes) = remote.file(run, "summary.json")? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| Failure::Record {
            path: Path::new(run).join("summary.json"),
            reason: error.to_string(),
        })
}
