//! Overrides, `key=value`: applied to the document before it is checked.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use toml::de::{DeTable, DeValue};

use super::check::of_kind;
use super::error::Place;
use super::node::{Node, Table, Value, node};

/// Sets a value in `root`, whatever stood there.
///
/// The path is dotted as in TOML, with a number for an item of a list; the value has TOML's syntax,
/// and a bare word is a text.
///
/// # Errors
/// Why it cannot be applied, and what to write instead.
pub(super) fn apply(root: &mut Node, text: &str) -> Result<(), String> {
    let place = Place::Override(text.to_string());
    let (path, value) = text
        .split_once('=')
        .ok_or("this is not `key=value`, such as `training.epochs=2`")?;
    let path = parse_path(path).ok_or_else(|| format!("`{}` is not a dotted key", path.trim()))?;
    let value = parse_value(value.trim(), &place)?;
    let mut at = root;
    for (depth, step) in path.iter().enumerate() {
        let found = at.value.describe();
        at = descend(at, step, &place).ok_or_else(|| {
            format!(
                "`{}` is {found}, which has no `{step}`",
                path[..depth].join(".")
            )
        })?;
    }
    *at = value;
    Ok(())
}

/// The names of a dotted key; a part with other characters is quoted.
fn parse_path(path: &str) -> Option<Vec<String>> {
    let document = format!("{}=0", path.trim());
    let mut value = DeValue::Table(DeTable::parse(&document).ok()?.into_inner());
    let mut names = Vec::new();
    while let DeValue::Table(table) = value {
        let mut entries = table.into_iter();
        let (name, inner) = entries.next()?;
        if entries.next().is_some() {
            return None;
        }
        names.push(name.into_inner().into_owned());
        value = inner.into_inner();
    }
    Some(names)
}

fn parse_value(text: &str, place: &Place) -> Result<Node, String> {
    match DeValue::parse(text) {
        Ok(value) => Ok(node(value, &|_| place.clone())),
        Err(_) if is_bare(text) => Ok(Node {
            place: place.clone(),
            value: Value::Text(text.to_string()),
        }),
        Err(fault) => Err(format!(
            "the value is not TOML: {}; lists are written [1, 2], tables {{ kind = \"sgd\" }}, and \
             texts with special characters in quotes",
            fault.message()
        )),
    }
}

/// Whether a value that is no TOML stands for itself.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| "[]{}\"'=#".contains(c) || c.is_control())
}

/// The value at `step`, made if it is not there; `None` where nothing can be.
fn descend<'a>(at: &'a mut Node, step: &str, place: &Place) -> Option<&'a mut Node> {
    if let Value::Text(word) = &mut at.value {
        at.value = Value::Table(of_kind(core::mem::take(word), at.place.clone()));
    }
    match &mut at.value {
        Value::List(items) => items.get_mut(step.parse::<usize>().ok()?),
        Value::Table(table) => {
            let empty = Node {
                place: place.clone(),
                value: Value::Table(Table::default()),
            };
            let entry = table.0.entry(step.to_string());
            let (key_place, node) = entry.or_insert_with(|| (place.clone(), empty));
            *key_place = place.clone();
            Some(node)
        }
        _ => None,
    }
}
