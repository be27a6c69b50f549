//! Rows of a data set by their numbers: `0-9,100`.

use std::str::FromStr;

use thiserror::Error;

/// Row numbers, from 0, in the order in which they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowNumbers(Vec<u32>);

/// Why a text names no rows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected row numbers from 0 such as 0-9,100, found {found:?}")]
pub struct RowNumbersError {
    /// The part that is wrong.
    pub found: String,
}

impl RowNumbers {
    /// The numbers.
    #[must_use]
    pub fn numbers(&self) -> &[u32] {
        &self.0
    }
}

impl FromStr for RowNumbers {
    type Err = RowNumbersError;

    fn from_str(text: &str) -> Result<Self, RowNumbersError> {
        let mut rows = Vec::new();
        for part in text.split(',') {
            let error = || RowNumbersError {
                found: part.to_owned(),
            };
            let number = |text: &str| text.trim().parse::<u32>().map_err(|_| error());
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err(error());
            }
            rows.extend(first..=last);
        }
        Ok(Self(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends_and_keep_their_order() {
        let rows: RowNumbers = "7, 0-2".parse().unwrap();
        assert_eq!(rows.numbers(), [7, 0, 1, 2]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in ["", "a", "3-1", "-1", "1-", "1,,2"] {
            assert!(text.parse::<RowNumbers>().is_err(), "{text}");
        }
    }
}
