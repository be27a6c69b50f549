//! Comma-separated values with a header line, read by a schema into a table.
//!
//! No error carries a cell: only lines, column names and counts.

use super::rows::{Builder, RowReader};
use super::{Schema, Table};
use crate::gzip::{GzipError, unpacked};

/// Largest table, unpacked: 4 GiB.
pub(super) const MAX_BYTES: usize = u32::MAX as usize;

/// Why bytes are not a table of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// The file cannot be unpacked.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// There is no header line.
    #[error("the file is empty; the first line must name the columns")]
    NoHeader,
    /// Two columns of one name.
    #[error("line 1: two columns are called `{column}`; every column needs its own name")]
    DuplicateColumn {
        /// The name.
        column: String,
    },
    /// A column of the schema is not in the header.
    #[error("line 1: there is no column `{column}`; the file has: {}", header.join(", "))]
    NoSuchColumn {
        /// The column of the schema.
        column: String,
        /// The file's columns.
        header: Vec<String>,
    },
    /// A line has more or fewer fields than the header.
    #[error("line {line}: expected {expected} fields as in the header, found {found}")]
    Ragged {
        /// Line, from 1.
        line: u32,
        /// Fields of the header.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// A field is not text.
    #[error("line {line}, column `{column}`: not UTF-8; save the file as UTF-8")]
    NotUtf8 {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A cell of a numeric column is no number.
    #[error(
        "line {line}, column `{column}`: not a number; if it stands for a missing value, list it in \
         missing_values, otherwise make the column categorical"
    )]
    NotANumber {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A cell is NaN, infinite, or too large for 32-bit floating point.
    #[error(
        "line {line}, column `{column}`: not a finite number of 32 bits; if it stands for a missing \
         value, list it in missing_values"
    )]
    NotFinite {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A cell is missing where none may be.
    #[error(
        "line {line}, column `{column}`: the value is missing; say what to do with it: \
         missing = \"drop_row\", \"mean\", \"zero\" or \"indicator\""
    )]
    Missing {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A label, client, group or series is missing.
    #[error(
        "line {line}, column `{column}`: the value is missing, and a row cannot be used without it; \
         remove the row, or set data.missing = \"drop_row\""
    )]
    MissingKey {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A label is none of the declared classes.
    #[error("line {line}, column `{column}`: the label is not among the declared classes")]
    UnknownClass {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A level is none of the declared ones.
    #[error("line {line}, column `{column}`: the level is not among the declared ones")]
    UnknownLevel {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// A client's name is too long or has control characters.
    #[error(
        "line {line}, column `{column}`: not a client name, which has 1 to 128 bytes and no control characters"
    )]
    ClientName {
        /// Line, from 1.
        line: u32,
        /// Column.
        column: String,
    },
    /// No row is left.
    #[error("no row is left: the file has none, or each lacks a value and missing = \"drop_row\"")]
    NoRows,
    /// One of several files has other columns than the first.
    #[error(
        "line 1: the files of a folder need one header; the first file has: {}; this one has: {}",
        expected.join(", "), found.join(", ")
    )]
    OtherHeader {
        /// Columns of the first file.
        expected: Vec<String>,
        /// Columns of this one.
        found: Vec<String>,
    },
    /// The delimiter is not one ASCII character.
    #[error(
        "the delimiter must be one ASCII character that is no quote, digit, letter or line end"
    )]
    Delimiter,
}

/// Reads a CSV file, plain or gzip. Never panics, whatever the bytes.
///
/// # Errors
/// [`CsvError`], with the line and the column.
pub fn read(bytes: &[u8], schema: &Schema) -> Result<Table, CsvError> {
    read_all([bytes], schema)
        .map(|(table, _)| table)
        .map_err(|(_, error)| error)
}

/// Reads several files as one table, in their order; also says at which row each file ends.
///
/// # Errors
/// The position of the file at fault, and [`CsvError`] with the line and the column.
pub(crate) fn read_all<'a>(
    files: impl IntoIterator<Item = &'a [u8]>,
    schema: &Schema,
) -> Result<(Table, Vec<usize>), (usize, CsvError)> {
    let mut builder = Builder::new(schema);
    let mut ends = Vec::new();
    for (place, bytes) in files.into_iter().enumerate() {
        read_rows(bytes, schema, &mut builder).map_err(|error| (place, error))?;
        ends.push(builder.rows());
    }
    let table = builder
        .finish(schema)
        .map_err(|(row, error)| (ends.partition_point(|&end| end <= row), error))?;
    Ok((table, ends))
}

fn read_rows(bytes: &[u8], schema: &Schema, builder: &mut Builder) -> Result<(), CsvError> {
    let content = unpacked(bytes, MAX_BYTES)?;
    let mut records = Records::new(&content, schema.delimiter_byte()?)?;
    let mut rows = RowReader::new(schema, &records.header)?;
    while let Some(line) = records.advance()? {
        if rows.read(&records, line)? {
            builder.push(&rows, line);
        }
    }
    Ok(())
}

