//! Checks a document against the reference table and fills in what it leaves out.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value as Json};

use super::error::{JobError, Place, Problem};
use super::nearest::nearest;
use super::node::{Node, Table, Value, shorten};
use super::reference::{
    ALTERNATIVES, Absent, Alternatives, Key, Literal, Type, UNBUILT, Words, keys_of, reference,
};

/// A document that the table accepts, with its defaults filled in.
pub(super) struct Checked {
    pub(super) json: Json,
    pub(super) places: Places,
}

/// Where each key that was given stands.
#[derive(Default)]
pub(super) struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of `key`, or of the nearest table around it that was given.
    pub(super) fn of(&self, key: &str) -> Place {
        let mut key = key;
        loop {
            if let Some(place) = self.0.get(key) {
                return place.clone();
            }
            match key.rsplit_once('.') {
                Some((table, _)) => key = table,
                None => return Place::File { line: 1, column: 1 },
            }
        }
    }

    pub(super) fn is_given(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

/// Checks `root`; all faults are found, but not those inside of a faulty value.
pub(super) fn check(root: Node) -> Result<Checked, Vec<JobError>> {
    let mut check = Check {
        places: Places::default(),
        errors: Vec::new(),
    };
    let here = Here {
        keys: String::new(),
        path: String::new(),
    };
    let json = match root.value {
        Value::Table(table) => check.table(&here, root.place, table),
        other => check.wrong(&here, root.place, &Type::Table, &other),
    };
    if check.errors.is_empty() {
        return Ok(Checked {
            json,
            places: check.places,
        });
    }
    Err(check.errors)
}

/// Where the check stands: the path in the reference table, and the one in the document.
struct Here {
    keys: String,
    path: String,
}

impl Here {
    fn key(&self, name: &str) -> Self {
        self.step(name, name)
    }

    /// A name that the job chose.
    fn named(&self, name: &str) -> Self {
        self.step("*", name)
    }

    fn item(&self, index: usize) -> Self {
        Self {
            keys: self.keys.clone(),
            path: join(&self.path, &index.to_string()),
        }
    }

    fn step(&self, key: &str, name: &str) -> Self {
        Self {
            keys: join(&self.keys, key),
            path: join(&self.path, name),
        }
    }
}

pub(super) fn join(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_string()
    } else {
        format!("{table}.{name}")
    }
}

struct Check {
    places: Places,
    errors: Vec<JobError>,
}

impl Check {
    fn fail(&mut self, place: Place, path: &str, problem: Problem) -> Json {
        self.errors.push(JobError {
            place,
            key: path.to_string(),
            problem,
        });
        Json::Null
    }

    fn wrong(&mut self, here: &Here, place: Place, kind: &Type, found: &Value) -> Json {
        let problem = Problem::Value {
            key: here.path.clone(),
            found: found.describe(),
            expected: kind.to_string(),
        };
        self.fail(place, &here.path, problem)
    }

    fn table(&mut self, here: &Here, place: Place, table: Table) -> Json {
        let mut object = Map::new();
        let Ok(kind) = self.kind(here, &place, &table) else {
            return Json::Null;
        };
        let mut given: Vec<String> = Vec::new();
        for (name, (key_place, node)) in table.0 {
            let at = here.key(&name);
            self.places.0.insert(at.path.clone(), key_place.clone());
            match find(&here.keys, &name, kind.as_deref()) {
                Ok(key) => {
                    self.exclude(here, &key_place, &name, &given);
                    let value = self.value(&at, &key.kind, node);
                    object.insert(name.clone(), value);
                    given.push(name);
                }
                Err(Unfit::OtherKind(kinds)) => {
                    let problem = Problem::NotForKind {
                        key: at.path.clone(),
                        kind: kind.clone().unwrap_or_default(),
                        kinds: Words(&kinds).to_string(),
                    };
                    self.fail(key_place, &at.path, problem);
                }
                Err(Unfit::Unknown(nearest)) => {
                    let problem = unknown(&at.path, nearest);
                    self.fail(key_place, &at.path, problem);
                }
            }
        }
        self.fill(here, place, kind.as_deref(), &mut object);
        Json::Object(object)
    }

