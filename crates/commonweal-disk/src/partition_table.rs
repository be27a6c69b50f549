//! `partition.csv`: how many training rows of each class each client has.

use std::io::{Read, Write};

use commonweal_data::LabelCounts;

use crate::table::{Cell, TableError};

/// Training rows by client and class. Without classes there is one column, `rows`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionTable {
    /// Client names, in byte order.
    pub clients: Vec<String>,
    /// Class names, in the order of the model's outputs.
    pub classes: Vec<String>,
    /// Training rows: `counts[client * classes.len() + class]`.
    pub counts: Vec<u64>,
}

impl PartitionTable {
    /// One client's training rows by class.
    #[must_use]
    pub fn of(&self, client: usize) -> &[u64] {
        let width = self.classes.len();
        &self.counts[client * width..(client + 1) * width]
    }

    /// Writes a header and one line a client.
    ///
    /// # Errors
    /// [`TableError`] if `out` refuses the bytes.
    pub fn write(&self, out: impl Write) -> Result<(), TableError> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(std::iter::once("client").chain(self.classes.iter().map(String::as_str)))?;
        for (index, client) in self.clients.iter().enumerate() {
            let counts = self.of(index).iter().map(u64::to_string);
            out.write_record(std::iter::once(client.clone()).chain(counts))?;
        }
        out.flush().map_err(csv::Error::from)?;
        Ok(())
    }

    /// Reads a `partition.csv`.
    ///
    /// # Errors
    /// [`TableError`] with the line and column that cannot be read.
    pub fn read(input: impl Read) -> Result<Self, TableError> {
        let mut reader = csv::Reader::from_reader(input);
        let header = reader.headers()?.clone();
        if header.get(0) != Some("client") {
            return Err(TableError::Header {
                expected: "client,<class>,…".to_owned(),
            });
        }
        let classes: Vec<String> = header.iter().skip(1).map(str::to_owned).collect();
        let (mut clients, mut counts) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record?;
            clients.push(Cell::of(&record, 0, "client").text().to_owned());
            for (offset, class) in classes.iter().enumerate() {
                counts.push(Cell::of(&record, offset + 1, class).parse()?);
            }
        }
        Ok(Self {
            clients,
            classes,
            counts,
        })
    }
}

impl From<LabelCounts> for PartitionTable {
    fn from(counts: LabelCounts) -> Self {
        Self {
            clients: counts.clients.iter().map(ToString::to_string).collect(),
            classes: counts.classes,
            counts: counts.counts.into_iter().map(u64::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let table = PartitionTable {
            clients: vec!["a,b".to_owned(), "c".to_owned()],
            classes: vec!["0".to_owned(), "1".to_owned(), "2".to_owned()],
            counts: vec![1, 2, 3, 4, 5, 6],
        };
        let mut bytes = Vec::new();
        table.write(&mut bytes).unwrap();
        assert_eq!(PartitionTable::read(bytes.as_slice()).unwrap(), table);
        assert_eq!(table.of(1), [4, 5, 6]);
    }
}
