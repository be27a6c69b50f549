//! The job's data set as a worker gets it: the same rows under the same numbers, as one safetensors file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::archive::{Entry, header};

/// A data set that can be handed to worker processes.
///
/// The names that `commonweal_worker.py` knows are in `docs/worker-protocol.md`.
pub trait DataSet: Send + Sync {
    /// Its tensors, sorted by falling size of an element.
    fn entries(&self) -> Vec<Entry>;

    /// Writes the elements of the tensor `name`, little-endian: as many bytes as its entry says.
    ///
    /// # Errors
    /// Those of `out`.
    fn write(&self, name: &str, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes `data` to a new file. Costs no memory but a buffer.
pub(crate) fn write_file(data: &dyn DataSet, path: &Path) -> io::Result<()> {
    let entries = data.entries();
    let mut out = BufWriter::with_capacity(1 << 20, File::create_new(path)?);
    out.write_all(&header(&entries))?;
    for entry in &entries {
        data.write(&entry.name, &mut out)?;
    }
    out.flush()
}