    /// The table's kind, if tables of this sort have one; `Err` where it is missing or unknown, as
    /// nothing else can be said of the table then.
    fn kind(&mut self, here: &Here, place: &Place, table: &Table) -> Result<Option<String>, ()> {
        let Some(key) = keys_of(&here.keys).find(|key| key.name() == "kind") else {
            return Ok(None);
        };
        let at = here.key("kind");
        match (table.0.get("kind"), key.absent) {
            (Some((_, node)), _) => {
                let before = self.errors.len();
                let word = self.value(&at, &key.kind, node.clone());
                match word {
                    Json::String(word) if self.errors.len() == before => Ok(Some(word)),
                    _ => Err(()),
                }
            }
            (None, Absent::Is(Literal::Text(word))) => Ok(Some(word.to_string())),
            (None, _) => {
                self.missing(place.clone(), &at.path, &key.kind);
                Err(())
            }
        }
    }

    fn missing(&mut self, place: Place, path: &str, kind: &Type) {
        let problem = Problem::Missing {
            key: path.to_string(),
            expected: kind.to_string(),
        };
        self.fail(place, path, problem);
    }

    /// Refuses a key whose alternative was given before.
    fn exclude(&mut self, here: &Here, place: &Place, name: &str, given: &[String]) {
        let group = alternatives(&here.keys, name);
        if let Some(other) = group.and_then(|g| given.iter().find(|other| g.has(other))) {
            let problem = Problem::Exclusive {
                key: here.key(name).path,
                other: here.key(other).path,
            };
            self.fail(place.clone(), &here.key(name).path, problem);
        }
    }

    /// Adds the defaults of the keys that are absent; names those that must not be.
    fn fill(&mut self, here: &Here, place: Place, kind: Option<&str>, to: &mut Map<String, Json>) {
        for group in ALTERNATIVES.iter().filter(|group| group.table == here.keys) {
            if group.required && !group.keys.iter().any(|name| to.contains_key(*name)) {
                let problem = Problem::Missing {
                    key: join(&here.path, group.keys[0]),
                    expected: format!("one of the keys {}", Words(group.keys)),
                };
                self.fail(place.clone(), &here.path, problem);
            }
        }
        for key in keys_of(&here.keys).filter(|key| key.belongs_to(kind)) {
            let name = key.name();
            let instead = alternatives(&here.keys, name)
                .is_some_and(|group| group.keys.iter().any(|other| to.contains_key(*other)));
            if name == "*" || to.contains_key(name) || instead {
                continue;
            }
            let at = here.key(name);
            match key.absent {
                Absent::Required => self.missing(place.clone(), &at.path, &key.kind),
                Absent::Is(literal) => {
                    to.insert(name.to_string(), json(literal));
                }
                Absent::Filled => {
                    let filled = self.table(&at, place.clone(), Table::default());
                    to.insert(name.to_string(), filled);
                }
                Absent::Open(_) => {}
            }
        }
    }

    fn value(&mut self, here: &Here, kind: &Type, node: Node) -> Json {
        let Node { place, value } = node;
        match (kind, value) {
            (Type::Text, Value::Text(text)) if !text.is_empty() => Json::String(text),
            (Type::AnyText, Value::Text(text)) => Json::String(text),
            (Type::Character, Value::Text(text)) if text.chars().count() == 1 => Json::String(text),
            (Type::Name, Value::Text(text)) if is_name(&text) => Json::String(text),
            (Type::Word(words), Value::Text(text)) => self.word(here, place, words, text),
            (Type::Integer { low, high }, Value::Integer(number))
                if (*low..=*high).contains(&number) =>
            {
                Json::from(number)
            }
            (Type::Number(range), Value::Integer(number)) if range.contains(number as f64) => {
                Json::from(number as f64)
            }
            (Type::Number(range), Value::Number(number)) if range.contains(number) => {
                Json::from(number)
            }
            (Type::Boolean, Value::Boolean(value)) => Json::Bool(value),
            (Type::List { of, least }, Value::List(items)) if items.len() >= *least => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| self.value(&here.item(index), of, item))
                .collect(),
            (Type::Table, Value::Table(table)) => self.table(here, place, table),
            (Type::Table, Value::Text(word)) if has_kinds(&here.keys) => {
                self.table(here, place.clone(), of_kind(word, place))
            }
            (Type::TableAs(keys), value) => {
                let here = Here {
                    keys: (*keys).to_string(),
                    path: here.path.clone(),
                };
                self.value(&here, &Type::Table, Node { place, value })
            }
            (Type::Map(of), Value::Table(table)) => self.map(here, of, table),
            (Type::Either(one, other), value) if fits(one, &value) || fits(other, &value) => {
                let kind = if fits(one, &value) { one } else { other };
                self.value(here, kind, Node { place, value })
            }
            (kind, value) => self.wrong(here, place, kind, &value),
        }
    }

    fn word(&mut self, here: &Here, place: Place, words: &[&str], found: String) -> Json {
        if words.contains(&found.as_str()) {
            return Json::String(found);
        }
        let problem = Problem::UnknownWord {
            key: here.path.clone(),
            nearest: nearest(&found, words.iter().copied()).map(ToString::to_string),
            expected: if words.len() == 1 {
                Words(words).to_string()
            } else {
                format!("one of {}", Words(words))
            },
            found: shorten(&found),
        };
        self.fail(place, &here.path, problem)
    }

    fn map(&mut self, here: &Here, of: &Type, table: Table) -> Json {
        let mut object = Map::new();
        for (name, (place, node)) in table.0 {
            let at = here.named(&name);
            self.places.0.insert(at.path.clone(), place);
            let value = self.value(&at, of, node);
            object.insert(name, value);
        }
        Json::Object(object)
    }
}