/// Reads only the features, for prediction: label, client and group need not be in the file.
///
/// # Errors
/// [`CsvError`], with the line and the column.
pub fn read_features(bytes: &[u8], schema: &Schema) -> Result<Table, CsvError> {
    let features_only = Schema {
        label: None,
        ..schema.clone().without_keys()
    };
    read(bytes, &features_only)
}

/// The lines of a file after its header, each with as many fields.
pub(super) struct Records<'a> {
    pub(super) header: Vec<String>,
    content: &'a [u8],
    reader: ::csv::Reader<&'a [u8]>,
    record: ::csv::ByteRecord,
    counted_to: usize,
    line: u32,
}

impl<'a> Records<'a> {
    pub(super) fn new(content: &'a [u8], delimiter: u8) -> Result<Self, CsvError> {
        let mut records = Self {
            header: Vec::new(),
            content,
            reader: ::csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .delimiter(delimiter)
                .from_reader(content),
            record: ::csv::ByteRecord::new(),
            counted_to: 0,
            line: 1,
        };
        let line = records.next_line().ok_or(CsvError::NoHeader)?;
        for (index, field) in records.record.iter().enumerate() {
            let name = std::str::from_utf8(field)
                .map_err(|_| CsvError::NotUtf8 {
                    line,
                    column: (index + 1).to_string(),
                })?
                .trim()
                .to_owned();
            if records.header.contains(&name) {
                return Err(CsvError::DuplicateColumn { column: name });
            }
            records.header.push(name);
        }
        Ok(records)
    }

    /// Goes to the next line that is not blank and returns its number.
    pub(super) fn advance(&mut self) -> Result<Option<u32>, CsvError> {
        let Some(line) = self.next_line() else {
            return Ok(None);
        };
        let (expected, found) = (self.header.len(), self.record.len());
        if expected == found {
            Ok(Some(line))
        } else {
            Err(CsvError::Ragged {
                line,
                expected,
                found,
            })
        }
    }

    /// The text of a field of the present line, without surrounding blanks.
    pub(super) fn field(&self, index: usize, line: u32) -> Result<&str, CsvError> {
        std::str::from_utf8(&self.record[index])
            .map(str::trim)
            .map_err(|_| CsvError::NotUtf8 {
                line,
                column: self.header[index].clone(),
            })
    }

