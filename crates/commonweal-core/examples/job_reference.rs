//! Writes `docs/job-reference.md` from the table of the job file's keys.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/job-reference.md");
    std::fs::write(path, commonweal_core::job::reference::page())
}
