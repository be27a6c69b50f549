//! The reference table and the job file agree: keys, words, defaults and documentation.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::path::Path;

use commonweal_core::job::reference::{ALTERNATIVES, Absent, Key, Literal, Type, page};
use commonweal_core::job::{Job, Manifest, reference};

const SMALL: &str = "name = \"a\"\nrounds = 1\ndata.name = \"x\"\nmodel.kind = \"softmax\"\n";

/// Every key with every kind of its table that has it.
fn keys() -> impl Iterator<Item = (&'static Key, Option<&'static str>)> {
    reference().flat_map(|key| {
        let kinds: Vec<Option<&str>> = match (key.kinds, kinds_of(key.table())) {
            ([], []) => vec![None],
            ([], all) => all.iter().copied().map(Some).collect(),
            (some, _) => some.iter().copied().map(Some).collect(),
        };
        kinds.into_iter().map(move |kind| (key, kind))
    })
}

fn kinds_of(table: &str) -> &'static [&'static str] {
    let key = reference().find(|key| key.table() == table && key.name() == "kind");
    match key.map(|key| key.kind) {
        Some(Type::Word(words)) => words,
        _ => &[],
    }
}

/// The overrides that make a place for the key: each table around it, smallest possible, whole
/// without it if it `is_absent`.
fn around(key: &Key, kind: Option<&str>, is_absent: bool) -> Vec<String> {
    let mut overrides = Vec::new();
    let (mut inner, mut inner_kind) = (*key, kind);
    let mut tables = Vec::new();
    while !inner.table().is_empty() {
        let kind = inner_kind.or(kinds_of(inner.table()).first().copied());
        let left_out = if is_absent && inner.path == key.path {
            ""
        } else {
            inner.name()
        };
        let mut value = smallest(inner.table(), kind, left_out);
        let table = inner.table().trim_end_matches(".*");
        let outer = *reference()
            .find(|key| key.path == table && !matches!(key.kind, Type::Integer { .. }))
            .unwrap();
        if matches!(outer.kind, Type::List { .. }) {
            value = format!("[{value}]");
        }
        tables.push(format!(
            "{}={value}",
            place(inner.table()).trim_end_matches(".0")
        ));
        (inner, inner_kind) = (outer, outer.kinds.first().copied());
    }
    overrides.extend(tables.into_iter().rev());
    if !key.path.ends_with(".clients") {
        overrides.push("simulation.clients=10".to_string());
    }
    if (key.table(), kind) == ("model", Some("external")) {
        overrides.push("training.trainer=mine".into());
    }
    overrides
}

/// Where a key of the table at `path` stands in a document: the first item of a list, `x` in a map.
fn place(path: &str) -> String {
    let mut place = path.replace('*', "x");
    if path == "model.layers" {
        place += ".0";
    }
    place
}

fn place_of(key: &Key) -> String {
    match key.table() {
        "" => key.name().to_string(),
        table => format!("{}.{}", place(table), key.name()),
    }
}

/// A smallest table at `path` that leaves room for the key `name`.
fn smallest(path: &str, kind: Option<&str>, name: &str) -> String {
    let group = ALTERNATIVES
        .iter()
        .find(|group| group.table == path && group.required);
    let entries = reference()
        .filter(|key| key.table() == path && key.belongs_to(kind))
        .filter_map(|key| match (key.name(), key.absent) {
            ("kind", _) => kind.map(|kind| format!("kind = {kind:?}")),
            (own, Absent::Required) if own != name => {
                Some(format!("{own} = {}", sample(key.path, &key.kind)))
            }
            (own, _) => group
                .filter(|group| group.keys[0] == own && !group.keys.contains(&name))
                .map(|_| format!("{own} = {}", sample(key.path, &key.kind))),
        });
    let mut entries: Vec<String> = entries.collect();
    if path == "stop" && !matches!(name, "at_least" | "at_most") {
        entries.push("at_least = 1".to_string());
    }
    format!("{{ {} }}", entries.join(", "))
}

/// A value of the type, in TOML.
fn sample(path: &str, kind: &Type) -> String {
    match kind {
        _ if path == "data.classes" => "[\"x\", \"y\"]".into(),
        _ if path == "data.text.client_pattern" => "\"{client}.\"".into(),
        Type::Text | Type::AnyText | Type::Name | Type::Character => "\"x\"".into(),
        Type::Word(words) => format!("{:?}", words[0]),
        Type::Integer { low, .. } => low.to_string(),
        Type::Number(range) => {
            let tried = [0.5, 1.0];
            format!(
                "{:?}",
                tried.iter().find(|value| range.contains(**value)).unwrap()
            )
        }
        Type::Boolean => "false".into(),
        Type::List { of, least } => {
            format!("[{}]", vec![sample(path, of); (*least).max(1)].join(", "))
        }
        Type::Table => smallest(path, kinds_of(path).first().copied(), ""),
        Type::TableAs(path) => smallest(path, kinds_of(path).first().copied(), ""),
        Type::Map(of) => format!("{{ x = {} }}", sample(&format!("{path}.*"), of)),
        Type::Either(one, _) => sample(path, one),
    }
}

