//! `clients.csv`: each client with its rows and the final model's metrics on its own test rows.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use crate::table::{Cell, TableError};

const FIXED: [&str; 3] = ["client", "train_rows", "test_rows"];

/// One client at the end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientRow {
    /// Its name.
    pub client: String,
    /// Rows that it trains on.
    pub train_rows: u64,
    /// Rows that it tests on.
    pub test_rows: u64,
    /// Metrics of the final model on its test rows, by name; empty without test rows.
    pub metrics: BTreeMap<String, f64>,
}

/// Writes a header and one line a client.
///
/// # Errors
/// [`TableError`] if `out` refuses the bytes.
pub fn write_clients(
    out: impl Write,
    metrics: &[String],
    rows: impl IntoIterator<Item = ClientRow>,
) -> Result<(), TableError> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record(
        FIXED
            .iter()
            .copied()
            .chain(metrics.iter().map(String::as_str)),
    )?;
    for row in rows {
        let values = metrics
            .iter()
            .map(|name| row.metrics.get(name).map_or(String::new(), f64::to_string));
        let fixed = [
            row.client.clone(),
            row.train_rows.to_string(),
            row.test_rows.to_string(),
        ];
        out.write_record(fixed.into_iter().chain(values))?;
    }
    out.flush().map_err(csv::Error::from)?;
    Ok(())
}

/// Reads a `clients.csv`.
///
/// # Errors
/// [`TableError`] with the line and column that cannot be read.
pub fn read_clients(input: impl Read) -> Result<Vec<ClientRow>, TableError> {
    let mut reader = csv::Reader::from_reader(input);
    let header = reader.headers()?.clone();
    if header.iter().take(FIXED.len()).ne(FIXED) {
        return Err(TableError::Header {
            expected: FIXED.join(","),
        });
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let mut metrics = BTreeMap::new();
        for (column, name) in header.iter().enumerate().skip(FIXED.len()) {
            if let Some(value) = Cell::of(&record, column, name).optional()? {
                metrics.insert(name.to_owned(), value);
            }
        }
        rows.push(ClientRow {
            client: Cell::of(&record, 0, FIXED[0]).text().to_owned(),
            train_rows: Cell::of(&record, 1, FIXED[1]).parse()?,
            test_rows: Cell::of(&record, 2, FIXED[2]).parse()?,
            metrics,
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_commas_and_quotes_survive() {
        let row = ClientRow {
            client: "Henry \"IV\", part 1".to_owned(),
            train_rows: 8,
            test_rows: 2,
            metrics: [("accuracy".to_owned(), 0.5)].into(),
        };
        let mut bytes = Vec::new();
        let metrics = ["accuracy".to_owned(), "loss".to_owned()];
        write_clients(&mut bytes, &metrics, [row.clone()]).unwrap();
        assert_eq!(read_clients(bytes.as_slice()).unwrap(), [row]);
    }
}
