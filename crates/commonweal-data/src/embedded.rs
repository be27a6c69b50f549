//! Data that is part of the program: UCI digits and UCI heart disease, both CC BY 4.0.
//!
//! Attribution stands in `embedded/ATTRIBUTION.md`.

use crate::gzip::{GzipError, unpacked};
use crate::images::{self, ImagesError};
use crate::{Dataset, FeaturesError};

/// `digits.csv.gz` as published: 64 pixels from 0 to 16 and the label, no header.
pub const DIGITS_CSV_GZ: &[u8] = include_bytes!("../embedded/digits.csv.gz");

/// `heart_disease_uci.csv` as published.
pub const HEART_CSV: &[u8] = include_bytes!("../embedded/heart_disease_uci.csv");

/// UCI heart disease with its one known slip mended: row 304, labelled Cleveland, is Hungary's first.
pub fn heart_csv() -> Vec<u8> {
    mended_heart(HEART_CSV)
}

/// Any copy of the heart file with the row of id 304 given to Hungary.
pub(crate) fn mended_heart(file: &[u8]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = file
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    for line in lines.iter_mut().filter(|line| line.starts_with(b"304,")) {
        let text = String::from_utf8_lossy(line);
        *line = text.replacen(",Cleveland,", ",Hungary,", 1).into_bytes();
    }
    lines.join(&b'\n')
}

/// Why bytes are not the digits file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigitsError {
    /// The file cannot be unpacked.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// A field is not a whole number from 0 to 255.
    #[error("line {line}, column {column}: expected a whole number from 0 to 255")]
    Field {
        /// Line, from 1.
        line: usize,
        /// Field, from 1.
        column: usize,
    },
    /// A line has another number of fields than 65.
    #[error("line {line}: expected 65 fields, found {found}")]
    Ragged {
        /// Line, from 1.
        line: usize,
        /// Fields found.
        found: usize,
    },
    /// Pixels and labels do not fit.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// The pixels are not whole rows.
    #[error(transparent)]
    Features(#[from] FeaturesError),
}

/// UCI optical digits: 1,797 images of 8 × 8 pixels valued 0 to 1, ten classes.
///
/// # Errors
/// Never on the embedded bytes, which a test proves; the type is that of [`parse_digits`].
pub fn digits() -> Result<Dataset, DigitsError> {
    parse_digits(DIGITS_CSV_GZ)
}

/// Reads 8 × 8 digits in the form of [`DIGITS_CSV_GZ`], plain or gzip.
///
/// # Errors
/// [`DigitsError`].
pub fn parse_digits(bytes: &[u8]) -> Result<Dataset, DigitsError> {
    const PIXELS: usize = 64;
    let text = unpacked(bytes, 1 << 24)?;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line_number = index + 1;
        let line = line.trim_ascii_end();
        if line.is_empty() {
            continue;
        }
        let found = line.split(|&byte| byte == b',').count();
        if found != PIXELS + 1 {
            return Err(DigitsError::Ragged {
                line: line_number,
                found,
            });
        }
        for (field_index, field) in line.split(|&byte| byte == b',').enumerate() {
            let value = std::str::from_utf8(field)
                .ok()
                .and_then(|field| field.parse().ok());
            let value = value.ok_or(DigitsError::Field {
                line: line_number,
                column: field_index + 1,
            })?;
            if field_index < PIXELS {
                pixels.push(value)
            } else {
                labels.push(value)
            }
        }
    }
    Ok(images::of_bytes(
        pixels,
        vec![1, 8, 8],
        1.0 / 16.0,
        labels,
        Some(10),
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_digits_have_1797_rows_of_ten_classes() {
        let data = digits().expect("embedded bytes are sound");
        let labels = data.roster().labels().expect("digits are labelled");
        let mut counts = [0; 10];
        labels
            .codes()
            .iter()
            .for_each(|&label| counts[label as usize] += 1);
        // Provenance: the class distribution in scikit-learn's description of the set.
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let mut first = [0.0; 64];
        data.fill(&[0], &mut first);
        assert_eq!(
            first[2..6],
            [5.0 / 16.0, 13.0 / 16.0, 9.0 / 16.0, 1.0 / 16.0]
        );
    }

    #[test]
    fn a_damaged_digits_file_is_refused_by_line_and_column() {
        let row = vec!["1"; 65].join(",");
        let bad_field = format!("{row}\n{row}x\n");
        assert_eq!(
            parse_digits(bad_field.as_bytes()),
            Err(DigitsError::Field {
                line: 2,
                column: 65
            })
        );
        let ragged = format!("{row}\n{row},1\n");
        assert_eq!(
            parse_digits(ragged.as_bytes()),
            Err(DigitsError::Ragged { line: 2, found: 66 })
        );
    }
}
