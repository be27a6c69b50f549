//! The shape of one example: what a model takes in and what it is to say.

/// What one row is to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleShape {
    /// What goes in.
    pub input: Input,
    /// What is to come out.
    pub target: Target,
}

/// The input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Real values in this shape, last dimension fastest: `[features]` for a table,
    /// `[channels, height, width]` for an image, `[time, channels]` for a window of a series.
    Values(Vec<usize>),
    /// `length` token numbers below `vocabulary`.
    Tokens {
        /// Tokens a row.
        length: usize,
        /// Number of distinct tokens.
        vocabulary: usize,
    },
}

impl Input {
    /// Values (or tokens) a row.
    pub fn width(&self) -> usize {
        match self {
            Self::Values(shape) => shape.iter().product(),
            Self::Tokens { length, .. } => *length,
        }
    }
}

/// What a model is to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// One of this many classes.
    Classes(usize),
    /// One real value.
    Value,
    /// At each position of the row, the token that follows: one of this many.
    NextTokens(usize),
}
