//! A table of sites to invite: CSV with a header, of which one column is names.

use std::path::{Path, PathBuf};

use commonweal_core::job::nearest;
use commonweal_core::{ClientName, NameError};

/// Why a table gives no names.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// It cannot be read as CSV.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: csv::Error,
    },
    /// It has no such column.
    #[error(
        "{}: there is no column {column:?}{}", path.display(),
        nearest.as_ref().map_or_else(String::new, |it| format!("; did you mean {it:?}?"))
    )]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The column that may be meant.
        nearest: Option<String>,
    },
    /// A cell is no name.
    #[error("{}:{line}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong with it.
        source: NameError,
    },
    /// There is a header and nothing else.
    #[error("{} has no rows", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The names in a column of a CSV file, in order, without blanks around them.
///
/// # Errors
/// [`SitesError`], which names the line.
pub fn read_sites(path: &Path, column: &str) -> Result<Vec<ClientName>, SitesError> {
    let unreadable = |source| SitesError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(unreadable)?;
    let headers = reader.headers().map_err(unreadable)?.clone();
    let Some(index) = headers.iter().position(|header| header == column) else {
        return Err(SitesError::NoColumn {
            path: path.to_path_buf(),
            column: column.to_owned(),
            nearest: nearest(column, headers.iter()).map(str::to_owned),
        });
    };
    let mut names = Vec::new();
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let name = ClientName::try_from(record.get(index).unwrap_or_default());
        names.push(name.map_err(|source| SitesError::Name {
            path: path.to_path_buf(),
            line: record.position().map_or(0, csv::Position::line),
            source,
        })?);
    }
    match names.is_empty() {
        true => Err(SitesError::Empty {
            path: path.to_path_buf(),
        }),
        false => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, column: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sites.csv");
        std::fs::write(&path, text).unwrap();
        match read_sites(&path, column) {
            Ok(names) => Ok(names.iter().map(ClientName::to_string).collect()),
            Err(error) => {
                let text = error.to_string();
                let start = text.find("sites.csv").unwrap();
                Err(text[start..].to_owned())
            }
        }
    }

    #[test]
    fn a_table_gives_the_names_of_its_column() {
        let names = read("city,site\nKöln,\"a, north\"\nUlm, b \n", "site");
        assert_eq!(names, Ok(vec!["a, north".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_table_that_gives_none_says_where_and_why() {
        for (text, expected) in [
            ("site\na\n\"\"\n", "sites.csv:3: a client name is empty"),
            ("site\n", "sites.csv has no rows"),
            (
                "sites\na\n",
                "sites.csv: there is no column \"site\"; did you mean \"sites\"?",
            ),
        ] {
            assert_eq!(read(text, "site"), Err(expected.to_owned()));
        }
        assert!(
            read("site,city\na\n", "site")
                .unwrap_err()
                .contains("line: 2")
        );
    }
}