/// Why a table does not have a key.
enum Unfit {
    OtherKind(Vec<&'static str>),
    Unknown(Option<String>),
}

fn find(table: &str, name: &str, kind: Option<&str>) -> Result<&'static Key, Unfit> {
    let named = keys_of(table).filter(|key| key.name() == name && name != "*");
    if let Some(key) = named.clone().find(|key| key.belongs_to(kind)) {
        return Ok(key);
    }
    let kinds: Vec<&str> = named.flat_map(|key| key.kinds.iter().copied()).collect();
    if kinds.is_empty() {
        return Err(Unfit::Unknown(near(table, name, kind)));
    }
    Err(Unfit::OtherKind(kinds))
}

/// The key that is meant: the nearest one of the table, or one of that name in another table.
fn near(table: &str, name: &str, kind: Option<&str>) -> Option<String> {
    let siblings = keys_of(table)
        .filter(|key| key.belongs_to(kind))
        .map(Key::name);
    let sibling = nearest(name, siblings).map(ToString::to_string);
    sibling.or_else(|| {
        let elsewhere = reference().find(|key| key.name() == name && !key.path.contains('*'));
        elsewhere.map(|key| key.path.to_string())
    })
}

fn unknown(path: &str, nearest: Option<String>) -> Problem {
    match UNBUILT.iter().find(|unbuilt| unbuilt.section == path) {
        Some(unbuilt) => Problem::NotBuilt {
            section: unbuilt.section.to_string(),
            missing: unbuilt.missing.to_string(),
        },
        None => Problem::UnknownKey {
            key: path.to_string(),
            nearest,
        },
    }
}

fn alternatives(table: &str, name: &str) -> Option<&'static Alternatives> {
    ALTERNATIVES
        .iter()
        .find(|group| group.table == table && group.has(name))
}

fn has_kinds(table: &str) -> bool {
    keys_of(table).any(|key| key.name() == "kind")
}

/// The table that a bare word stands for: `"sgd"` is `{ kind = "sgd" }`.
pub(super) fn of_kind(word: String, place: Place) -> Table {
    let node = Node {
        place: place.clone(),
        value: Value::Text(word),
    };
    Table(BTreeMap::from([("kind".to_string(), (place, node))]))
}

/// Whether the value has the type's form, its range aside.
fn fits(kind: &Type, value: &Value) -> bool {
    matches!(
        (kind, value),
        (Type::Integer { .. }, Value::Integer(_))
            | (Type::Word(_) | Type::Text, Value::Text(_))
            | (Type::Number(_), Value::Integer(_) | Value::Number(_))
            | (Type::List { .. }, Value::List(_))
    )
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && text.len() <= 64
}

fn json(literal: Literal) -> Json {
    match literal {
        Literal::Text(text) => Json::from(text),
        Literal::Integer(number) => Json::from(number),
        Literal::Number(number) => Json::from(number),
        Literal::Boolean(value) => Json::from(value),
        Literal::Texts(texts) => Json::from(texts),
        Literal::Empty => Json::Object(Map::new()),
    }
}
