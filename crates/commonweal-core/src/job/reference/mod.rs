//! The one table of the job file's keys: the parser checks against it, `job explain` and the
//! reference page are printed from it.

mod data;
mod deployment;
mod explain;
mod kind;
mod model;
mod page;
mod simulation;
mod top;
mod training;

use core::ops::Bound;

pub use explain::{NoSuchKey, explain};
pub(super) use kind::Words;
pub use kind::{Literal, Range, Type};
pub use page::page;

/// One key of the job file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Dotted path. `*` stands for a name that the job chooses; the keys of a list's tables follow
    /// the list's own path.
    pub path: &'static str,
    /// Kinds of the enclosing table that have the key; empty for all.
    pub kinds: &'static [&'static str],
    /// What may stand there.
    pub kind: Type,
    /// Unit of the value; empty for a pure number, a word or a text.
    pub unit: &'static str,
    /// What holds where the key is absent.
    pub absent: Absent,
    /// What it means, in sentences.
    pub meaning: &'static str,
}

/// What holds where a key is absent.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// Nothing: its absence is an error.
    Required,
    /// This value.
    Is(Literal),
    /// A table of its keys' own defaults.
    Filled,
    /// What the words say; the parser leaves it open.
    Open(&'static str),
}

/// Keys of one table of which at most one may be given.
#[derive(Debug, Clone, Copy)]
pub struct Alternatives {
    /// Path of the table; empty for the top.
    pub table: &'static str,
    /// Their names. Where none is given, the first one's default holds.
    pub keys: &'static [&'static str],
    /// Whether one must be given.
    pub required: bool,
}

/// A section whose name is known and whose work is not built.
#[derive(Debug, Clone, Copy)]
pub struct Unbuilt {
    /// Name of the section.
    pub section: &'static str,
    /// What it will bring.
    pub missing: &'static str,
}

/// All keys, in the order of the reference page.
pub fn reference() -> impl Iterator<Item = &'static Key> + Clone {
    [
        top::TOP,
        data::KEYS,
        simulation::KEYS,
        model::KEYS,
        training::KEYS,
        top::ROUNDS,
        deployment::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// Keys that exclude each other.
pub const ALTERNATIVES: &[Alternatives] = &[
    Alternatives {
        table: "data",
        keys: &["name", "path"],
        required: true,
    },
    Alternatives {
        table: "training",
        keys: &["epochs", "steps"],
        required: false,
    },
    Alternatives {
        table: "cohort",
        keys: &["fraction", "target"],
        required: false,
    },
    Alternatives {
        table: "stop",
        keys: &["at_least", "at_most"],
        required: false,
    },
    Alternatives {
        table: "expect",
        keys: &["at_least", "at_most"],
        required: true,
    },
];

/// Sections that are refused for now.
pub const UNBUILT: &[Unbuilt] = &[
    Unbuilt {
        section: "privacy",
        missing: "differential privacy (clipping norm, noise multiplier, accountant)",
    },
    Unbuilt {
        section: "compression",
        missing: "lossy compression of updates",
    },
];

impl Alternatives {
    pub(super) fn has(&self, name: &str) -> bool {
        self.keys.contains(&name)
    }
}

impl Key {
    /// Last part of the path.
    pub fn name(&self) -> &'static str {
        self.path
            .rsplit_once('.')
            .map_or(self.path, |(_, name)| name)
    }

    /// Path of the table that the key stands in; empty for the top.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Whether a table of this kind has the key; `None` is a table without kinds.
    pub fn belongs_to(&self, kind: Option<&str>) -> bool {
        self.kinds.is_empty() || kind.is_some_and(|kind| self.kinds.contains(&kind))
    }

    const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    const fn with(self, kinds: &'static [&'static str]) -> Self {
        Self { kinds, ..self }
    }

    const fn or(self, literal: Literal) -> Self {
        Self {
            absent: Absent::Is(literal),
            ..self
        }
    }

    const fn filled(self) -> Self {
        Self {
            absent: Absent::Filled,
            ..self
        }
    }

    /// Absent means what `words` say.
    const fn open(self, words: &'static str) -> Self {
        Self {
            absent: Absent::Open(words),
            ..self
        }
    }
}

/// The keys of the table at `path`, whatever its kind.
pub(super) fn keys_of(path: &str) -> impl Iterator<Item = &'static Key> + Clone {
    reference().filter(move |key| key.table() == path)
}

const fn key(path: &'static str, kind: Type, meaning: &'static str) -> Key {
    Key {
        path,
        kinds: &[],
        kind,
        unit: "",
        absent: Absent::Required,
        meaning,
    }
}

const fn count(low: i64, high: i64) -> Type {
    Type::Integer { low, high }
}

const fn number(low: Bound<f64>, high: Bound<f64>) -> Type {
    Type::Number(Range { low, high })
}

const fn above(low: f64) -> Type {
    number(Bound::Excluded(low), Bound::Unbounded)
}

const fn at_least(low: f64) -> Type {
    number(Bound::Included(low), Bound::Unbounded)
}

/// From 0 on, below 1.
const SHARE: Type = number(Bound::Included(0.0), Bound::Excluded(1.0));
/// Above 0, up to 1.
const PART: Type = number(Bound::Excluded(0.0), Bound::Included(1.0));
const ANY_NUMBER: Type = number(Bound::Unbounded, Bound::Unbounded);
const TEXTS: Type = Type::List {
    of: &Type::Text,
    least: 0,
};
const TABLES: Type = Type::List {
    of: &Type::Table,
    least: 1,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_kind_has_one_meaning() {
        for (index, key) in reference().enumerate() {
            for other in reference()
                .skip(index + 1)
                .filter(|other| other.path == key.path)
            {
                assert!(
                    !key.kinds.is_empty() && !other.kinds.is_empty(),
                    "{}",
                    key.path
                );
                assert!(
                    key.kinds.iter().all(|kind| !other.kinds.contains(kind)),
                    "{}",
                    key.path
                );
            }
        }
    }

    #[test]
    fn every_table_of_a_key_is_a_key_and_every_kind_is_a_kind_of_its_table() {
        for key in reference() {
            let parent = key.table().trim_end_matches(".*");
            assert!(
                parent.is_empty() || reference().any(|other| other.path == parent),
                "{parent}"
            );
            let kinds = keys_of(key.table()).find(|other| other.name() == "kind");
            for kind in key.kinds {
                let known = kinds
                    .is_some_and(|k| matches!(k.kind, Type::Word(words) if words.contains(kind)));
                assert!(
                    known,
                    "{} names the kind {kind}, which its table does not have",
                    key.path
                );
            }
        }
    }

    #[test]
    fn alternatives_name_keys() {
        for group in ALTERNATIVES {
            for name in group.keys {
                assert!(
                    keys_of(group.table).any(|key| key.name() == *name),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_meaning_is_a_sentence() {
        for key in reference() {
            assert!(key.meaning.ends_with('.'), "{}", key.path);
        }
    }
}
