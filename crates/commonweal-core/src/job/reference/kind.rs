//! Types, ranges and default values of keys, and their words.

use core::fmt::{self, Display, Formatter, Write as _};
use core::ops::Bound;

/// What may stand at a key.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// A text of at least one character.
    Text,
    /// A text, also the empty one.
    AnyText,
    /// A text of one character.
    Character,
    /// Letters, digits, `-`, `_` and `.`, beginning with a letter or a digit, at most 64.
    Name,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Integer {
        /// Smallest.
        low: i64,
        /// Largest.
        high: i64,
    },
    /// A finite number.
    Number(Range),
    /// `true` or `false`.
    Boolean,
    /// A list.
    List {
        /// Of what.
        of: &'static Type,
        /// Fewest items.
        least: usize,
    },
    /// A table with the keys whose path continues this one.
    Table,
    /// A table with the keys of the table at another path.
    TableAs(&'static str),
    /// A table whose names the job chooses.
    Map(&'static Type),
    /// Either of two.
    Either(&'static Type, &'static Type),
}

/// The numbers that are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Lower end.
    pub low: Bound<f64>,
    /// Upper end.
    pub high: Bound<f64>,
}

impl Range {
    /// Whether `value` is finite and within.
    pub fn contains(&self, value: f64) -> bool {
        let above = match self.low {
            Bound::Included(low) => value >= low,
            Bound::Excluded(low) => value > low,
            Bound::Unbounded => true,
        };
        let below = match self.high {
            Bound::Included(high) => value <= high,
            Bound::Excluded(high) => value < high,
            Bound::Unbounded => true,
        };
        value.is_finite() && above && below
    }
}

impl Display for Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.low {
            Bound::Included(low) => write!(f, "at least {low}")?,
            Bound::Excluded(low) => write!(f, "above {low}")?,
            Bound::Unbounded => {}
        }
        if self.low != Bound::Unbounded && self.high != Bound::Unbounded {
            f.write_str(" and ")?;
        }
        match self.high {
            Bound::Included(high) => write!(f, "at most {high}"),
            Bound::Excluded(high) => write!(f, "below {high}"),
            Bound::Unbounded if self.low == Bound::Unbounded => f.write_str("any"),
            Bound::Unbounded => Ok(()),
        }
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("a text"),
            Self::AnyText => f.write_str("a text, which may be empty"),
            Self::Character => f.write_str("a text of one character"),
            Self::Name => f.write_str(
                "a name: at most 64 letters, digits, `-`, `_` and `.`, \
                 beginning with a letter or a digit",
            ),
            Self::Word([word]) => write!(f, "the word \"{word}\""),
            Self::Word(words) => write!(f, "one of {}", Words(words)),
            Self::Integer { low, high } => match (*low, *high) {
                (i64::MIN, i64::MAX) => f.write_str("an integer"),
                (low, i64::MAX) => write!(f, "an integer, at least {low}"),
                (low, high) => write!(f, "an integer from {low} to {high}"),
            },
            Self::Number(range) => match (range.low, range.high) {
                (Bound::Unbounded, Bound::Unbounded) => f.write_str("a number"),
                _ => write!(f, "a number, {range}"),
            },
            Self::Boolean => f.write_str("`true` or `false`"),
            Self::List { of, least: 0 } => write!(f, "a list, each item {of}"),
            Self::List { of, least } => write!(f, "a list of at least {least}, each item {of}"),
            Self::Table | Self::TableAs(_) => f.write_str("a table"),
            Self::Map(of) => write!(f, "a table of names, each with {of}"),
            Self::Either(one, other) => write!(f, "{one}; or {other}"),
        }
    }
}

/// A default value.
#[derive(Debug, Clone, Copy)]
pub enum Literal {
    /// A text or a word.
    Text(&'static str),
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A truth value.
    Boolean(bool),
    /// A list of texts.
    Texts(&'static [&'static str]),
    /// A table without keys.
    Empty,
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Texts(texts) => {
                f.write_char('[')?;
                for (index, text) in texts.iter().enumerate() {
                    write!(f, "{}{text:?}", if index == 0 { "" } else { ", " })?;
                }
                f.write_char(']')
            }
            Self::Empty => f.write_str("{}"),
        }
    }
}

/// Quoted words with commas.
pub(crate) struct Words<'a>(pub(crate) &'a [&'a str]);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, word) in self.0.iter().enumerate() {
            write!(f, "{}\"{word}\"", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ranges_say_what_they_allow() {
        let part = Range {
            low: Bound::Excluded(0.0),
            high: Bound::Included(1.0),
        };
        assert_eq!(part.to_string(), "above 0 and at most 1");
        assert_eq!(
            Type::Number(part).to_string(),
            "a number, above 0 and at most 1"
        );
        assert!(!part.contains(0.0) && part.contains(1.0) && !part.contains(f64::NAN));
        let any = Range {
            low: Bound::Unbounded,
            high: Bound::Unbounded,
        };
        assert!(!any.contains(f64::INFINITY) && any.contains(-1e300));
    }
}