    /// A source in memory does not fail and fields are bytes, so an error can only be the end.
    fn next_line(&mut self) -> Option<u32> {
        if !self
            .reader
            .read_byte_record(&mut self.record)
            .unwrap_or(false)
        {
            return None;
        }
        // The reader counts a blank line into the record that follows it.
        let mut start = self
            .record
            .position()
            .map_or(0, |position| position.byte() as usize);
        while matches!(self.content.get(start), Some(b'\n' | b'\r')) {
            start += 1;
        }
        let start = start.min(self.content.len());
        let passed = self.content.get(self.counted_to..start).unwrap_or_default();
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count() as u32;
        self.counted_to = start;
        Some(self.line)
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Missing;

    use super::super::{Cells, Feature, FeatureKind, Label, LabelKind};
    use super::*;

    fn numeric(name: &str, missing: Missing) -> Feature {
        let missing_values = vec!["NA".to_owned()];
        Feature {
            name: name.to_owned(),
            kind: FeatureKind::Numeric,
            missing,
            missing_values,
        }
    }

    fn schema(missing: Missing) -> Schema {
        let sex = Feature {
            kind: FeatureKind::Categorical {
                levels: None,
                drop_first: false,
            },
            ..numeric("sex", missing)
        };
        Schema {
            features: vec![numeric("age", missing), sex],
            label: Some(Label {
                column: "y".to_owned(),
                kind: LabelKind::Class(None),
            }),
            client: Some("site".to_owned()),
            group: None,
            series: None,
            keyless: Missing::Refuse,
            missing_values: Vec::new(),
            delimiter: ',',
        }
    }

    fn error(file: &[u8]) -> CsvError {
        read(file, &schema(Missing::Refuse)).expect_err("the file is faulty")
    }

    fn at(line: u32, column: &str) -> (u32, String) {
        (line, column.to_owned())
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let table = read(
            b"y,site,sex,age\nb,X,m,1\na,W,f,2.5\n",
            &schema(Missing::Refuse),
        );
        let table = table.expect("a sound file");
        assert_eq!(table.columns[0], Cells::Numeric(vec![1.0, 2.5]));
        let sexes = Cells::Categorical {
            levels: vec!["f".into(), "m".into()],
            codes: vec![1, 0],
        };
        assert_eq!(table.columns[1], sexes);
        assert_eq!(
            table
                .roster()
                .labels()
                .map(|labels| labels.codes().to_vec()),
            Some(vec![1, 0])
        );
        assert_eq!(
            table
                .roster()
                .clients()
                .map(|clients| clients.name(0).to_owned()),
            Some("X".into())
        );
    }

    #[test]
    fn a_mark_of_byte_order_quotes_blank_lines_and_crlf_are_understood() {
        let file = b"\xef\xbb\xbfage,sex,site,y\r\n\r\n1,\"m\",\"St. \"\"M\"\", x\",a\r\n\r\n2,f,W,NaN?\r\nq,f,W,b\r\n";
        let (line, column) = at(6, "age");
        assert_eq!(error(file), CsvError::NotANumber { line, column });
    }

    #[test]
    fn lines_are_counted_through_quoted_line_ends() {
        let (line, column) = at(4, "age");
        assert_eq!(
            error(b"age,sex,site,y\n1,\"m\nx\",W,a\nq,f,W,b\n"),
            CsvError::NotANumber { line, column }
        );
    }

    #[test]
    fn every_fault_names_its_line_and_column_and_no_value() {
        let header = "age,sex,site,y\n1,m,W,a\n";
        let of = |rest: &str| error(format!("{header}{rest}").as_bytes());
        let (line, column) = at(3, "age");
        for cell in ["inf", "-inf", "nan", "NaN", "1e39"] {
            let column = column.clone();
            assert_eq!(
                of(&format!("{cell},m,W,a")),
                CsvError::NotFinite { line, column }
            );
        }
        let text = of("secret,m,W,a").to_string();
        assert!(text.contains("line 3") && text.contains("`age`") && !text.contains("secret"));
        assert_eq!(
            of("1,m,W"),
            CsvError::Ragged {
                line,
                expected: 4,
                found: 3
            }
        );
        assert_eq!(
            of("1,m,W,a,"),
            CsvError::Ragged {
                line,
                expected: 4,
                found: 5
            }
        );
        assert_eq!(
            of("NA,m,W,a"),
            CsvError::Missing {
                line,
                column: "age".to_owned()
            }
        );
        assert_eq!(
            of("1,,W,a"),
            CsvError::Missing {
                line,
                column: "sex".to_owned()
            }
        );
        assert_eq!(
            of("1,m,W,"),
            CsvError::MissingKey {
                line,
                column: "y".to_owned()
            }
        );
        assert_eq!(
            of("1,m,,a"),
            CsvError::MissingKey {
                line,
                column: "site".to_owned()
            }
        );
        let long = format!("1,m,{},a", "x".repeat(129));
        assert_eq!(
            of(&long),
            CsvError::ClientName {
                line,
                column: "site".to_owned()
            }
        );
        let binary = [header.as_bytes(), b"1,\xff,W,a\n"].concat();
        assert_eq!(
            error(&binary),
            CsvError::NotUtf8 {
                line,
                column: "sex".to_owned()
            }
        );
    }

    #[test]
    fn a_faulty_header_is_refused() {
        assert_eq!(error(b""), CsvError::NoHeader);
        assert_eq!(error(b"age,sex,site,y\n"), CsvError::NoRows);
        let column = "age".to_owned();
        assert_eq!(
            error(b"age,sex,age,y\n"),
            CsvError::DuplicateColumn { column }
        );
        assert!(matches!(
            error(b"age,sex,y\n1,m,a\n"),
            CsvError::NoSuchColumn { column, .. } if column == "site"
        ));
    }

    #[test]
    fn a_row_with_a_missing_cell_is_dropped_where_the_policy_says_so() {
        let file = b"age,sex,site,y\nNA,m,W,a\n2,f,W,b\n3,,W,b\n";
        let table = read(file, &schema(Missing::DropRow)).expect("one row is whole");
        assert_eq!(table.lines(), [3]);
        assert_eq!(
            read(b"age,sex,site,y\n,,W,a\n", &schema(Missing::DropRow)),
            Err(CsvError::NoRows)
        );
    }

    #[test]
    fn a_label_that_is_not_declared_is_refused() {
        let mut schema = schema(Missing::Refuse);
        let classes = Some(vec!["b".to_owned(), "a".to_owned()]);
        schema.label = Some(Label {
            column: "y".to_owned(),
            kind: LabelKind::Class(classes),
        });
        let table = read(b"age,sex,site,y\n1,m,W,a\n", &schema).expect("a is declared");
        assert_eq!(
            table.roster().labels().map(|labels| labels.codes()[0]),
            Some(1)
        );
        let (line, column) = at(2, "y");
        assert_eq!(
            read(b"age,sex,site,y\n1,m,W,c\n", &schema),
            Err(CsvError::UnknownClass { line, column })
        );
    }

    #[test]
    fn a_threshold_makes_two_classes_even_if_one_does_not_occur() {
        let mut schema = schema(Missing::Refuse);
        schema.label = Some(Label {
            column: "y".to_owned(),
            kind: LabelKind::Above(0.0),
        });
        let table = read(b"age,sex,site,y\n1,m,W,2\n", &schema).expect("a sound file");
        let labels = table.roster().labels().cloned();
        assert_eq!(
            labels.map(|labels| (labels.names().len(), labels.codes()[0])),
            Some((2, 1))
        );
    }

    #[test]
    fn prediction_needs_no_label() {
        let table = read_features(b"sex,age\nm,1\n", &schema(Missing::Refuse));
        assert_eq!(table.map(|table| table.rows()), Ok(1));
    }
}
