//! Features by row number, in the three forms that are kept in memory: bytes, floats and tokens.

mod bytes;
mod floats;
mod tokens;

pub use bytes::Bytes;
pub use floats::Floats;
pub use tokens::{Tokens, Vocabulary};

/// Values that are not a whole number of rows of a shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeaturesError {
    /// A dimension is zero, or their product too large to count.
    #[error("a row of shape {shape:?} holds no values, or too many")]
    Shape {
        /// The shape asked for.
        shape: Vec<usize>,
    },
    /// The last row is incomplete.
    #[error("{found} values are not a whole number of rows of {width}")]
    PartRow {
        /// Values a row.
        width: usize,
        /// Values found.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("row {row} has a feature that is not a finite number")]
    NonFinite {
        /// First such row, from 0.
        row: usize,
    },
    /// A window would end beyond the text.
    #[error("row {row} is a window that ends beyond the text")]
    WindowBeyondText {
        /// First such row, from 0.
        row: usize,
    },
    /// A token has no entry in the vocabulary.
    #[error("token {position} of the text is not below the size of the vocabulary")]
    TokenOutOfRange {
        /// Position of the first such token, from 0.
        position: usize,
    },
    /// More distinct characters than a token number can tell apart.
    #[error(
        "{found} distinct characters are more than the {} that tokens can tell apart",
        u16::MAX
    )]
    VocabularyTooLarge {
        /// Distinct characters.
        found: usize,
    },
}

/// Values a row of `shape`, checked against `found` values in all.
fn row_width(shape: &[usize], found: usize) -> Result<usize, FeaturesError> {
    let width = shape
        .iter()
        .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
        .filter(|&width| width > 0)
        .ok_or_else(|| FeaturesError::Shape {
            shape: shape.to_vec(),
        })?;
    if found.is_multiple_of(width) {
        Ok(width)
    } else {
        Err(FeaturesError::PartRow { width, found })
    }
}
