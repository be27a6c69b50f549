//! Shape of the values between two layers, one example's worth, and how a batch of it lies in memory.

use core::fmt;

/// What one example is between two layers.
///
/// A batch lies in memory with the last axis fastest and examples first, except for
/// sequences, whose first axis is time (`[time, batch, features]`): each step of an LSTM then reads
/// and writes one contiguous block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[features]`.
    Vector {
        /// Values.
        features: usize,
    },
    /// `[channels, height, width]`.
    Image {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// `[time, features]`.
    Sequence {
        /// Instants.
        time: usize,
        /// Values an instant.
        features: usize,
    },
    /// Token numbers, not values.
    Tokens {
        /// Tokens.
        time: usize,
        /// Every token is below this number.
        vocabulary: usize,
    },
}

impl Shape {
    /// Values one example has in this shape.
    pub fn width(self) -> usize {
        match self {
            Self::Vector { features } => features,
            Self::Image {
                channels,
                height,
                width,
            } => channels * height * width,
            Self::Sequence { time, features } => time * features,
            Self::Tokens { time, .. } => time,
        }
    }

    /// Rows of the last axis that one example has: 1, or one an instant.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Vector { .. } | Self::Image { .. } => 1,
            Self::Sequence { time, .. } | Self::Tokens { time, .. } => time,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vector { features } => write!(f, "a vector of {features}"),
            Self::Image {
                channels,
                height,
                width,
            } => {
                write!(f, "an image of {channels} × {height} × {width}")
            }
            Self::Sequence { time, features } => {
                write!(f, "a sequence of {time} vectors of {features}")
            }
            Self::Tokens { time, .. } => write!(f, "{time} tokens"),
        }
    }
}