fn parse(key: &Key, kind: Option<&str>, value: Option<&str>) -> Job {
    let mut overrides = around(key, kind, value.is_none());
    overrides.extend(value.map(|value| format!("{}={value}", place_of(key))));
    Job::parse_with(SMALL, &overrides)
        .unwrap_or_else(|faults| panic!("{} of {kind:?}, {overrides:?}:\n{faults}", key.path))
}

/// The value at the key's place in the resolved job.
fn resolved(key: &Key, job: &Job) -> Option<toml::Value> {
    let document: toml::Value = toml::from_str(&job.to_toml()).unwrap();
    place_of(key)
        .split('.')
        .try_fold(document, |at, name| match at {
            toml::Value::Array(items) => items.get(name.parse::<usize>().unwrap()).cloned(),
            other => other.get(name).cloned(),
        })
}

#[test]
fn the_parser_takes_every_key_of_the_table_and_keeps_its_value() {
    for (key, kind) in keys().filter(|(key, _)| key.name() != "kind") {
        let value = sample(key.path, &key.kind);
        let job = parse(key, kind, Some(&value));
        assert!(
            resolved(key, &job).is_some(),
            "{} of {kind:?} is lost",
            key.path
        );
    }
}

#[test]
fn the_parser_takes_every_word_of_the_table() {
    for (key, kind) in keys() {
        let words: &[&str] = match key.kind {
            Type::Word(words) if key.name() != "kind" => words,
            Type::Word(_) => kind.as_slice(),
            Type::List {
                of: Type::Word(words),
                ..
            }
            | Type::Either(_, Type::Word(words)) => words,
            _ => continue,
        };
        for word in words {
            let is_list = matches!(key.kind, Type::List { .. });
            let value = if is_list {
                format!("[{word:?}]")
            } else {
                format!("{word:?}")
            };
            let mut overrides = around(key, kind, false);
            overrides.push(format!("{}={value}", place_of(key)));
            let metrics = "\"loss\", \"accuracy\", \"macro_f1\", \"roc_auc\", \"perplexity\", \
                           \"mean_squared_error\", \"mean_absolute_error\"";
            if key.path != "evaluation.metrics" {
                overrides.push(format!("evaluation.metrics=[{metrics}]"));
            }
            let job = Job::parse_with(SMALL, &overrides);
            assert!(job.is_ok(), "{} = {word}: {}", key.path, job.unwrap_err());
        }
    }
}

#[test]
fn the_table_has_every_key_that_a_resolved_job_writes() {
    for (key, kind) in keys() {
        let job = parse(key, kind, None);
        let again = Job::parse(&job.to_toml());
        assert_eq!(
            again.as_ref(),
            Ok(&job),
            "{} of {kind:?}\n{}",
            key.path,
            job.to_toml()
        );
    }
}

#[test]
fn the_defaults_of_the_table_are_those_of_the_parser() {
    for (key, kind) in keys().filter(|(key, _)| key.name() != "kind") {
        let Absent::Is(literal) = key.absent else {
            continue;
        };
        let expected = match literal {
            Literal::Empty => "{}".to_string(),
            literal => literal.to_string(),
        };
        let expected: toml::Table = toml::from_str(&format!("x = {expected}")).unwrap();
        let found = resolved(key, &parse(key, kind, None));
        assert_eq!(
            found.as_ref(),
            Some(&expected["x"]),
            "{} of {kind:?}",
            key.path
        );
    }
}

#[test]
fn the_reference_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/job-reference.md");
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(
        kept == page(),
        "run `cargo run -p commonweal-core --example job_reference`"
    );
}

#[test]
fn every_resolved_job_has_a_manifest_that_reads_as_the_same_job() {
    for (key, kind) in keys().filter(|(key, _)| !key.path.starts_with("simulation")) {
        let job = parse(key, kind, None);
        let manifest = Manifest::of(&job);
        let (again, read) = Manifest::parse(manifest.bytes()).unwrap();
        assert_eq!(
            (again.digest(), &read.training),
            (manifest.digest(), &job.training)
        );
    }
}
