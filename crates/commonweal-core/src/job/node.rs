//! A job file as a tree whose every value knows where it was written.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// What a job file has no use for: a date, or an integer beyond 64 bits.
    Other(&'static str),
}

/// A table's keys, each with its own place.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(pub(super) BTreeMap<String, (Place, Node)>);

impl Value {
    /// What it is, for a message: `the text "ten"`.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) => alloc::format!("the text {:?}", shorten(text)),
            Self::Integer(number) => alloc::format!("the integer {number}"),
            Self::Number(number) => alloc::format!("the number {number:?}"),
            Self::Boolean(value) => alloc::format!("`{value}`"),
            Self::List(_) => "a list".to_string(),
            Self::Table(_) => "a table".to_string(),
            Self::Other(what) => (*what).to_string(),
        }
    }
}

/// At most 60 characters of it.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => alloc::format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// Reads a TOML document; all of its faults at once.
pub(super) fn parse(text: &str) -> Result<Node, Vec<(Place, Problem)>> {
    let lines = Lines::of(text);
    let (root, faults) = DeTable::parse_recoverable(text);
    if faults.is_empty() {
        let place = Place::File { line: 1, column: 1 };
        let at = |start| lines.place(start);
        return Ok(Node {
            place,
            value: Value::Table(table(root.into_inner(), &at)),
        });
    }
    let mut found: Vec<(Place, Problem)> = faults
        .into_iter()
        .map(|fault| {
            let place = lines.place(fault.span().map_or(0, |span| span.start));
            (
                place,
                Problem::Syntax {
                    message: fault.message().to_string(),
                },
            )
        })
        .collect();
    found.sort_by_key(|(place, _)| place.line());
    found.dedup_by_key(|(place, _)| place.line());
    Err(found)
}

/// Takes a TOML value over; `at` tells the place of a byte.
pub(super) fn node(value: Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> Place) -> Node {
    let place = at(value.span().start);
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("an integer beyond 64 bits"), Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or(Value::Other("no number"), Value::Number),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node(item, at)).collect())
        }
        DeValue::Table(entries) => Value::Table(table(entries, at)),
    };
    Node { place, value }
}

fn table(entries: DeTable<'_>, at: &dyn Fn(usize) -> Place) -> Table {
    let entries = entries.into_iter().map(|(key, value)| {
        let place = at(key.span().start);
        (key.into_inner().into_owned(), (place, node(value, at)))
    });
    Table(entries.collect())
}

/// Takes a JSON value over, as a manifest has them.
pub(super) fn from_json(json: Json) -> Node {
    let value = match json {
        Json::Null => Value::Other("null"),
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Value::Integer(number),
            (None, Some(number)) => Value::Number(number),
            (None, None) => Value::Other("no number"),
        },
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        Json::Object(entries) => Value::Table(Table(
            entries
                .into_iter()
                .map(|(key, value)| (key, (Place::Manifest, from_json(value))))
                .collect(),
        )),
    };
    Node {
        place: Place::Manifest,
        value,
    }
}

/// Where the lines of a text begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    /// Line and column of a byte, both from 1; columns are characters.
    fn place(&self, byte: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self
            .text
            .get(start..byte)
            .map_or(byte - start, |text| text.chars().count());
        Place::File {
            line,
            column: before + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_knows_its_line_and_its_column_in_characters() {
        let root = parse("a = 1\nb = [\"é\", {c = 2}]\n").unwrap();
        let Value::Table(table) = root.value else {
            panic!()
        };
        let (key, list) = &table.0["b"];
        assert_eq!(*key, Place::File { line: 2, column: 1 });
        let Value::List(items) = &list.value else {
            panic!()
        };
        assert_eq!(
            items[1].place,
            Place::File {
                line: 2,
                column: 11
            }
        );
    }

    #[test]
    fn several_faults_of_the_syntax_are_told_at_once() {
        let faults = parse("a = \nb = 1\nc = [1\n").unwrap_err();
        let lines: Vec<_> = faults.iter().map(|(place, _)| place.line()).collect();
        assert!(lines.len() >= 2 && lines[0] == Some(1), "{faults:?}");
    }
}
